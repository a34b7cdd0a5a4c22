"""A run that hangs says so, and where it stands: no step, no micro-batch and no log for many minutes."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from polychromic.training.health import Health

LOOKS = 20
"""Looks at the clock within the time that is allowed."""
FAILED = 1


class Watchdog(TrainerCallback):  # type: ignore[misc]
    """Watches from a thread of its own while a run trains.

    After ``health.hang_minutes`` without a sign of life that is a finding; after twice the time a run that shall stop
    ends with status 1, by ``end``, as what hangs hears nothing else. Checkpoints are whole in any case.
    """

    def __init__(self, health: Health, end: Callable[[int], Any] = os._exit) -> None:
        self.health, self.end = health, end
        self._seconds = 60.0 * (health.section.hang_minutes or 0.0)
        self._done = threading.Event()
        self._sign = time.monotonic()
        self._step = 0
        self._owner = threading.get_ident()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begins to watch."""
        self._owner = threading.get_ident()
        self._alive(state)
        if self._seconds:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Lets go."""
        self.close()

    def close(self) -> None:
        """Lets go, also of a run that broke off."""
        self._done.set()

    def _alive(self, state: TrainerState) -> None:
        self._sign, self._step = time.monotonic(), state.global_step

    def _beat(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._alive(state)

    on_step_begin = on_substep_end = on_step_end = on_prediction_step = on_save = on_log = on_evaluate = _beat

    def _watch(self) -> None:
        told = -1.0
        while not self._done.wait(self._seconds / LOOKS):
            quiet = time.monotonic() - self._sign
            if quiet > self._seconds and told != self._sign:
                told = self._sign
                self.health.found(
                    "hang", f"no sign of life for {quiet / 60:.3g} minutes, in {self.place()}", self._step + 1
                )
            if quiet > 2 * self._seconds and self.health.section.action == "stop":
                self.health.store()
                sys.stderr.write(
                    f"polychromic: the run hangs since {quiet / 60:.3g} minutes in {self.place()} and is ended; "
                    "the same command continues from its last checkpoint\n"
                )
                self.end(FAILED)
                return

    def place(self) -> str:
        """The line of code in which the training thread stands, the innermost of ours or else of anyone's."""
        frame = sys._current_frames().get(self._owner)
        stack = traceback.extract_stack(frame) if frame is not None else []
        ours = [one for one in stack if f"{os.sep}polychromic{os.sep}" in one.filename]
        named = [f"{os.path.basename(one.filename)}:{one.lineno} ({one.name})" for one in (ours[-1:] + stack[-1:])]
        return " > ".join(dict.fromkeys(named)) or "a thread that is gone"
