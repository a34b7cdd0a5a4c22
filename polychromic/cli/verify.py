"""``polychromic verify``: a task's checker over samples."""

from __future__ import annotations

import click

from polychromic.cli.console import json_option, progress_bars, show

TASK_HELP = "A kind of the tasks shelf, or {kind: NAME, option: value}."


@click.command()
@click.argument("folder", type=click.Path())
@click.option("--task", required=True, help=TASK_HELP)
@json_option
def command(folder: str, task: str, as_json: bool) -> None:
    """Judge FOLDER/samples.jsonl; verdicts that exist are kept, only the missing ones are made."""
    from polychromic.settings.catalog import build
    from polychromic.settings.source import COMMAND_LINE, read_value
    from polychromic.stages import verify

    checker = build("tasks", read_value(task, COMMAND_LINE))
    with progress_bars() as progress:
        path = verify.run(folder, checker, progress)
    show({"verdicts": str(path)}, as_json, [str(path)])
