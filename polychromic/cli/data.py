"""``polychromic data``: look at a data file."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from polychromic.cli.console import json_option, show

if TYPE_CHECKING:
    from polychromic.stages.contexts import ShownRow
    from polychromic.stages.data import DataReport, Lengths

SHOWN = 10


@click.group()
def command() -> None:
    """Look at demonstrations: counts, lengths, bad rows, and how a model is shown them."""


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


@command.command("show")
@click.argument("where", type=click.Path(), metavar="FILE|CONFIG")
@click.option("--model", help="Whose tokenizer and chat template; a configuration names its own.")
@click.option("--format", "form", type=click.Choice(["chat", "plain"]), help="Of prompts that are plain text.")
@click.option("--rows", default=3, show_default=True, type=click.IntRange(min=1), help="How many.")
@json_option
def show_rows(where: str, model: str | None, form: str | None, rows: int, as_json: bool) -> None:
    """Print demonstrations as the model will see them: template applied, targets in brackets, tokens counted.

    Exit status 2 when a context in training is not, token for token, the one at evaluation.
    """
    from polychromic.stages.contexts import shown
    from polychromic.stages.data import read_head

    section, examples = read_head(where, rows, model)
    found = shown(section.model_copy(update={"format": form or section.format}), examples)
    show({"rows": found}, as_json, [line for row in found for line in _shown_lines(row)])
    if not all(row.same for row in found):
        click.get_current_context().exit(2)


def _shown_lines(row: ShownRow) -> list[str]:
    said = "the same at evaluation" if row.same else f"at evaluation {row.asked_tokens} others:"
    lines = [f"--- {row.id}: {row.context_tokens} tokens of context, {said}; {row.target_tokens} targets"]
    if not row.same:
        lines += [f"  in training    ... {' '.join(map(repr, row.trained))}"]
        lines += [f"  at evaluation  ... {' '.join(map(repr, row.asked))}"]
    return [*lines, *row.text.split("\n")]


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
