"""An encoder without a model: hashed character and word n-grams, for tests and for machines without weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from polychromic.core.errors import InputError


@dataclass
class HashingEmbedder:
    """Deterministic unit vectors: texts that share words and runs of three characters lie close together.

    It knows spelling, not meaning: its numbers are no semantic diversity, and its name in the signature says so.
    """

    dimensions: int = 256
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if self.dimensions < 2:
            raise InputError(f"the hashing encoder needs at least 2 dimensions, not {self.dimensions}")
        self.name = f"hashing-{self.dimensions}"

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Float32 unit rows of shape [len(texts), dimensions]; the same on every machine."""
        out = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(out, texts, strict=True):
            for feature in _features(text):
                place, sign = self._slot(feature)
                row[place] += sign
            norm = float(np.linalg.norm(row))
            if norm == 0.0:  # the signs cancelled: fall back on the text as a whole
                row[self._slot(f"whole:{text}")[0]] = norm = 1.0
            row /= norm
        return out

    def cut(self, texts: Sequence[str]) -> int:
        """0: it reads all of a text."""
        return 0

    def _slot(self, feature: str) -> tuple[int, float]:
        digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        value = int.from_bytes(digest, "big")
        return (value >> 1) % self.dimensions, 1.0 if value & 1 else -1.0


def _features(text: str) -> list[str]:
    padded = f" {text} "
    words = [f"word:{word}" for word in text.split()]
    return ["bias", *words, *(f"run:{padded[i : i + 3]}" for i in range(len(padded) - 2))]
