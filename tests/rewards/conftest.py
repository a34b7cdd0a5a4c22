from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet


@dataclass(frozen=True)
class Hashing:
    """Unit vectors that depend on the text alone."""

    name: str = "hashing"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = []
        for text in texts:
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
            row = np.random.default_rng(seed).normal(size=6)
            rows.append(row / np.linalg.norm(row))
        return np.array(rows, dtype=np.float32)


@dataclass(frozen=True)
class Axes:
    """Texts "0".."5" to the axes of space, "-0" to the opposite of the first."""

    name: str = "axes"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([np.eye(6)[abs(int(t))] * (-1 if t.startswith("-") else 1) for t in texts], dtype=np.float32)


@pytest.fixture
def hashing() -> Hashing:
    return Hashing()


@pytest.fixture
def axes() -> Axes:
    return Axes()


@pytest.fixture
def make_set() -> Callable[[Sequence[str]], SampleSet]:
    def make(texts: Sequence[str]) -> SampleSet:
        return SampleSet(Prompt("p", "say"), tuple(Completion(text) for text in texts), Decoding())

    return make
