"""Gate: completions the reference model finds about as likely as it finds the demonstrations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from polychromic.core.errors import InputError, UnsoundObjectiveError
from polychromic.core.nouns import SampleSet, Verdict

Reference = Callable[[SampleSet], Sequence[float]]
"""Mean log-likelihood per token (nats, <= 0) of each completion under the model with its adapter switched off."""


@dataclass(frozen=True)
class Likelihood:
    """A completion counts when the reference gives it at least ``threshold`` nats per token.

    ``threshold`` is the ``quantile`` of the demonstrations' own values (see ``threshold_of``) unless it is given.
    ``truncated``: whether a completion that was cut off at the token limit may count.
    """

    needs: ClassVar[tuple[str, ...]] = ("demonstrations",)

    reference: Reference
    quantile: float = 0.05
    threshold: float | None = None
    truncated: Literal["invalid", "valid"] = "invalid"

    def __post_init__(self) -> None:
        if not 0.0 <= self.quantile <= 1.0:
            raise InputError(f"likelihood: quantile must lie in [0, 1], not {self.quantile}")

    def validity(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> tuple[float, ...]:
        """1.0 or 0.0 for each completion; a value that is not a number counts as 0.

        Raises UnsoundObjectiveError without a threshold.
        """
        if self.threshold is None:
            raise UnsoundObjectiveError("the likelihood gate needs a threshold made from demonstrations; there is none")
        scores = self.reference(samples)
        return tuple(
            float((self.truncated == "valid" or one.finished) and score >= self.threshold)
            for one, score in zip(samples.completions, scores, strict=True)
        )


def threshold_of(demonstrations: Sequence[float], quantile: float) -> float:
    """The ``quantile`` in [0, 1] of the demonstrations' mean log-likelihoods per token under the reference, in nats.

    Raises UnsoundObjectiveError when there is no finite value among them.
    """
    finite = [value for value in demonstrations if math.isfinite(value)]
    if not finite:
        raise UnsoundObjectiveError("the likelihood gate found no demonstration with a finite log-likelihood")
    return float(np.quantile(finite, quantile))
