"""Adapters compared by their weights -> lora.json and a heat map."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from polychromic.analysis.lora_weights import contrast, describe, read_factors, remarks
from polychromic.records.jsonl import write_json
from polychromic.reporting import palette, plots
from polychromic.reporting.drawing import Figure


def run(adapters: Mapping[str, str | Path], out: str | Path | None = None) -> dict[str, Any]:
    """Every adapter's modules, every pair's angles, and which adapters are the same or add nothing.

    With ``out``, ``lora.json`` and the heat map are written there.

    Raises:
        MissingResourceError: a folder holds no adapter.
        InputError: two adapters have no module in common, or belong to different models.
    """
    factors = {name: read_factors(path) for name, path in adapters.items()}
    result: dict[str, Any] = {
        "adapters": {name: [asdict(row) for row in describe(found)] for name, found in factors.items()},
        "pairs": [
            {"a": a, "b": b, "modules": [asdict(row) for row in contrast(factors[a], factors[b])]}
            for a, b in combinations(factors, 2)
        ],
        "remarks": remarks(factors),
    }
    if out is not None:
        write_json(Path(out) / "lora.json", result)
        for figure in heat_maps(result["pairs"]):
            figure.write(Path(out))
    return result


def heat_maps(pairs: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """A heat map of the cosines, layers x kinds of module, for each pair; its file is named after the pair."""
    found: dict[str, Figure] = {}
    for number, pair in enumerate(pairs, start=1):
        cosines = {split(row["module"]): row["cosine"] for row in pair["modules"]}
        rows = sorted({layer for layer, _ in cosines}, key=lambda layer: (not layer.isdigit(), int(layer or -1)))
        columns = list(dict.fromkeys(kind for _, kind in cosines))
        grid = [[cosines.get((row, column), float("nan")) for column in columns] for row in rows]
        title = f"Cosine of the updates of {pair['a']} and {pair['b']}"
        name = "lora-cosine-" + re.sub(r"[^A-Za-z0-9_.]+", "-", f"{pair['a']}-{pair['b']}").strip("-")
        name = name if name not in found else f"{name}-{number}"
        found[name] = plots.heat_map(plots.Grid(name, title, rows, columns, grid), palette.HUES)
    return list(found.values())


def split(module: str) -> tuple[str, str]:
    """A module's layer number (empty if it has none) and the rest of its name after it."""
    parts = module.split(".")
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    if not numbers:
        return "", parts[-1]
    return parts[numbers[0]], parts[-1]
