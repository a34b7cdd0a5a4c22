"""Which figures a comparison can show, and their data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polychromic.reporting import plots, tables
from polychromic.reporting import runs as training

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
        _against_length(comparison, colours),
        _dose(comparison, colours, temperature, lambdas),
        _training(runs, colours),
    ]
    return [figure for figure in candidates if figure is not None]


def _pass_curves(comparison: Comparison, colours: Mapping[str, str], temperature: float) -> plots.Figure | None:
    known = comparison["signatures"]
    curves: dict[str, plots.Curve] = {}
    for model in comparison["models"]:
        points = sorted(
            (known[row["signature"]]["k"], row["score"], *row["interval"])
            for row in tables.at(comparison["scores"], temperature)
            if row["model"] == model and known[row["signature"]]["kind"] == "pass_at_k" and _whole(row)
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


def _against_length(comparison: Comparison, colours: Mapping[str, str]) -> plots.Figure | None:
    """Lexical diversity against length if both are there: where the two move together, length may be the cause."""
    known = comparison["signatures"]
    lengths = [each for each, facts in known.items() if facts["kind"] == "length"]
    lexical = [
        each for each in tables.headline_signatures(comparison) if known[each]["kind"] in ("distinct", "self_bleu")
    ]
    if not lengths or not lexical:
        return None
    wanted = (min(lengths, key=lambda each: "tokens" not in each), lexical[0])
    rows = {(row["model"], row["temperature"], row["signature"]): row for row in comparison["scores"] if _whole(row)}
    models: dict[str, list[tuple[float, ...]]] = {}
    for model, temperature in dict.fromkeys(key[:2] for key in rows):
        pair = [rows.get((model, temperature, each)) for each in wanted]
        if pair[0] and pair[1]:
            point = (temperature, pair[0]["score"], pair[1]["score"], *pair[0]["interval"], *pair[1]["interval"])
            models.setdefault(model, []).append(point)
    return plots.against_length(models, colours, [known[each]["name"] for each in wanted]) if models else None


def _dose(
    comparison: Comparison, colours: Mapping[str, str], temperature: float, lambdas: Mapping[str, float]
) -> plots.Figure | None:
    known = comparison["signatures"]
    signatures = [comparison["frontier"].get(key) for key in ("diversity", "quality")]
    rows = {
        (row["model"], row["signature"]): row for row in tables.at(comparison["scores"], temperature) if _whole(row)
    }
    ordered = sorted((weight, model) for model, weight in lambdas.items() if model in comparison["models"])
    panels = []
    for signature in filter(None, signatures):
        points = [
            (weight, model, rows[model, signature]["score"], *rows[model, signature]["interval"])
            for weight, model in ordered
            if (model, signature) in rows
        ]
        if len({point[0] for point in points}) > 1:
            panels.append((known[signature]["name"], points))
    return plots.dose_response(panels, colours) if panels else None


def _training(runs: Mapping[str, Path], colours: Mapping[str, str]) -> plots.Figure | None:
    curves = {model: training.curves(path) for model, path in runs.items() if model in colours}
    panels = []
    for title in training.PANELS:
        lines = {model: found[title] for model, found in curves.items() if title in found}
        if lines:
            panels.append((title, lines))
    return plots.training(panels, colours) if panels else None


def _differences(comparison: Comparison, colours: Mapping[str, str], temperature: float) -> plots.Figure | None:
    known = comparison["signatures"]
    wanted = [each for each in tables.headline_signatures(comparison) if known[each]["role"] != "length"]
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
