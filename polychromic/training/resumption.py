"""What a run takes up when it continues, beside weights, optimizer and random states: the numbers it was counting.

transformers and TRL start their sums anew with every call. Kept in ``trainer_state.json``, and so in every checkpoint,
they make the log of an interrupted run equal to the uninterrupted one's.
"""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

ADDED = ("_total_loss_scalar", "_globalstep_last_logged", "_total_train_tokens")
"""The trainer's own sums: of the loss, up to the step of the last log, and of tokens."""


class ObjectiveState(TrainerCallback, ExportableState):  # type: ignore[misc]
    """Saves the control variate, weight schedule and sums with every checkpoint; takes them up on resuming.

    ``trainer`` is a PolychromicTrainer. With several ranks the numbers since the last log are those of the first rank.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self._counting = False

    def state(self) -> dict[str, Any]:
        """Plain JSON, as transformers keeps it."""
        trainer, saved = self.trainer, {}
        if trainer.term is not None:
            saved = {"objective": trainer.term.objective.state_dict(), "schedule": trainer.schedule.state_dict()}
        if self._counting:
            sums = {name: getattr(trainer, name) for name in ADDED} | {"_tr_loss": trainer._tr_loss.item()}
            since = {"trl": dict(trainer._metrics["train"]), "polychromic": trainer.metrics.state_dict()}
            saved |= {"sums": sums, "since_last_log": since}
        return {"args": {}, "attributes": saved}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Takes up the state of the checkpoint that the run resumes from; at its last step nothing more is trained."""
        self._counting = True
        if state.global_step >= state.max_steps:  # transformers looks at that after one step more
            self.trainer.get_batch_samples = _no_batches
            control.should_training_stop = True
        stored = state.stateful_callbacks.get(type(self).__name__)
        saved = stored.get("attributes") if isinstance(stored, dict) else None
        if not saved or state.global_step == 0:
            return
        state.compute_steps(args, state.max_steps)  # the checkpoint has those of the settings it was made with
        trainer = self.trainer
        if trainer.term is not None:
            trainer.term.objective.load_state_dict(saved["objective"])
            trainer.schedule.load_state_dict(saved["schedule"])
        _follow_schedule(kwargs["optimizer"], kwargs["lr_scheduler"])
        if "sums" not in saved:  # a checkpoint of an older version
            return
        for name in ADDED:
            setattr(trainer, name, saved["sums"][name])
        trainer._tr_loss.fill_(saved["sums"]["_tr_loss"])
        trainer._metrics["train"].update(saved["since_last_log"]["trl"])
        trainer.metrics.load_state_dict(saved["since_last_log"]["polychromic"])


def _no_batches(*_: Any) -> tuple[list[Any], None]:
    return [], None


def _follow_schedule(optimizer: Any, scheduler: Any) -> None:
    """Gives the next step the rate of the schedule as it is now: a run that was extended has another than it stored."""
    rates = zip(scheduler.base_lrs, getattr(scheduler, "lr_lambdas", ()), strict=False)
    for group, (base, rule) in zip(optimizer.param_groups, rates, strict=False):
        group["lr"] = base * rule(scheduler.last_epoch)
