"""Reward: a weighted mean of other rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from polychromic.core.errors import InputError
from polychromic.core.nouns import Distances, Evidence, Labels, SampleSet, SetFunction, Verdict
from polychromic.core.protocols import Embedder, Form, Reward
from polychromic.settings.catalog import build


@dataclass(frozen=True)
class Mixture:
    """``sum_m w_m f_m / sum_m w_m`` over ``parts``, each a kind of reward or a mapping with its options.

    Pairwise rewards stay pairwise, so that any set size can be had; other mixtures become a set function.
    """

    parts: Sequence[str | Mapping[str, Any]] = ("answers", "lexical")
    weights: Sequence[float] | None = None
    embedder: Embedder | None = None
    _mixed: tuple[tuple[float, Reward], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        weights = self.weights if self.weights is not None else (1.0,) * len(self.parts)
        if not self.parts or len(weights) != len(self.parts) or min(weights) < 0 or not sum(weights) > 0:
            raise InputError("mixture: needs one weight of 0 or more for each part, and one above 0")
        shares = tuple(weight / sum(weights) for weight in weights)
        built: list[Reward] = [build("rewards", part, embedder=self.embedder) for part in self.parts]
        object.__setattr__(self, "_mixed", tuple(zip(shares, built, strict=True)))

    @property
    def form(self) -> Form:
        """``pairs`` when every part gives pairs, else ``set function``."""
        return "pairs" if all(reward.form == "pairs" for _, reward in self._mixed) else "set function"

    @property
    def needs(self) -> tuple[str, ...]:
        """What its parts need."""
        return tuple(sorted({need for _, reward in self._mixed for need in reward.needs}))

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Evidence:
        """Distances when every part gives distances, else a set function in [0, 1]."""
        weighted = [(share, reward.evidence(samples, verdicts)) for share, reward in self._mixed]
        pairs = [share * np.asarray(one.rows) for share, one in weighted if isinstance(one, Distances)]
        if len(pairs) == len(weighted):
            return Distances(tuple(map(tuple, np.sum(pairs, axis=0).tolist())))
        functions = [(share, as_set_function(one)) for share, one in weighted]

        def value(members: Sequence[int], size: int) -> float:
            return sum(share * one.value(members, size) for share, one in functions)

        return SetFunction(value, len(samples.completions))


def as_set_function(evidence: Evidence) -> SetFunction:
    """The worth in [0, 1] of any subset: distinct labels over size, mean distance of pairs, or the function itself."""
    if isinstance(evidence, SetFunction):
        return evidence
    if isinstance(evidence, Labels):
        labels = evidence.values

        def share(members: Sequence[int], size: int) -> float:
            return len({labels[i] for i in members} - {None}) / size

        return SetFunction(share, len(labels))
    rows = np.asarray(evidence.rows)

    def mean_distance(members: Sequence[int], size: int) -> float:
        inside = rows[np.ix_(members, members)] if members else np.zeros((0, 0))
        return float(inside.sum() - np.trace(inside)) / (size * (size - 1)) if size > 1 else 0.0

    return SetFunction(mean_distance, len(rows))
