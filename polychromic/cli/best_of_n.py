"""``polychromic best-of-n``: whether drawing N candidates pays, before paying for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from polychromic.cli.console import json_option, progress_bars, show, table
from polychromic.core.errors import InputError

if TYPE_CHECKING:
    from polychromic.code.nouns import BestOfN, Choice


@click.command("best-of-n")
@click.argument("folder", type=click.Path())
@click.option("--n", "numbers", default="2,4,8", show_default=True, help="How many candidates, separated by commas.")
@click.option("--scorer", "scorers", multiple=True, help="A kind of scorer or {kind: NAME, ...}; default: all.")
@click.option("--task", help="The task the samples answer, where the folder does not tell.")
@json_option
def command(folder: str, numbers: str, scorers: tuple[str, ...], task: str | None, as_json: bool) -> None:
    """Compare N candidates and a scorer's choice with a single sample, on FOLDER's samples and verdicts."""
    from polychromic.code.nouns import BestOfNResult
    from polychromic.records.rows import read_noun
    from polychromic.settings.catalog import build
    from polychromic.settings.yaml_lines import COMMAND_LINE, read_value
    from polychromic.stages import best_of_n

    try:
        ns = [int(number) for number in numbers.split(",")]
    except ValueError:
        raise InputError(f"--n: {numbers!r}: expected numbers separated by commas, such as 2,4,8") from None
    judged_by = read_value(task, COMMAND_LINE) if task else best_of_n.task_of(folder)
    checker = build("tasks", judged_by) if judged_by else None
    entries = [read_value(scorer, COMMAND_LINE) for scorer in scorers]
    with progress_bars() as progress:
        path = best_of_n.run(folder, ns, entries, checker, progress)
    result = read_noun(path, BestOfNResult)
    lines = [line for entry in result.entries for line in _lines(entry)]
    show(result, as_json, [*lines, str(path)])


def _lines(entry: BestOfN) -> list[str]:
    """One model, temperature and N as a person reads it."""
    said = [
        f"{entry.model}  temperature {entry.temperature:g}  N={entry.n}  {entry.prompts} prompts"
        + (f"  ({entry.reason})" if entry.reason else ""),
    ]
    if not entry.prompts:
        return [*said, ""]
    said += [
        f"  all N identical: {_share(entry.all_identical)} of the prompts; repeated candidates: "
        f"{_share(entry.identical)}; cost: {_number(entry.cost_multiplier)}x",
        f"  single sample {_share(entry.single)}, perfect choice {_share(entry.oracle)}",
    ]
    rows = [_row(item) for item in entry.choices]
    if rows:
        header = [
            "  scorer",
            "selected",
            "gain [95 % for all scorers]",
            "efficiency",
            "AUC",
            "spread",
            "samples/pass",
            "",
        ]
        said += table(header, rows)
    return [*said, f"  {entry.advice}", ""]


def _row(item: Choice) -> list[str]:
    shown = [_share(item.selected), _gain(item)]
    shown += [_number(value) for value in (item.efficiency, item.auc, item.spread, item.cost_per_pass)]
    return [f"  {item.scorer}", *shown, item.reason]


def _gain(item: Choice) -> str:
    if math.isnan(item.gain):
        return "-"
    return f"{item.gain:+.1%} [{_share(item.low)}, {_share(item.high)}]"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"
