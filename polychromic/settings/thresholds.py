"""What a verdict rests on: the decision matrix and the significance."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from polychromic.settings.section import Kind, Section


class MatrixRow(Section):
    """A row of the decision matrix: a metric, and which change of it counts, as shares of the baseline's score."""

    metric: Kind
    """a kind of the shelf metrics, with the options that tell it from others"""
    k: int | None = Field(default=None, ge=1)
    """of what was measured the nearest, above 1 for a k above 1; null: the largest"""
    direction: Literal["more", "less"] | None = None
    """which way is better; null: as the metric says"""
    strong: float | None = Field(default=None, gt=0)
    """the gain from which on it is a strong one"""
    moderate: float | None = Field(default=None, gt=0)
    """the gain from which on it is a moderate one; less is of no use"""
    strong_loss: float | None = Field(default=None, ge=0)
    """a larger loss makes of a strong verdict a moderate one"""
    tolerated_loss: float | None = Field(default=None, ge=0)
    """a larger loss makes of any verdict a weak one"""

    @model_validator(mode="after")
    def _ordered(self) -> MatrixRow:
        gains, losses = (self.moderate, self.strong), (self.strong_loss, self.tolerated_loss)
        for low, high, names in ((*gains, "moderate and strong"), (*losses, "strong_loss and tolerated_loss")):
            if low is not None and high is not None and low > high:
                raise ValueError(f"{names} must rise, {low:g} is above {high:g}")
        if self.strong is not None and self.moderate is None:
            raise ValueError("strong needs a moderate below it")
        if self.moderate is None and self.tolerated_loss is None:
            raise ValueError("give moderate, tolerated_loss, or both")
        return self


DEFAULT_MATRIX = (
    MatrixRow(metric="distinct_correct", moderate=0.10, strong=0.25),
    MatrixRow(metric="pass_at_k", k=10, moderate=0.20, strong=0.40),
    MatrixRow(metric={"kind": "distinct", "n": 2}, moderate=0.12, strong=0.25),
    MatrixRow(metric="self_bleu", moderate=0.12, strong=0.25),
    MatrixRow(metric="semantic", moderate=0.10, strong=0.25),
    MatrixRow(metric="pass_at_k", k=1, strong_loss=0.05, tolerated_loss=0.10),
)


class Thresholds(Section):
    """What a verdict rests on."""

    matrix: tuple[MatrixRow, ...] = DEFAULT_MATRIX
    """its rows; the best-ranked diversity metric among them and pass@k above 1 decide, the others stand beside them"""
    significance: float = Field(default=0.05, ge=0, lt=1)
    """of Holm's p; what is not below it is not shown"""
