"""Distances between unit vectors: what semantic diversity is made of. Vectors are rows of length 1, shape [n, d]."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from polychromic.core.errors import InputError

BLOCK_ROWS = 1024
"""Rows of a similarity block: 1024 x 10,000 float32 are 40 MB."""

ROUNDING = 1e-6
"""What float32 may take off the product of two equal unit vectors."""

Vectors = Float[np.ndarray, "n d"]


def unit(vectors: Vectors) -> Vectors:
    """The rows scaled to length 1, float32; raises InputError when a row is zero or not finite."""
    rows = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.all(np.isfinite(norms)) or np.any(norms == 0):
        raise InputError("an embedding is zero or not finite, so it has no direction")
    return (rows / norms).astype(np.float32)


def cosine_similarities(vectors: Vectors) -> Float[np.ndarray, "n n"]:
    """Inner products of all pairs, float64, symmetric, in [-1, 1] with ones on the diagonal."""
    rows = np.asarray(vectors, dtype=np.float64)
    gram = np.clip(rows @ rows.T, -1.0, 1.0)
    gram = (gram + gram.T) / 2
    np.fill_diagonal(gram, 1.0)
    return gram


def cosine_distances(vectors: Vectors) -> Float[np.ndarray, "n n"]:
    """``1 - cosine`` of all pairs, in [0, 2] with a zero diagonal."""
    return 1.0 - cosine_similarities(vectors)


class MeanDistance:
    """Mean cosine distance over all pairs of a stream of unit vectors, in O(d) memory.

    ``1 - (|sum e|^2 - n) / (n (n - 1))``: exact, as the squared length of the sum is the sum of all inner products.
    """

    def __init__(self) -> None:
        self.count = 0
        self._total: NDArray[np.float64] | None = None
        self._self_products = 0.0

    def add(self, vectors: Vectors, weights: Int[np.ndarray, " n"] | None = None) -> None:
        """Takes more rows; ``weights`` says how often each one occurs (default once)."""
        rows = np.asarray(vectors)
        times = np.ones(len(rows), dtype=np.float64) if weights is None else np.asarray(weights, dtype=np.float64)
        for start in range(0, len(rows), BLOCK_ROWS):
            block = np.asarray(rows[start : start + BLOCK_ROWS], dtype=np.float64)
            weight = times[start : start + BLOCK_ROWS]
            part = weight @ block
            self._total = part if self._total is None else self._total + part
            self._self_products += float(weight @ np.einsum("nd,nd->n", block, block))
        self.count += int(times.sum())

    @property
    def value(self) -> float:
        """The mean distance in [0, n/(n-1)], 0 for identical rows; NaN for fewer than two."""
        if self.count < 2 or self._total is None:
            return float("nan")
        pairs = self.count * (self.count - 1)
        return max(0.0, 1.0 - (float(self._total @ self._total) - self._self_products) / pairs)


def mean_distance(vectors: Vectors) -> float:
    """Mean cosine distance over all pairs of different rows, in [0, n/(n-1)]; NaN for fewer than two rows."""
    stream = MeanDistance()
    stream.add(vectors)
    return stream.value


def _similarity_blocks(vectors: Vectors) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Blocks of rows of the similarity matrix, each with its first row's index."""
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    for start in range(0, len(rows), BLOCK_ROWS):
        yield start, rows[start : start + BLOCK_ROWS] @ rows.T


def nearest_neighbour_distances(vectors: Vectors) -> Float[np.ndarray, " n"]:
    """Each row's cosine distance to its nearest other row, in [0, 2]; all NaN for fewer than two rows."""
    n = len(vectors)
    if n < 2:
        return np.full(n, np.nan)
    out = np.empty(n)
    for start, block in _similarity_blocks(vectors):
        index = np.arange(len(block))
        block[index, start + index] = -np.inf
        out[start : start + len(block)] = 1.0 - block.max(axis=1)
    return np.clip(out, 0.0, 2.0)


def clusters(vectors: Vectors, threshold: float) -> Int[np.ndarray, " n"]:
    """Labels 0, 1, ... of the connected groups of rows closer than or at ``threshold`` (single linkage)."""
    labels = np.arange(len(vectors))
    for start, block in _similarity_blocks(vectors):
        near = block >= 1.0 - threshold - ROUNDING
        near[np.arange(len(block)), start + np.arange(len(block))] = True
        for row in near:
            own = labels[row]
            lowest = own.min()
            if own.max() != lowest:
                labels[np.isin(labels, own)] = lowest
    return np.unique(labels, return_inverse=True)[1].reshape(-1)


def greedy_partition(n: int, same: Callable[[int, int], bool]) -> list[int]:
    """Class of each of ``n`` items: the first class whose first member is the ``same``, else a new one (2504.05228).

    The number of classes is ``len(set(classes))``.
    """
    founders: list[int] = []
    classes: list[int] = []
    for item in range(n):
        label = next((c for c, founder in enumerate(founders) if same(founder, item)), len(founders))
        if label == len(founders):
            founders.append(item)
        classes.append(label)
    return classes
