"""Which figures a comparison can show, and their data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polychromic.reporting import plots, tables

Comparison = Mapping[str, Any]


def draw(
    comparison: Comparison, colours: Mapping[str, str], runs: Mapping[str, Path], lambdas: Mapping[str, float]
) -> list[plots.Figure]:
    """Every figure that the data allow, in reading order."""
    temperature = comparison["settings"]["temperature"]
    candidates = [
        _differences(comparison, colours, temperature),
        _pass_curves(comparison, colours, temperature),
        _frontier(comparison, colours),
    ]
    return [figure for figure in candidates if figure is not None]


def _pass_curves(comparison: Comparison, colours: Mapping[str, str], temperature: float) -> plots.Figure | None:
    known = comparison["signatures"]
    curves: dict[str, plots.Curve] = {}
    for model in comparison["models"]:
        points = sorted(
            (known[row["signature"]]["k"], row["score"], *row["interval"])
            for row in tables.at(comparison["scores"], temperature)
            if row["model"] == model and known[row["signature"]]["kind"] == "passatk" and _whole(row)
        )
        if len(points) > 1:
            k, value, low, high = zip(*points, strict=True)
            curves[model] = (k, value, low, high)
    return plots.pass_curves(curves, colours, temperature) if curves else None


def _whole(row: Mapping[str, Any]) -> bool:
    return row["score"] is not None and None not in row["interval"]


def _frontier(comparison: Comparison, colours: Mapping[str, str]) -> plots.Figure | None:
    found = comparison["frontier"]
    if not found["models"]:
        return None
    points = {name: facts["points"] for name, facts in found["models"].items()}
    names = [comparison["signatures"][found[key]]["name"] for key in ("quality", "diversity")]
    return plots.frontier(points, colours, names)


def _differences(comparison: Comparison, colours: Mapping[str, str], temperature: float) -> plots.Figure | None:
    wanted = tables.headline_signatures(comparison)
    baseline, base = comparison["settings"]["baseline"], comparison["settings"]["base"]
    rows = {
        (row["metric"], row["b"]): row
        for row in tables.at(comparison["comparisons"], temperature)
        if row["a"] == baseline and row["b"] != base
    }
    bars: Sequence[plots.Bar] = [
        _bar(comparison, rows[signature, model])
        for signature in wanted
        for model in comparison["models"]
        if (signature, model) in rows and rows[signature, model]["score_a"] and _known(rows[signature, model])
    ]
    return plots.differences(bars, colours, baseline) if bars else None


def _known(row: Mapping[str, Any]) -> bool:
    return row["difference"] is not None and None not in row["interval"]


def _bar(comparison: Comparison, row: Mapping[str, Any]) -> plots.Bar:
    size = abs(row["score_a"])
    low, high = row["interval"]
    smallest = row["minimum_detectable_effect"]
    name = comparison["signatures"][row["metric"]]["name"]
    share = None if smallest is None else smallest / size
    return plots.Bar(name, row["b"], row["difference"] / size, low / size, high / size, share)
