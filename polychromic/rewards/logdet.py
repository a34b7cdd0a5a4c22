"""Reward: the volume the completions' embeddings span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polychromic.core.errors import InputError
from polychromic.core.nouns import SampleSet, SetFunction, Verdict
from polychromic.core.protocols import Embedder
from polychromic.diversity.vendi import log_determinant


@dataclass(frozen=True)
class LogDeterminant:
    """``log det(I + scale K) / (size log(1 + scale))`` of the valid completions' cosine similarities ``K``."""

    form: ClassVar[str] = "set function"
    needs: ClassVar[tuple[str, ...]] = ("encoder",)

    embedder: Embedder
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise InputError(f"logdet: scale must be positive, not {self.scale}")

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> SetFunction:
        """A set function in [0, 1]: 1 when all are valid and orthogonal, 0 when none is valid."""
        vectors = np.asarray(self.embedder.embed(samples.texts), dtype=np.float64)

        def value(members: Sequence[int], size: int) -> float:
            if not members:
                return 0.0
            return log_determinant(vectors[list(members)], self.scale) * len(members) / size

        return SetFunction(value, len(vectors))
