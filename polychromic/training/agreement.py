"""What the ranks of a run agree on while it trains, and what is said when their number changes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from polychromic.core.errors import InputError
from polychromic.training.checkpoints import newest_complete, ranks_of
from polychromic.training.ranks import Ranks

WISHES = ("should_save", "should_training_stop", "should_evaluate", "should_log")
"""What a trainer's control asks for; a rank alone cannot do any of it."""


class RanksAgree(TrainerCallback):  # type: ignore[misc]
    """What one rank wants at the end of a step, all do: clocks and signals are a rank's own. Comes last."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Asks the others."""
        for name, wish in zip(WISHES, self.ranks.any_of([getattr(control, name) for name in WISHES]), strict=True):
            setattr(control, name, wish)


def checkpoint_of_all(folder: Path, ranks: Ranks, rows: int) -> Path | None:
    """The checkpoint that all ranks continue from, ``rows`` being the demonstrations of a rank's step.

    Warns of what was passed over, and of what another number of ranks changes.

    Raises:
        InputError: all checkpoints are damaged, or this rank does not see that of rank 0.
    """
    name = None
    if ranks.first:
        found = newest_complete(folder)
        name = found.newest and found.newest.name
        for reason in found.rejected:
            warnings.warn(f"checkpoint passed over: {reason}", stacklevel=3)
    name = ranks.told(name)
    if name is None:
        return None
    if not (folder / name).is_dir():
        raise InputError(f"{folder / name}: rank {ranks.index} does not see it; all ranks need the same disk")
    before = ranks_of(folder / name)
    if before != ranks.count:
        warnings.warn(_other_ranks(name, before, ranks.count, rows), stacklevel=3)
    return folder / name


def _other_ranks(checkpoint: str, before: int, now: int, rows: int) -> str:
    return (
        f"{checkpoint} was written by {before} rank{'s' * (before > 1)}, and {now} continue{'s' * (now == 1)}: a step "
        f"is now {now * rows} demonstrations, not {before * rows}, and an epoch has {before}/{now} times the steps; "
        "samples are drawn for other prompts and dropout starts anew, so the result is not that of one number of ranks"
    )
