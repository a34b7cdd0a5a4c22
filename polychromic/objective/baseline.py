"""Control variates: what may be subtracted from a credit without moving the gradient, to make it quieter.

The default is ``b_i = a + c * r_i``: ``r_i`` is the credit's leave-one-out reference, ``(a, c)`` a running regression
of credits on references over **past** batches. Nothing in ``b_i`` depends on ``y_i``, so the gradient stays exactly
unbiased, and no further generations are needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polychromic.core.errors import InputError

BaselineKind = Literal["control_variate", "leave_one_out", "mean", "none"]
KINDS: tuple[BaselineKind, ...] = ("control_variate", "leave_one_out", "mean", "none")

PRIOR_SLOPE = 1.0
PRIOR_SPREAD = 0.05
"""The regression starts at the plain leave-one-out baseline and leaves it as evidence comes in: the prior weighs as
much as this much summed squared deviation of the references."""

Moments = NDArray[np.float64]


@dataclass
class Baseline:
    """A baseline of one kind with its running moments ``[count, sum r, sum s, sum r r, sum r s]``.

    ``memory`` in (0, 1] multiplies the moments before each batch is added, so that old batches fade.
    """

    kind: BaselineKind = "control_variate"
    memory: float = 0.99
    moments: Moments = field(default_factory=lambda: np.zeros(5))

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"baseline must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if not 0.0 < self.memory <= 1.0:
            raise InputError(f"the baseline's memory must lie in (0, 1], not {self.memory}")

    @property
    def coefficients(self) -> tuple[float, float]:
        """``(a, c)`` as the past batches have them."""
        if self.kind == "none":
            return 0.0, 0.0
        if self.kind == "leave_one_out":
            return 0.0, 1.0
        count, sum_r, sum_s, sum_rr, sum_rs = self.moments
        if count == 0.0:
            return (0.0, 0.0) if self.kind == "mean" else (0.0, PRIOR_SLOPE)
        if self.kind == "mean":
            return float(sum_s / count), 0.0
        spread = max(sum_rr - sum_r * sum_r / count, 0.0)
        together = sum_rs - sum_r * sum_s / count
        slope = (together + PRIOR_SPREAD * PRIOR_SLOPE) / (spread + PRIOR_SPREAD)
        return float((sum_s - slope * sum_r) / count), float(slope)

    def predict(self, reference: NDArray[np.float64]) -> NDArray[np.float64]:
        """``b_i`` for each reference, of the same shape; uses past batches only."""
        a, c = self.coefficients
        return a + c * reference

    def observe(self, moments: Moments) -> None:
        """Takes a batch into the past, after its advantages have been made."""
        self.moments = self.memory * self.moments + moments

    def state_dict(self) -> dict[str, object]:
        """The state as plain JSON."""
        return {"kind": self.kind, "memory": self.memory, "moments": self.moments.tolist()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Takes up a saved state; raises InputError when it is another kind's or damaged."""
        moments = np.asarray(state.get("moments"), dtype=np.float64)
        if state.get("kind") != self.kind or moments.shape != (5,) or not np.all(np.isfinite(moments)):
            raise InputError(f"the saved baseline does not fit a {self.kind} baseline: {state}")
        self.moments = moments


def batch_moments(values: NDArray[np.float64], reference: NDArray[np.float64]) -> Moments:
    """``[count, sum r, sum s, sum r r, sum r s]`` of a batch; moments of several ranks are added."""
    r, s = reference.ravel(), values.ravel()
    return np.array([r.size, r.sum(), s.sum(), (r * r).sum(), (r * s).sum()])
