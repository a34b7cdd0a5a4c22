"""``polychromic verify``: a task's checker over samples, ours or foreign ones."""

from __future__ import annotations

import click

from polychromic.cli.console import json_option, progress_bars, show

TASK_HELP = "A kind of the tasks shelf, or {kind: NAME, option: value}."


@click.command()
@click.argument("folder", type=click.Path(), required=False)
@click.option("--task", required=True, help=TASK_HELP)
@click.option("--samples", type=click.Path(), help="A JSONL of programs: task_id with completion, or with text.")
@click.option("--out", type=click.Path(), help="Where verdicts on --samples go (default: FILE's name, _verified).")
@json_option
def command(folder: str | None, task: str, samples: str | None, out: str | None, as_json: bool) -> None:
    """Judge FOLDER/samples.jsonl, or a foreign FILE of programs; verdicts that exist are kept."""
    if (folder is None) == (samples is None):
        raise click.UsageError("give either a FOLDER of samples, or --samples FILE")
    from polychromic.settings.catalog import build
    from polychromic.settings.source import COMMAND_LINE, read_value

    checker = build("tasks", read_value(task, COMMAND_LINE))
    if samples is not None:
        from polychromic.cli import foreign

        foreign.verify(samples, checker, out, as_json)
        return
    from polychromic.stages import verify

    assert folder is not None
    with progress_bars() as progress:
        path = verify.run(folder, checker, progress)
    show({"verdicts": str(path)}, as_json, [str(path)])
