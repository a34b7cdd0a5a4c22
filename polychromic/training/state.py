"""What the objective has learnt so far, kept in ``trainer_state.json`` and so in every checkpoint."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from polychromic.objective.combined import DiversityObjective
from polychromic.objective.schedule import WeightSchedule


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
