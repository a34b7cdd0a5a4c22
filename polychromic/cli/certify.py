"""polychromic certify: the proof of the gradient, on this machine."""

from __future__ import annotations

import dataclasses
import json

import click


@click.command("certify")
@click.option(
    "--reward",
    "rewards",
    multiple=True,
    metavar="KIND",
    help="A reward to prove beside those of the shelf: a kind, {kind: ..., option: ...}, or ./mine.py:Class.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
def command(rewards: tuple[str, ...], as_json: bool) -> None:
    """Prove the gradient under every reward, and that known mistakes would be seen; exit status 1 if a line fails."""
    import yaml

    from polychromic.settings import catalog
    from polychromic.stages import certify

    more = [yaml.safe_load(reward) for reward in rewards]
    for reward in more:
        catalog.check("rewards", reward)

    sections = []
    for section in certify.run(more):
        sections.append(section)
        if not as_json:
            name = section.lines[0].section
            click.secho(f"{name}  ({section.seconds:.1f} s)", bold=True)
            for line in section.lines:
                verdict = click.style("ok  ", fg="green") if line.passed else click.style("FAIL", fg="red")
                click.echo(f"  {verdict}  {line.figure:>9.2e} {line.bound:<8}  {line.claim}")
    failed = sum(not line.passed for section in sections for line in section.lines)
    total = sum(len(section.lines) for section in sections)
    if as_json:
        lines = [dataclasses.asdict(line) for section in sections for line in section.lines]
        click.echo(json.dumps({"passed": failed == 0, "failed": failed, "lines": lines}, allow_nan=True))
    else:
        seconds = sum(section.seconds for section in sections)
        click.echo(f"{total - failed} of {total} lines hold ({seconds:.0f} s)")
    if failed:
        click.get_current_context().exit(1)
