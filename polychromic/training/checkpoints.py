"""Checkpoints that are whole or not at all.

transformers writes a checkpoint in place; when it is done, every file is flushed to disk and a MANIFEST.json with sizes
and hashes seals the folder. Only sealed checkpoints whose files agree with their manifest are resumed from, newest
first, and older ones are removed only after a newer one has been sealed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from polychromic.core.errors import InputError, RecordError
from polychromic.core.stopping import Stop
from polychromic.records.jsonl import give_usual_mode, read_json, sync_folder, write_json

MANIFEST = "MANIFEST.json"
SEALED = "newest.json"
"""The step of the checkpoint sealed last, beside the checkpoints: where it is, step 0 is not the beginning."""
STATE = "trainer_state.json"
PICKLED = "training_args.bin"
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
        files[str(path.relative_to(folder))] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
    give_usual_mode(folder)
    sync_folder(folder)
    write_json(folder / MANIFEST, {"files": files, **facts})
    sync_folder(folder.parent)


def corruption_reason(folder: Path) -> str:
    """What is wrong with a checkpoint, every file of it read; empty when it is complete."""
    return _size_reason(folder) or next(
        (f"{name} has changed" for name, said in _manifest(folder).items() if _sha256(folder / name) != said["sha256"]),
        "",
    )


def _size_reason(folder: Path) -> str:
    """What is wrong with a checkpoint as far as its files' sizes tell."""
    if not (folder / MANIFEST).is_file():
        return "it was never completed"
    try:
        files = _manifest(folder)
        if STATE not in files:
            return f"its manifest does not name {STATE}"
        for name, said in files.items():
            if not (folder / name).is_file():
                return f"{name} is missing"
            if (size := (folder / name).stat().st_size) != said["bytes"]:
                return f"{name} has {size} bytes, not {said['bytes']}"
            if not isinstance(said["sha256"], str):
                return "its manifest cannot be read"
    except (RecordError, KeyError, TypeError, AttributeError):
        return "its manifest cannot be read"
    return ""


def ranks_of(folder: Path) -> int:
    """How many ranks wrote a sealed checkpoint."""
    return int(read_json(folder / MANIFEST).get("ranks", 1))


def newest_complete(root: Path) -> Found:
    """The checkpoint to resume from.

    Raises:
        InputError: checkpoints were sealed here, and there is none any more that is whole.
    """
    rejected: list[str] = []
    folders = checkpoints(root)
    for folder in folders:
        wrong = corruption_reason(folder)
        if not wrong:
            return Found(folder, tuple(rejected))
        rejected.append(f"{folder.name}: {wrong}")
    if (root / SEALED).exists() or len(folders) > 1 or any((folder / MANIFEST).exists() for folder in folders):
        named = "; ".join(rejected) or "all of them are gone"
        raise InputError(
            f"{root}: every checkpoint is damaged ({named}); bring one back, or remove the folder to start anew"
        )
    return Found(None, tuple(rejected))


def sweep(root: Path) -> None:
    """Removes what a crash left in the folder of the checkpoints: those never completed, and temporary files."""
    for folder in checkpoints(root):
        if not (folder / MANIFEST).exists():
            shutil.rmtree(folder, ignore_errors=True)
    for path in root.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def checkpoints(root: Path) -> list[Path]:
    """The checkpoint folders, newest first."""
    if not root.is_dir():
        return []
    named = [path for path in root.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(named, key=step_of, reverse=True)


def step_of(folder: Path) -> int:
    """The step of a checkpoint's folder, by its name."""
    return int(folder.name.rpartition("-")[2])


def rotate(root: Path, limit: int, best: str | None = None) -> None:
    """Removes the oldest sealed checkpoints beyond ``limit`` valid ones, never the last ``KEPT`` nor the best."""
    kept = 0
    for folder in checkpoints(root):
        if best is not None and folder.name == Path(best).name:
            continue
        if kept >= max(limit, KEPT) and (folder / MANIFEST).is_file():
            shutil.rmtree(folder, ignore_errors=True)
        elif not _size_reason(folder):  # they were read when they were sealed, and are again before one is used
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
        """Seals the newest checkpoint, without transformers' pickle of its arguments; then rotates."""
        self.wait()
        root = Path(args.output_dir)
        folder = root / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            (folder / PICKLED).unlink(missing_ok=True)
            seal(folder, step=state.global_step, **self.facts)
            write_json(root / SEALED, {"step": state.global_step})
            if self.limit:
                rotate(root, self.limit, state.best_model_checkpoint)


class SaveAndStop(TrainerCallback):  # type: ignore[misc]
    """Saves every ``minutes`` (None: never by the clock), and when the run is asked to stop saves and ends it."""

    def __init__(self, stop: Stop, minutes: float | None) -> None:
        self.stop, self.minutes = stop, minutes
        self._saved = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Starts the clock."""
        self._saved = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Asks the trainer for a checkpoint that is due, or for the last one."""
        late = self.minutes is not None and time.monotonic() - self._saved >= 60.0 * self.minutes
        due = late and args.save_strategy != SaveStrategy.NO
        control.should_save = control.should_save or self.stop.heard or due
        control.should_training_stop = control.should_training_stop or self.stop.heard

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The same, when the signal came during a long evaluation; ranks agree at the end of the next step."""
        if args.world_size == 1:
            self.on_step_end(args, state, control)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Starts the clock anew."""
        self._saved = time.monotonic()


def _manifest(folder: Path) -> dict[str, Any]:
    return dict(read_json(folder / MANIFEST)["files"])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
