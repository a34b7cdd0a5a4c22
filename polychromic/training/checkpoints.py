"""Checkpoints that are whole or not at all.

transformers writes a checkpoint in place; when it is done, every file is flushed to disk and a MANIFEST.json with sizes
and hashes seals the folder. Only sealed checkpoints whose files agree with their manifest are resumed from, newest
first, and older ones are removed only after a newer one has been verified. What the objective has learnt is kept in
``trainer_state.json`` and so in every checkpoint.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from polychromic.core.errors import InputError, RecordError
from polychromic.objective.diversity_objective import DiversityObjective
from polychromic.objective.schedule import WeightSchedule
from polychromic.records.jsonl import read_json, sync_folder, write_json

MANIFEST = "MANIFEST.json"
KEPT = 2
"""The newest checkpoints that are never removed."""
_NAME = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class Found:
    """The newest complete checkpoint (None: there is none) and why newer ones were passed over."""

    newest: Path | None
    rejected: tuple[str, ...]


def seal(folder: Path, **facts: Any) -> None:
    """Flushes every file of a checkpoint to disk, then writes its manifest."""
    (folder / MANIFEST).unlink(missing_ok=True)
    files = {}
    for path in _files(folder):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files[str(path.relative_to(folder))] = {"bytes": path.stat().st_size, "sha256": digest}
    sync_folder(folder)
    write_json(folder / MANIFEST, {"files": files, **facts})
    sync_folder(folder.parent)


def corruption_reason(folder: Path) -> str:
    """What is wrong with a checkpoint; empty when it is complete."""
    if not (folder / MANIFEST).is_file():
        return "it was never completed"
    try:
        files = read_json(folder / MANIFEST)["files"]
        for name, said in files.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != said["bytes"]:
                return f"{name} has {path.stat().st_size} bytes, not {said['bytes']}"
            if hashlib.sha256(path.read_bytes()).hexdigest() != said["sha256"]:
                return f"{name} has changed"
    except (RecordError, KeyError, TypeError, AttributeError):
        return "its manifest cannot be read"
    return ""


def ranks_of(folder: Path) -> int:
    """How many ranks wrote a sealed checkpoint."""
    return int(read_json(folder / MANIFEST).get("ranks", 1))


def newest_complete(root: Path) -> Found:
    """The checkpoint to resume from.

    Raises:
        InputError: there are sealed checkpoints, and all of them are damaged.
    """
    rejected: list[str] = []
    damaged = 0
    for folder in checkpoints(root):
        wrong = corruption_reason(folder)
        if not wrong:
            return Found(folder, tuple(rejected))
        rejected.append(f"{folder.name}: {wrong}")
        damaged += (folder / MANIFEST).exists()
    if damaged:
        raise InputError(
            f"{root}: every checkpoint is damaged ({'; '.join(rejected)}); remove the folder to start anew"
        )
    return Found(None, tuple(rejected))


def checkpoints(root: Path) -> list[Path]:
    """The checkpoint folders, newest first."""
    if not root.is_dir():
        return []
    named = [(int(match[1]), path) for path in root.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(named, reverse=True) if path.is_dir()]


def rotate(root: Path, limit: int) -> None:
    """Removes the oldest sealed checkpoints beyond ``limit`` valid ones, never the last ``KEPT``."""
    kept = 0
    for folder in checkpoints(root):
        if kept >= max(limit, KEPT) and (folder / MANIFEST).is_file():
            shutil.rmtree(folder, ignore_errors=True)
        elif not corruption_reason(folder):
            kept += 1


class ChecksummedCheckpoints(TrainerCallback):  # type: ignore[misc]
    """Seals each checkpoint the trainer saves and takes over rotation (``save_total_limit``) from transformers.

    Every rank writes its part, so ``wait`` returns when all have; rank 0 seals.
    """

    def __init__(self, wait: Callable[[], None] = lambda: None, **facts: Any) -> None:
        self.wait = wait
        self.facts = facts
        self.limit: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Takes over the limit, so that nothing is removed before its successor is sealed."""
        self.limit, args.save_total_limit = args.save_total_limit or self.limit, None

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Seals the newest checkpoint, then rotates."""
        self.wait()
        root = Path(args.output_dir)
        folder = root / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            seal(folder, step=state.global_step, **self.facts)
            if self.limit:
                rotate(root, self.limit)


class ObjectiveState(TrainerCallback, ExportableState):  # type: ignore[misc]
    """Saves the control variate and the weight schedule with every checkpoint, and takes them up on resuming."""

    def __init__(self, objective: DiversityObjective | None = None, schedule: WeightSchedule | None = None) -> None:
        self.objective, self.schedule = objective, schedule

    def state(self) -> dict[str, Any]:
        """Plain JSON, as transformers keeps it."""
        saved = {}
        if self.objective is not None and self.schedule is not None:
            saved = {"objective": self.objective.state_dict(), "schedule": self.schedule.state_dict()}
        return {"args": {}, "attributes": saved}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Takes up the state of the checkpoint that the run resumes from."""
        stored = state.stateful_callbacks.get(type(self).__name__)
        saved = stored.get("attributes") if isinstance(stored, dict) else None
        if saved and state.global_step > 0 and self.objective is not None and self.schedule is not None:
            self.objective.load_state_dict(saved["objective"])
            self.schedule.load_state_dict(saved["schedule"])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
