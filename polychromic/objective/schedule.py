"""How strong the diversity term is at a step.

lambda keeps the users' meaning, a weight against the demonstrations' mean loss a token, or with ``unit: sequence``
against the loss of a whole demonstration. What moves it is stated here: a warm-up, a cap on the strength per sequence,
a controller that holds the diversity gradient at a share of the total, and the calibrated mode that pulls the sets'
diversity up to a target, such as the demonstrations' own, instead of maximising it. Only past batches enter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from polychromic.core.errors import SettingsError
from polychromic.settings.schema import ScheduleSection

DEMONSTRATIONS: Literal["demonstrations"] = "demonstrations"
RISE = 0.1
"""How fast running means follow: the weight of the newest observation."""


@dataclass
class WeightSchedule:
    """The weight of the diversity term, step by step, from lambda and what the past batches showed."""

    weight: float
    options: ScheduleSection = field(default_factory=ScheduleSection)
    log_ratio: float | None = None
    diversity: float | None = None

    @property
    def target(self) -> float | None:
        """What the sets' worth is pulled towards, if anything; raises SettingsError while it is not known."""
        if isinstance(self.options.calibrated, str):
            raise SettingsError("polychromic.schedule.calibrated: the demonstrations' diversity was not measured")
        return self.options.calibrated

    def at(self, step: int, tokens_per_demonstration: float) -> float:
        """The weight at ``step`` (from 0), never negative; 0 when calibrated and the sets have reached the target."""
        if self.weight == 0:
            return 0.0
        weight = self._steady(tokens_per_demonstration)
        if step < self.options.warmup_steps:
            weight *= (step + 1) / (self.options.warmup_steps + 1)
        cap = self.options.max_lambda_eff
        if cap is not None and tokens_per_demonstration > 0:
            weight = min(cap / tokens_per_demonstration, weight)
        return weight

    def _steady(self, tokens: float) -> float:
        share, target = self.options.target_share, self.target
        if share is not None and self.log_ratio is not None:
            return share / (1.0 - share) * math.exp(self.log_ratio)
        weight = self.weight
        if self.options.unit == "sequence":
            weight = weight / tokens if tokens > 0 else 0.0
        if target is not None and self.diversity is not None:
            return 2.0 * weight * max(0.0, target - self.diversity)
        return weight

    def observe_norms(self, demonstration: float, diversity: float) -> None:
        """Takes the norms of the demonstration gradient and of the **unweighted** diversity gradient of a step."""
        if demonstration > 0 and diversity > 0 and math.isfinite(demonstration) and math.isfinite(diversity):
            self.log_ratio = _follow(self.log_ratio, math.log(demonstration / diversity))

    def measure_gradients_at(self, step: int, steps_between: int) -> bool:
        """Whether the gradients are looked at in ``step``, when only every ``steps_between``-th step has both.

        It is the first such step of every ``monitor_every`` steps.
        """
        every = self.options.monitor_every
        return every > 0 and step % every < steps_between

    def observe_value(self, diversity: float) -> None:
        """Takes a step's mean set value."""
        if math.isfinite(diversity):
            self.diversity = _follow(self.diversity, diversity)

    def state_dict(self) -> dict[str, float | None]:
        """The state as plain JSON."""
        return {"log_ratio": self.log_ratio, "diversity": self.diversity}

    def load_state_dict(self, state: Mapping[str, float | None]) -> None:
        """Takes up a saved state."""
        self.log_ratio, self.diversity = state["log_ratio"], state["diversity"]


def _follow(old: float | None, new: float) -> float:
    return new if old is None else (1.0 - RISE) * old + RISE * new
