"""``polychromic data``: look at a data file."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from polychromic.cli.console import json_option, show

if TYPE_CHECKING:
    from polychromic.stages.data import DataReport, Lengths

SHOWN = 10


@click.group()
def command() -> None:
    """Look at a data file: counts, lengths, duplicates, bad rows."""


@command.command()
@click.argument("file", type=click.Path())
@json_option
def check(file: str, as_json: bool) -> None:
    """Count what FILE (or a configuration's data) holds and name every row that training would refuse.

    Exit status 2 when there is a bad row, 0 otherwise.
    """
    from polychromic.stages.data import examine

    report = examine(file)
    show(asdict(report), as_json, _lines(report))
    if report.bad:
        click.get_current_context().exit(2)


def _lines(report: DataReport) -> list[str]:
    forms = ", ".join(f"{count} {form}" for form, count in sorted(report.forms.items())) or "none usable"
    lines = [
        f"{report.path}: {report.rows} rows ({forms})",
        f"prompts: {report.prompts} different; {report.shared_prompts} with several completions; "
        f"{report.repeated_rows} repeated rows",
        f"words per prompt: {_words(report.prompt_words)}",
        f"words per completion: {_words(report.completion_words)}",
        f"rows dropped with data.skip_bad_rows: {len(report.bad)}",
    ]
    if 0 < report.plain < report.rows - len(report.bad):
        lines.append(f"plain prompts among conversations: {report.plain}; training refuses the mixture")
    if report.lacking:
        shown = ", ".join(f"{name} ({count})" for name, count in report.lacking.items())
        lines.append(f"columns that some rows lack (how many): {shown}")
    if report.differing:
        lines.append(f"prompts whose rows differ in other columns: {report.differing}; a judge sees the first row's")
    lines += [f"  {reason}" for reason in report.bad[:SHOWN]]
    if len(report.bad) > SHOWN:
        lines.append(f"  and {len(report.bad) - SHOWN} more")
    return lines


def _words(lengths: Lengths | None) -> str:
    return "none" if lengths is None else f"median {lengths.median}, 95 % {lengths.p95}, longest {lengths.longest}"
