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
LEAST = 0.3
"""Of a method's usual steps: with fewer there is nothing to compare."""
LABELS = {
    "samples": ("same steps",),
    "demonstrations": ("same steps", "same tokens"),
    "harvest": ("same time", "same tokens"),
    "sft": ("same steps", "same time", "same tokens", "half the steps"),
}
"""The budgets each family is run at, or a method by its name."""


@dataclass(frozen=True)
class Grid:
    """How much is run: tasks, methods, the steps of those that draw samples, and the seeds of each part."""

    tasks: tuple[str, ...] = ("countdown", "grammar")
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    steps: int = 150
    dose_seeds: tuple[int, ...] = (0,)
    threshold_seeds: tuple[int, ...] = (0,)
    methods: tuple[str, ...] = tuple(method.name for method in METHODS)
    given: tuple[tuple[str, int], ...] = ()
    """Methods whose option is not chosen but given, by its place."""
    labels: tuple[str, ...] = ("same steps", "same time", "same tokens", "half the steps")


GRIDS = {
    "small": Grid(seeds=(0, 1), dose_seeds=(), methods=("sft", "gem", "accuracy", "dra", "ours")),
    "harvest": Grid(
        seeds=(0, 1, 2),
        dose_seeds=(),
        threshold_seeds=(),
        labels=("same steps", "same time"),
        methods=("sft", "rft_by_frequency", "harvest", "ours"),
    ),
    "medium": Grid(threshold_seeds=(0, 1)),
    "night": Grid(seeds=tuple(range(10)), dose_seeds=(0, 1, 2, 3, 4), threshold_seeds=(0, 1, 2)),
}


def chosen(task: str, grid: Grid, run: Runner, out: Path) -> dict[str, tuple[str, ...]]:
    """Each method's option: the largest hypervolume of pass@1 and distinct-and-correct@16 on validation prompts."""
    asked = [
        (method.name, option, _tuning_cell(task, method, place, option, grid))
        for method in METHODS
        if method.name in grid.methods and method.name not in dict(grid.given)
        for place, option in enumerate(method.options)
        if len(method.options) > 1
    ]
    found = run([cell for _, _, cell in asked])
    volumes = {
        (name, option): inference.rows([one])[0].volume for (name, option, _), one in zip(asked, found, strict=True)
    }
    places = dict(grid.given)
    best = {one.name: one.options[places.get(one.name, 0)] for one in METHODS if one.name in grid.methods}
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


Budgets = dict[str, dict[str, int]]


def budgets(task: str, grid: Grid, best: dict[str, tuple[str, ...]], run: Runner, out: Path) -> Budgets:
    """Steps that cost what a run of ours costs, in processor seconds and in forward tokens, by method and label.

    Measured once, one run after the other, and kept, so that a continued grid has the same budgets.
    """
    path = out / task / "budgets.json"
    if path.exists():
        return dict(read_json(path)["steps"])
    names = [name for name in (OURS.name, "sft", "harvest") if name in grid.methods]
    found = {name: run([_budget_cell(task, name, best[name], grid)])[0] for name in names}
    labels = {"same time": "processor_seconds", "same tokens": "forward_tokens"}
    costs = {label: {name: float(one[cost]) for name, one in found.items()} for label, cost in labels.items()}
    steps: Budgets = {}
    for label, by_name in costs.items():
        for name, share in affordable(by_name).items():
            steps.setdefault(name, {})[label] = int(round(grid.steps * share, -1))
    write_json(path, {"steps": steps, "costs": costs})
    return steps


def affordable(cost: dict[str, float]) -> dict[str, float]:
    """How often its own steps each method is run for what ``ours`` costs, by what runs of as many steps cost.

    Methods whose drawing alone costs nearly as much are left out.
    """
    ours, sft = cost[OURS.name], cost["sft"]
    shares = {"sft": ours / sft}
    if "harvest" in cost:
        harvest = cost["harvest"]
        shares |= {
            "harvest": 1 + (ours - harvest) / sft,
            "harvest_rounds": 1 + (ours - 2 * harvest) / sft,
            "harvest_and_ours": (ours - (harvest - sft)) / ours,
            "harvest_then_ours": (ours - harvest) / ours,
        }
        shares["rft_by_frequency"] = shares["harvest"]
    return {name: share for name, share in shares.items() if share >= LEAST}


def _budget_cell(task: str, name: str, option: tuple[str, ...], grid: Grid) -> Cell:
    return Cell(
        task, name, "budget", TUNING_SEED, option, grid.steps, split="validation", prompts=10, temperatures=(1.0,)
    )


def main_cells(task: str, grid: Grid, best: dict[str, tuple[str, ...]], steps: Budgets) -> Iterator[Cell]:
    """Every method at its option, seed by seed; methods that draw no samples while training at several budgets."""
    yield Cell(task, "base", "untrained", 0)
    for seed in grid.seeds:
        for name in grid.methods:
            if name in ONE_SEED and seed != grid.seeds[0]:
                continue
            yield from _method_cells(task, grid, BY_NAME[name], best[name], steps, seed)
        for name, whole in COMPOSED.items():
            if {*whole.parts, whole.before or "sft"} <= set(grid.methods):
                yield from _composed_cells(task, grid, name, best, steps, seed)


def _method_cells(
    task: str, grid: Grid, method: Method, option: tuple[str, ...], steps: Budgets, seed: int
) -> Iterator[Cell]:
    """A method's cells of one seed."""
    name = method.name
    own = {"same steps": grid.steps, "half the steps": grid.steps // 2} | steps.get(
        name, steps["sft"] if method.family == "demonstrations" else {}
    )
    for label in LABELS[name if name in LABELS else method.family]:
        if label in own and (label in grid.labels or method.family == "samples"):
            scales = (1.0, *SCALES) if name == "sft" and label in ("same steps", "same tokens") else (1.0,)
            yield Cell(task, name, label, seed, option, own[label], scales)


def _composed_cells(
    task: str, grid: Grid, name: str, best: dict[str, tuple[str, ...]], steps: Budgets, seed: int
) -> Iterator[Cell]:
    whole = COMPOSED[name]
    option = tuple(override for part in whole.parts for override in best[part]) + whole.more
    before = (best[whole.before], grid.steps) if whole.before else None
    if "harvest" not in (*whole.parts, whole.before):
        yield Cell(task, name, "same steps", seed, option, grid.steps)
    elif "same time" in steps.get(name, {}):
        yield Cell(task, name, "same time", seed, option, steps[name]["same time"], before=before)


def dose_cells(task: str, grid: Grid) -> Iterator[Cell]:
    """Ours at other weights and set sizes."""
    for seed in grid.dose_seeds:
        for label, overrides in DOSES:
            yield Cell(task, "dose", label, seed, overrides, grid.steps, temperatures=(1.0,))
