"""``polychromic audit``: would the checker accept what it should not, and is there room to see anything?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from polychromic.cli.console import json_option, show, table

if TYPE_CHECKING:
    from polychromic.analysis.controls import Audit


@click.command("audit")
@click.argument("folder", type=click.Path(exists=True, file_okay=False), required=False)
@click.option("--task", help="A kind of the tasks shelf, or {kind: NAME, option: value}.")
@click.option("--split", default="test", show_default=True)
@click.option("--prompts", default=200, show_default=True, help="Right answers to spoil.")
@click.option("--baseline", help="The model whose headroom is looked at (default: all).")
@click.option("--strict", is_flag=True, help="Exit with status 1 when there is a warning.")
@json_option
def command(folder: str | None, task: str | None, strict: bool, as_json: bool, **options: Any) -> None:
    """Try a task's checker on answers it must refuse, and look at the headroom of FOLDER's samples.

    The controls are the empty answer, the prompt itself, a right answer with its words shuffled, its first half, and
    another prompt's right answer.
    """
    from polychromic.settings.catalog import build
    from polychromic.settings.yaml_lines import COMMAND_LINE, read_value
    from polychromic.stages import audit

    checker = None if task is None else build("tasks", read_value(task, COMMAND_LINE))
    found = audit.run(checker, folder, audit.Auditing(**options))
    show(found, as_json, lines(found))
    if strict and found.warnings:
        sys.exit(1)


def lines(found: Audit) -> list[str]:
    """The audit as a person reads it: the table of controls, accepted examples, then the warnings."""
    said: list[str] = []
    if found.rates:
        rows = [
            [rate.kind, str(rate.accepted), str(rate.judged), f"{rate.share:.1%}", str(rate.absent)]
            for rate in found.rates
        ]
        said += table(["control", "accepted", "judged", "share", "no verdict"], rows)
        wrong = [rate for rate in found.rates if rate.examples]
        for rate in wrong:
            said += [f"  {rate.kind}, {prompt}: {text[:100]!r}" for prompt, text in rate.examples]
    said += [f"{name}: {share:.0%} of prompts with identical candidates" for name, share in found.identical.items()]
    said += list(found.notes)
    said += [f"warning: {text}" for text in found.warnings] or ["no warning"]
    return said
