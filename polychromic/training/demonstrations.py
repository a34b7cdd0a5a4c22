"""The demonstrations' part of a step: halved where the device has too little memory, watched for losses that are none.

A micro-batch that does not fit is run in halves by rows, down to single ones: the same rows, the same gradient. A loss
that is no number would blank transformers' running mean for the rest of the run, so the mean of a log leaves out the
windows (optimizer steps) that hold one; their gradients are not applied either (``faults.FiniteSteps``).
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from polychromic.training.batch import IGNORED, names_of
from polychromic.training.health import Health
from polychromic.training.term import run_or_none_on_oom

Batch = Mapping[str, Any]
NEWEST = 50
"""Windows whose losses make the running median."""
LEAST = 16
"""Numbers that a running median needs."""
NO_NUMBER = "loss that is no number"
SPIKE = 3.0
"""A spike is more than so many times the median, and more than a nat a token above it."""


@dataclass
class Demonstrations:
    """Runs the micro-batches of one trainer."""

    trainer: Any
    health: Health
    most_rows: int | None = None
    """Rows run at a time since the device ran out of memory; None while it has not."""
    share: float = 1.0
    """Of the micro-batch's loss, what the part that is being run counts for."""
    _left: int = 0
    _sum: float = 0.0
    _bad: bool = False
    _rows: list[str] = field(default_factory=list)
    _since_log: list[int] = field(default_factory=lambda: [0, 0])
    _losses: deque[float] = field(default_factory=lambda: deque(maxlen=NEWEST))

    @property
    def done(self) -> bool:
        """Whether the window's last micro-batch has been run."""
        return self._left == 0

    @property
    def last(self) -> bool:
        """Whether the window's last micro-batch is the next to run."""
        return self._left == 1

    def open(self, batches: int) -> None:
        """Begins a window of so many micro-batches."""
        self._left, self._sum, self._bad, self._rows = batches, 0.0, False, []

    def step(self, model: Any, inputs: Batch, items: Any, run: Callable[..., Tensor]) -> Tensor:
        """The loss of a micro-batch, its gradients added; ``run`` is SFTTrainer's own step.

        Raises:
            OutOfMemoryError: not even a single row fits.
        """
        pending, losses = self._parts(inputs), list[Tensor]()
        while pending:
            found = self._attempt(model, pending[0], inputs, partial(run, model, num_items_in_batch=items))
            if found is None:
                self._lower(rows_of(pending[0]))
                pending = [smaller for part in pending for smaller in self._parts(part)]
            else:
                losses.append(found)
                del pending[0]
        return self._counted(losses[0] if len(losses) == 1 else torch.stack(losses).sum(), inputs)

    def predicted(self, model: Any, inputs: Batch, run: Callable[[Any, Any], Any]) -> Any:
        """What SFTTrainer's evaluation makes of a batch: its loss, with as many rows at a time as fit."""
        pending, total = self._parts(inputs), 0.0
        while pending:
            found = run_or_none_on_oom(model, partial(run, model, dict(pending[0])))
            if found is None:
                self._lower(rows_of(pending[0]))
                pending = [smaller for part in pending for smaller in self._parts(part)]
            elif pending[0] is inputs:
                return found
            else:
                total += found[0] * targets(pending.pop(0)) / max(1, targets(inputs))
        return total, None, None

    def mend(self, logs: dict[str, float]) -> None:
        """Makes the means of a log those of the steps whose loss is a number; NaN where there is none.

        ``train_loss`` is of all parts of a run, where transformers takes the steps since it was resumed.
        """
        if "loss" in logs:
            (windows, bad), self._since_log = self._since_log, [0, 0]
            if bad:
                logs["loss"] = logs["loss"] * windows / (windows - bad) if windows > bad else math.nan
        if "train_loss" in logs:
            good = self.trainer.state.global_step - self.health.times(NO_NUMBER)
            logs["train_loss"] = self.trainer._total_loss_scalar / good if good else math.nan

    def _attempt(self, model: Any, part: Batch, whole: Batch, run: Callable[[Any], Tensor]) -> Tensor | None:
        """The part's loss; None when it does not fit, with everything as it was before."""
        trainer, monitor = self.trainer, self.trainer.monitor
        tokens, undo = trainer._total_train_tokens, monitor.mark() if monitor else None
        self.share = 1.0 if part is whole else targets(part) / max(1, targets(whole))
        found = run_or_none_on_oom(model, partial(run, dict(part)))
        self.share = 1.0
        if found is None:
            trainer._total_train_tokens = tokens  # TRL counted what is run again
            if undo:
                undo()
        return found

    def _parts(self, batch: Batch) -> list[Batch]:
        """The batch in parts of at most as many rows as fit; itself while all do."""
        if self.most_rows is None or rows_of(batch) <= self.most_rows:
            return [batch]
        return [part for half in halves(batch) for part in self._parts(half)]

    def _lower(self, rows: int) -> None:
        """Halves what is run at a time, as so many rows were too many."""
        trainer = self.trainer
        if rows < 2 or trainer.aux_loss_enabled or trainer.accelerator.num_processes > 1:
            raise torch.OutOfMemoryError(
                f"a micro-batch of {rows} demonstrations does not fit into the device's memory: lower "
                "training.per_device_train_batch_size or max_length, or turn training.gradient_checkpointing on"
            )
        self.most_rows = (rows + 1) // 2
        said = f"the device had too little memory for {rows} demonstrations at a time; it is given {self.most_rows}"
        self.health.found("memory for demonstrations", said, trainer.state.global_step + 1)

    def _counted(self, loss: Tensor, inputs: Batch) -> Tensor:
        """The loss as transformers may add it up: a window with one that is no number adds up to 0."""
        self._left -= 1
        value, step = float(loss), self.trainer.state.global_step + 1
        if math.isfinite(value) and not self._bad:
            self._sum += value
        elif self._bad:
            loss = torch.zeros_like(loss)
        if not math.isfinite(value):
            self._rows += self._names(inputs)
            loss = torch.full_like(loss, 0.0 if self._bad else -self._sum)
            self._bad = True
        if self._left == 0:
            self._close(step)
        return loss

    def _names(self, batch: Batch) -> list[str]:
        """The ids of a micro-batch's prompts."""
        trainer = self.trainer
        index = trainer.term.index if trainer.term else trainer.ingredients.index(trainer)
        return names_of(batch, index, trainer.processing_class)

    def _close(self, step: int) -> None:
        self._since_log[0] += 1
        if self._bad:
            self._since_log[1] += 1
            self.health.found(NO_NUMBER, "the loss of a step is no number; the step is not applied", step, self._rows)
            return
        if len(self._losses) >= LEAST:
            usual = statistics.median(self._losses)
            if self._sum > max(SPIKE * usual, usual + 1.0):
                said = f"the loss rose to {self._sum:.3g} from a running median of {usual:.3g}"
                self.health.found("loss spike", said, step)
        self._losses.append(self._sum)


def rows_of(batch: Batch) -> int:
    """The rows of a micro-batch."""
    return int(batch["input_ids"].shape[0])


def targets(batch: Batch) -> int:
    """The target tokens of a micro-batch, those that a first position would predict left out."""
    return int((batch["labels"][:, 1:] != IGNORED).sum())


def halves(batch: Batch) -> list[Batch]:
    """The micro-batch in two by rows, padded as the whole is."""
    rows = rows_of(batch)
    middle = (rows + 1) // 2
    return [
        {
            name: value[place] if isinstance(value, Tensor) and value.ndim and value.shape[0] == rows else value
            for name, value in batch.items()
        }
        for place in (slice(0, middle), slice(middle, rows))
    ]
