"""``polychromic bundle``: all that another machine needs, in one archive."""

from __future__ import annotations

import click

from polychromic.cli.console import json_option, show


@click.command()
@click.argument("given", nargs=-1, required=True, metavar="CONFIG_OR_RUN...")
@click.option("--out", default="bundle.tar", show_default=True, type=click.Path(dir_okay=False))
@click.option(
    "--data",
    type=click.Choice(["include", "digest"]),
    default="include",
    show_default=True,
    help="Whether the data travels in the archive, or only its digest.",
)
@click.option("--data-from", default="", help="With digest: where the data is to be had, in words or as a URL.")
@click.option("--device", default="h100", show_default=True, help="What the guide's forecast is made for.")
@json_option
def command(given: tuple[str, ...], out: str, as_json: bool, **packing: str) -> None:
    """Pack configurations (or finished runs) with data, code, constraints, scripts and a guide for this very run.

    On the other machine: tar -xf, then bash setup.sh; or polychromic unbundle.
    """
    from polychromic.project import bundle

    archive = bundle.run(given, out, bundle.Packing(**packing))  # type: ignore[arg-type]
    size = archive.stat().st_size / 2**20
    show({"bundle": str(archive), "mib": size}, as_json, [f"{archive} ({size:.1f} MiB); GUIDE.md in it says the rest"])
