"""One cell of the grid: a method with one option and one seed, trained by the project's own stage and read.

A cell that has its ``figures.json``, made with the same overrides and steps, is done. One that was interrupted starts
anew, so that its cost is that of a whole run. Costs are processor seconds and forward tokens: every token id that
passes an embedding, padding included.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from polychromic.records.jsonl import read_json, write_json
from polychromic.settings.load import load_settings
from polychromic.settings.schema import Settings
from polychromic.stages import merge, train

HERE = Path(__file__).parent
TEMPERATURES = (0.7, 1.0, 1.4)


@dataclass(frozen=True)
class Cell:
    """``steps`` of training (0: the base as it is), read at each of ``scales`` of the adapter's strength.

    ``label`` tells cells of one method apart. Figures are of ``prompts`` prompts of ``split`` at ``temperatures``.
    ``before`` are the changes and steps of a run whose adapter is merged into the base first.
    """

    task: str
    method: str
    label: str
    seed: int
    overrides: tuple[str, ...] = ()
    steps: int = 0
    scales: tuple[float, ...] = (1.0,)
    split: str = "test"
    prompts: int = 250
    temperatures: tuple[float, ...] = TEMPERATURES
    before: tuple[tuple[str, ...], int] | None = None

    def folder(self, out: Path) -> Path:
        """Where the cell keeps what it found."""
        label = self.label.replace(" ", "_").replace(",", "")
        return out / self.task / self.split / f"{self.method}-{label}" / f"seed-{self.seed}"

    def settings(self, out: Path) -> Settings:
        """The resolved configuration."""
        placed = [f"experiment.seed={self.seed}", f"training.max_steps={max(1, self.steps)}"]
        made = out / f"{self.task}-base"
        if made.exists():
            placed.append(f"model.name_or_path={made}")
        return load_settings(HERE / f"{self.task}.yaml", [*self.overrides, *placed])


def run(cell: Cell, out: Path) -> dict[str, Any]:
    """The cell's figures, from its file or from a run."""
    from benchmarks.efficacy.reading import read

    folder = cell.folder(out)
    path = folder / "figures.json"
    facts = {
        "task": cell.task,
        "method": cell.method,
        "label": cell.label,
        "seed": cell.seed,
        "overrides": list(cell.overrides),
        "steps": cell.steps,
        "before": cell.before and [list(cell.before[0]), cell.before[1]],
    }
    if path.exists():
        held = dict(read_json(path))
        if _asked(held) == _asked(facts):
            return held
    shutil.rmtree(folder, ignore_errors=True)
    settings = cell.settings(out)
    with forward_tokens() as tokens:
        began = time.process_time()
        if cell.before:
            settings = _started(cell, settings, out)
        if cell.steps:
            train.run(settings, folder / "run")
        seconds = time.process_time() - began
    found = facts | {
        "processor_seconds": round(seconds, 2),
        "forward_tokens": tokens[0],
        "readings": {f"{scale:g}": read(cell, scale, folder / "run", settings) for scale in cell.scales},
    }
    write_json(path, found)
    for part in ("run", "before", "merged"):
        shutil.rmtree(folder / part, ignore_errors=True)
    return found


def _asked(facts: Mapping[str, Any]) -> list[Any]:
    return [facts.get(name) for name in ("overrides", "steps", "before")]


def _started(cell: Cell, settings: Settings, out: Path) -> Settings:
    """``settings`` from a base into which the run before is merged."""
    assert cell.before is not None
    overrides, steps = cell.before
    folder = cell.folder(out)
    train.run(replace(cell, overrides=overrides, steps=steps, before=None).settings(out), folder / "before")
    model = settings.model.model_copy(
        update={"name_or_path": str(merge.run(folder / "before", folder / "merged", "float32"))}
    )
    return settings.model_copy(update={"model": model})


@contextmanager
def forward_tokens() -> Iterator[list[int]]:
    """Counts the token ids that pass an embedding while it is open."""
    count = [0]

    def add(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, torch.nn.Embedding) and inputs:
            count[0] += inputs[0].numel()

    handle = torch.nn.modules.module.register_module_forward_pre_hook(add)
    try:
        yield count
    finally:
        handle.remove()
