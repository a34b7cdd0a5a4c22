"""Which cells there are, in the order they are run: options chosen first, then budgets, then seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.efficacy import inference
from benchmarks.efficacy.cells import Cell
from benchmarks.efficacy.methods import BY_NAME, COMPOSED, DOSES, METHODS, OURS, SCALES, Method
from polychromic.records.jsonl import read_json, write_json

Figures = dict[str, Any]
Runner = Callable[[Iterable[Cell]], list[Figures]]

TUNING_SEED = 100
ONE_SEED = ("naive",)
"""Its gradient is SFT's bit for bit, as the certificate shows: one seed is enough to see it."""
TUNING_PROMPTS = 150
TUNING_TEMPERATURES = (0.8, 1.0, 1.25)


@dataclass(frozen=True)
class Grid:
    """How much is run: tasks, methods, the steps of those that draw samples, and the seeds of each part."""

    tasks: tuple[str, ...] = ("countdown", "grammar")
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    steps: int = 150
    dose_seeds: tuple[int, ...] = (0,)
    threshold_seeds: tuple[int, ...] = (0,)
    methods: tuple[str, ...] = tuple(method.name for method in METHODS)


GRIDS = {
    "small": Grid(seeds=(0, 1), dose_seeds=(), methods=("sft", "gem", "accuracy", "dra", "ours")),
    "medium": Grid(threshold_seeds=(0, 1)),
    "night": Grid(seeds=tuple(range(10)), dose_seeds=(0, 1, 2, 3, 4), threshold_seeds=(0, 1, 2)),
}


def chosen(task: str, grid: Grid, run: Runner, out: Path) -> dict[str, tuple[str, ...]]:
    """Each method's option: the largest hypervolume of pass@1 and distinct-and-correct@16 on validation prompts."""
    asked = [
        (method.name, option, _tuning_cell(task, method, place, option, grid))
        for method in METHODS
        if method.name in grid.methods
        for place, option in enumerate(method.options)
        if len(method.options) > 1
    ]
    found = run([cell for _, _, cell in asked])
    volumes = {
        (name, option): inference.rows([one])[0].volume for (name, option, _), one in zip(asked, found, strict=True)
    }
    best = {method.name: method.options[0] for method in METHODS if method.name in grid.methods}
    for name in {name for name, _ in volumes}:
        best[name] = max(BY_NAME[name].options, key=lambda option: volumes[name, option])
    table = [{"method": name, "option": list(option), "volume": value} for (name, option), value in volumes.items()]
    write_json(out / task / "choice.json", {"chosen": {k: list(v) for k, v in best.items()}, "tried": table})
    return best


def _tuning_cell(task: str, method: Method, place: int, option: tuple[str, ...], grid: Grid) -> Cell:
    return Cell(
        task, method.name, f"option {place}", TUNING_SEED, option, grid.steps,
        split="validation", prompts=TUNING_PROMPTS if task == "countdown" else 50, temperatures=TUNING_TEMPERATURES,
    )  # fmt: skip


def budgets(task: str, grid: Grid, best: dict[str, tuple[str, ...]], run: Runner, out: Path) -> dict[str, int]:
    """Steps of SFT that cost what a run of ours costs, in processor seconds and in forward tokens.

    Measured once, one run after the other, and kept, so that a continued grid has the same budgets.
    """
    path = out / task / "budgets.json"
    if path.exists():
        return dict(read_json(path)["steps"])
    cells = [
        Cell(
            task,
            name,
            "budget",
            TUNING_SEED,
            best[name],
            grid.steps,
            split="validation",
            prompts=10,
            temperatures=(1.0,),
        )
        for name in (OURS.name, "sft")
    ]
    (ours,), (sft,) = run(cells[:1]), run(cells[1:])
    ratios = {cost: ours[cost] / sft[cost] for cost in ("processor_seconds", "forward_tokens")}
    steps = {
        "same steps": grid.steps,
        "same time": round(grid.steps * ratios["processor_seconds"], -1),
        "same tokens": round(grid.steps * ratios["forward_tokens"], -1),
    }
    steps = {name: int(value) for name, value in steps.items()}
    write_json(path, {"steps": steps, "ratios": ratios})
    return steps


def main_cells(task: str, grid: Grid, best: dict[str, tuple[str, ...]], steps: dict[str, int]) -> Iterator[Cell]:
    """Every method at its option, seed by seed; methods that draw no samples at several budgets."""
    yield Cell(task, "base", "untrained", 0)
    for seed in grid.seeds:
        for name in grid.methods:
            method, option = BY_NAME[name], best[name]
            if name in ONE_SEED and seed != grid.seeds[0]:
                continue
            if method.family == "samples":
                yield Cell(task, name, "same steps", seed, option, grid.steps)
                continue
            for label in ("same steps", "same time", "same tokens") if name == "sft" else ("same steps", "same tokens"):
                scales = (1.0, *SCALES) if name == "sft" and label != "same time" else (1.0,)
                yield Cell(task, name, label, seed, option, steps[label], scales)
            if name == "sft":
                yield Cell(task, name, "half the steps", seed, option, grid.steps // 2)
        for name, parts in COMPOSED.items():
            if set(parts) <= set(grid.methods):
                option = tuple(override for part in parts for override in best[part])
                yield Cell(task, name, "same steps", seed, option, grid.steps)


def dose_cells(task: str, grid: Grid) -> Iterator[Cell]:
    """Ours at other weights and set sizes."""
    for seed in grid.dose_seeds:
        for label, overrides in DOSES:
            yield Cell(task, "dose", label, seed, overrides, grid.steps, temperatures=(1.0,))
