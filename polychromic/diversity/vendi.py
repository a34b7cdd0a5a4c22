"""Scores of a similarity matrix's spectrum: the effective number of different samples."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from polychromic.core.errors import InputError
from polychromic.diversity.kernels import cosine_similarities

TINY = 1e-8
"""Eigenvalues below this share of one are the rounding of float32 vectors, not samples."""


def spectrum(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " m"]:
    """Eigenvalues of ``K / n`` with K the cosine similarities: non-negative, summing to 1; m = min(n, d).

    Of the two matrices with the same non-zero eigenvalues the smaller one is decomposed: K / n (primal) or, when n > d,
    the second moment ``X^T X / n`` (dual).
    """
    rows = np.asarray(vectors, dtype=np.float64)
    n, d = rows.shape
    if n == 0:
        raise InputError("no vectors")
    return _normalised(np.linalg.eigvalsh(rows @ rows.T / n if n <= d else rows.T @ rows / n))


class Moment:
    """The second moment ``sum e e^T`` of a stream of unit vectors, in O(d^2) memory: the spectrum of all of them."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Float[np.ndarray, "d d"] | None = None

    def add(self, vectors: Float[np.ndarray, "n d"]) -> None:
        """Takes more rows."""
        rows = np.asarray(vectors, dtype=np.float64)
        part = rows.T @ rows
        self._sum = part if self._sum is None else self._sum + part
        self.count += len(rows)

    def vendi(self, q: float = 1.0) -> float:
        """The Vendi score of all rows, in [1, min(n, d)]; NaN without rows; see ``vendi``."""
        if self._sum is None:
            return float("nan")
        return effective_number(_normalised(np.linalg.eigvalsh(self._sum / self.count)), q)


def _normalised(eigenvalues: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    positive = np.clip(eigenvalues, 0.0, None)
    return positive / positive.sum()


def vendi_of_kernel(kernel: Float[np.ndarray, "n n"], q: float = 1.0) -> float:
    """Vendi score of a similarity matrix with ones on its diagonal; see ``vendi``."""
    matrix = np.asarray(kernel, dtype=np.float64)
    if not np.allclose(np.diag(matrix), 1.0, atol=1e-6):
        raise InputError("the Vendi score needs a similarity matrix with ones on its diagonal")
    return effective_number(_normalised(np.linalg.eigvalsh(matrix / len(matrix))), q)


def vendi(vectors: Float[np.ndarray, "n d"], q: float = 1.0) -> float:
    """Effective number of different samples, in [1, n]: 1 when all are the same, n when all are orthogonal.

    The exponential of the Renyi entropy of order ``q`` of the eigenvalues of K / n (2210.02410; orders: 2310.12952).
    ``q = 1`` is Shannon, ``q = inf`` is 1 / largest eigenvalue, ``q = 0`` the rank. Raises InputError for q < 0.
    """
    return effective_number(spectrum(vectors), q)


def effective_number(shares: Float[np.ndarray, " m"], q: float) -> float:
    """Hill number of order ``q`` of shares that sum to 1: in [1, number of shares]."""
    if not q >= 0:
        raise InputError(f"the order of a Vendi score must be at least 0, not {q}")
    positive = shares[shares > TINY]
    if np.isinf(q):
        return float(1.0 / positive.max())
    if q == 1.0:
        return float(np.exp(-np.sum(positive * np.log(positive))))
    return float(np.sum(positive**q) ** (1.0 / (1.0 - q)))


def log_determinant(vectors: Float[np.ndarray, "n d"], scale: float = 1.0) -> float:
    """``log det(I + scale K) / (n log(1 + scale))``, in (0, 1]: 1 when all are orthogonal.

    K are the cosine similarities; the dual form is used when n > d. Raises InputError unless ``scale > 0``.
    """
    if not scale > 0:
        raise InputError(f"the scale of a log-determinant must be positive, not {scale}")
    rows = np.asarray(vectors, dtype=np.float64)
    n, d = rows.shape
    gram = cosine_similarities(rows) if n <= d else rows.T @ rows
    value = np.linalg.slogdet(np.eye(len(gram)) + scale * gram)[1]
    return float(value / (n * np.log1p(scale)))
