"""``polychromic lora``: adapters compared by their weights, without the base model."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from polychromic.cli.console import json_option, show, table


@click.command("lora")
@click.argument("adapters", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False))
@click.option("--modules", is_flag=True, help="One line a module instead of one a kind of module.")
@click.option("--out", type=click.Path(file_okay=False), help="Write lora.json and the heat map there.")
@json_option
def command(adapters: tuple[str, ...], modules: bool, out: str | None, as_json: bool) -> None:
    """Compare ADAPTERS by their weights: norms, effective ranks, cosines and principal angles.

    An adapter is given by its folder; the cosine is between the updates to the base weights, the angles (degrees)
    between the spaces they write to and read from.
    """
    from polychromic.stages import lora

    names = [Path(path).resolve().name for path in adapters]
    named = dict(zip(names if len(set(names)) == len(names) else adapters, adapters, strict=True))
    result = lora.run(named, out)
    lines: list[str] = []
    for name, rows in result["adapters"].items():
        lines += [*_table(name, rows, ("norm", "spectral", "effective_rank", "rank"), modules), ""]
    for pair in result["pairs"]:
        both = f"{pair['a']} and {pair['b']}"
        lines += [*_table(both, pair["modules"], ("cosine", "output_angle", "input_angle"), modules), ""]
    lines += result["remarks"]
    lines += [str(path) for path in sorted(Path(out).glob("lora*"))] if out else []
    show(result, as_json, lines)


def _table(name: str, rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...], each: bool) -> list[str]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["module"] if each else row["module"].rsplit(".", 1)[-1], []).append(row)
    groups |= {"all": [row for group in groups.values() for row in group]}
    header = [name, "modules", *(column.replace("_", " ") for column in columns)]
    return table(header, [_line(kind, found, columns) for kind, found in groups.items()])


def _line(kind: str, found: list[Mapping[str, Any]], columns: tuple[str, ...]) -> list[str]:
    means = []
    for column in columns:
        known = [row[column] for row in found if not math.isnan(row[column])]
        means.append(f"{statistics.fmean(known):.4g}" if known else "-")
    return [kind, str(len(found)), *means]
