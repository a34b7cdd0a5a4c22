"""Rows of the table: means over seeds and prompts, their resamples, and each row against ours.

Differences at one temperature are tested by Student's t with the variance of both rows' training seeds and of the
prompts, by which rows are paired, and no more degrees of freedom than those carry (Welch and Satterthwaite). Where
there is no mean to test (hypervolume, matched pass@1) a resample draws training seeds with replacement and prompts
jointly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from polychromic.analysis.frontier import Sweep, hypervolume, matched
from polychromic.analysis.resampling import Plan, bootstrap_weights
from polychromic.analysis.significance import holm
from polychromic.core.seeds import child_seed

Array = NDArray[np.float64]
PLAN = Plan(resamples=10_000, seed=0, method="percentile")
MARGIN = 0.01
"""Of pass@1: ours counts as no worse when the interval of the difference stays above minus this."""


@dataclass(frozen=True)
class Row:
    """One method at one budget and scale: figures ``[seeds, prompts]`` by temperature and name, and its cost."""

    name: str
    figures: Mapping[float, Mapping[str, Array]]
    seeds: tuple[int, ...]
    forward_tokens: float
    processor_seconds: float

    def score(self, figure: str, temperature: float = 1.0) -> float:
        """The mean over seeds and prompts; NaN where the task has no such figure."""
        found = self.figures[temperature].get(figure)
        return float("nan") if found is None else float(found.mean())

    @property
    def volume(self) -> float:
        """Hypervolume of the means over the temperatures, from the origin."""
        quality, diversity = (
            np.array([self.score(figure, temperature) for temperature in self.figures])
            for figure in ("pass@1", "distinct")
        )
        return float(hypervolume(quality, diversity, (0.0, 0.0)))

    def by_seed(self, figure: str, temperature: float = 1.0) -> Array:
        """A mean for each seed, ``[seeds]``."""
        return np.asarray(self.figures[temperature][figure].mean(axis=1))


def rows(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The rows of a task's cells, in the order they first come."""
    groups: dict[str, list[tuple[Mapping[str, Any], Any]]] = {}
    for one in found:
        for scale, reading in one["readings"].items():
            name = f"{one['method']} {one['label']}" + ("" if scale == "1" else f" x {scale}")
            groups.setdefault(name, []).append((one, reading))
    return [_row(name, sorted(group, key=lambda pair: pair[0]["seed"])) for name, group in groups.items()]


def _row(name: str, group: list[tuple[Mapping[str, Any], Any]]) -> Row:
    first = group[0][1]
    figures = {
        float(temperature): {
            figure: np.array([reading[temperature][figure] for _, reading in group]) for figure in values
        }
        for temperature, values in first.items()
    }
    return Row(
        name,
        figures,
        tuple(one["seed"] for one, _ in group),
        float(np.mean([one["forward_tokens"] for one, _ in group])),
        float(np.mean([one["processor_seconds"] for one, _ in group])),
    )


def sweep(row: Row, plan: Plan = PLAN) -> Sweep:
    """The row's quality and diversity over temperatures with their resamples, paired by prompt with all other rows'."""
    temperatures = tuple(sorted(row.figures))
    quality, diversity = (
        np.stack([row.figures[temperature][figure] for temperature in temperatures], axis=-1)
        for figure in ("pass@1", "distinct")
    )
    count, prompts, _ = quality.shape
    generator = np.random.default_rng(child_seed(plan.seed, "seeds of a row", row.name))
    picks = generator.multinomial(count, [1.0 / count] * count, size=plan.resamples) / count
    drawn: list[list[Array]] = [[], []]
    start = 0
    for weights in bootstrap_weights(prompts, plan.resamples, plan.seed):
        share = picks[start : start + len(weights)]
        for values, into in ((quality, drawn[0]), (diversity, drawn[1])):
            by_seed = np.tensordot(weights / prompts, values, axes=(1, 1))  # [r, seeds, t]
            into.append(np.einsum("rs,rst->rt", share, by_seed))
        start += len(weights)
    means = quality.mean(axis=(0, 1)), diversity.mean(axis=(0, 1))
    return Sweep(row.name, temperatures, *means, np.concatenate(drawn[0]), np.concatenate(drawn[1]))


@dataclass(frozen=True)
class Against:
    """Ours minus a row at temperature 1, at matched pass@1 and in hypervolume: estimates with 95 % intervals.

    ``p`` is two-sided, of the difference in distinct-and-correct@16; ``holm`` is it corrected over all rows.
    """

    row: str
    distinct: tuple[float, float, float]
    quality: tuple[float, float, float]
    volume: tuple[float, float, float]
    at_quality: tuple[float, float, float]
    wins: str
    p: float
    holm: float = float("nan")

    @property
    def holds(self) -> str:
        """Whether ours is more diverse at no lower pass@1, in a word."""
        if self.holm < 0.05 and self.distinct[0] > 0 and self.quality[1] >= -MARGIN:
            return "yes"
        if self.holm < 0.05 and self.distinct[0] < 0:
            return "no: less diverse"
        if self.holm < 0.05:
            return "no: pass@1 may be lower"
        return "not resolved"


def against(ours: Row, others: Sequence[Row]) -> list[Against]:
    """Ours against each row."""
    own = sweep(ours)
    found = [_against(ours, own, other) for other in others]
    corrected = holm([one.p for one in found])
    return [Against(**{**_fields(one), "holm": float(p)}) for one, p in zip(found, corrected, strict=True)]


def _fields(one: Against) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def _against(ours: Row, own: Sweep, other: Row) -> Against:
    theirs = sweep(other)
    volumes = [hypervolume(one.quality_draws, one.diversity_draws, (0.0, 0.0)) for one in (own, theirs)]
    level = matched(theirs, own, PLAN)
    wins = "-"
    if ours.seeds == other.seeds:
        ahead = ours.by_seed("distinct") > other.by_seed("distinct")
        wins = f"{int(ahead.sum())}/{len(ahead)}"
    distinct, quality = (difference(ours, other, figure) for figure in ("distinct", "pass@1"))
    return Against(
        other.name,
        distinct.span,
        quality.span,
        _span(ours.volume - other.volume, volumes[0] - volumes[1]),
        (level.difference, *level.interval),
        wins,
        distinct.p,
    )


def _span(estimate: float, draws: Array) -> tuple[float, float, float]:
    low, high = np.quantile(draws, (0.025, 0.975))
    return estimate, float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """A difference of two means, its standard error and the degrees of freedom of that."""

    estimate: float
    error: float
    freedom: float

    @property
    def span(self) -> tuple[float, float, float]:
        """The estimate and its 95 % interval."""
        half = float(student.ppf(0.975, self.freedom)) * self.error
        return self.estimate, self.estimate - half, self.estimate + half

    @property
    def p(self) -> float:
        """Two-sided; NaN where nothing varies."""
        return float(2.0 * student.sf(abs(self.estimate) / self.error, self.freedom)) if self.error else math.nan


def difference(ours: Row, other: Row, figure: str) -> Difference:
    """Of a figure at temperature 1; a row with one seed (the base has none) adds no variance of seeds.

    What a seed's mean owes to its prompts is in both parts, so the error is a little too large rather than too small.
    """
    one, two = (np.asarray(row.figures[1.0][figure], dtype=float) for row in (ours, other))
    paired = one.mean(axis=0) - two.mean(axis=0)
    parts = [(float(paired.var(ddof=1)) / len(paired), len(paired) - 1)]
    parts += [(float(each.mean(axis=1).var(ddof=1)) / len(each), len(each) - 1) for each in (one, two) if len(each) > 1]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / count for part, count in parts) if variance else math.nan
    return Difference(float(paired.mean()), math.sqrt(variance), freedom)
