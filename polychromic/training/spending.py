"""What training takes, written down while it runs, and the budget that stops it with a checkpoint."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from polychromic.analysis.cost import Cost, Prices
from polychromic.analysis.spending import Budget, dollars
from polychromic.core.errors import BudgetError
from polychromic.core.protocols import Task
from polychromic.records.artefacts import RunFolder
from polychromic.records.costs import Meter, TimingRow, append, charge, read_costs
from polychromic.training.logged_metrics import Last, LoggedMetrics

DOLLARS = "polychromic/dollars"
EVERY_SECONDS = 60.0
"""A killed run loses at most so much of its account."""


class Spending(TrainerCallback):  # type: ignore[misc]
    """Adds to the run's ``costs.jsonl`` now and then, and asks for a checkpoint and a stop when the budget is spent.

    The budget is for all trainings and evaluations in the folder around the run's; without a price nothing is stopped.
    """

    def __init__(self, folder: RunFolder, budget: Budget, numbers: LoggedMetrics, judge: Task | None = None) -> None:
        self.folder, self.price, self.budget, self.numbers = folder, budget.prices.per_hour, budget, numbers
        self._judge = judge
        self._meter = Meter()
        self._row = TimingRow("train", 0.0, 0.0, price_per_hour=self.price)
        self._written = time.monotonic()
        self._before = self._own = 0.0
        self._spent_at: int | None = None
        self._first = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Finds out what does the work, and what was spent before."""
        self._first = state.is_world_process_zero
        self._row = TimingRow("train", 0.0, 0.0, args.device.type, devices=args.world_size, price_per_hour=self.price)
        self._before = self.budget.spent()
        self._own = dollars(read_costs(self.folder.path), Prices(self.price))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Writes the account when it is time, warns once, and stops the run when its budget is spent."""
        if not self._first:
            return
        now = time.monotonic() - self._written
        if self.price is not None:
            self.numbers.update({DOLLARS: Last(self._own + self._worth(now))})
        if now >= EVERY_SECONDS:
            self._write()
            self._before, now = self.budget.spent(), 0.0
        if self.budget.limit is None:
            return
        spent = self._before + (0.0 if self.price is None else self._worth(now))
        if spent >= self.budget.limit and state.global_step < state.max_steps:
            self._spent_at = state.global_step
            control.should_save = True
            control.should_training_stop = True
        else:
            self.budget.warn(spent)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ends the account.

        Raises:
            BudgetError: the budget stopped the run.
        """
        self.close()
        if self._spent_at is not None:
            spent, limit, root = self.budget.spent(), self.budget.limit, self.budget.root
            raise BudgetError(
                f"{self.folder.path}: tracking.budget of {limit:g} dollars is spent ({spent:.2f} in {root}); "
                f"stopped at step {self._spent_at} with a checkpoint; a larger budget continues"
            )

    def close(self) -> None:
        """Writes what is not written yet, also after a run that broke off."""
        if self._first:
            self._write()
            self._first = False

    def _worth(self, seconds: float) -> float:
        return Cost("train", 0, seconds, self._row.devices, Prices(self.price)).dollars

    def _write(self) -> None:
        seconds, processor = self._meter.elapsed()
        self._written = time.monotonic()
        self._own += self._worth(seconds)
        append(self.folder.path, [replace(self._row, seconds=seconds, processor_seconds=processor)])
        charge(self.folder.path, self._judge)
