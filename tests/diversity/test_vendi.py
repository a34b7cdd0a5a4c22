from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import logm

from polychromic.core.errors import InputError
from polychromic.diversity import kernels, vendi

ORDERS = st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0, float("inf")])


def vectors(n: int, d: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 500))
def test_order_one_is_the_von_neumann_entropy(n: int, d: int, seed: int) -> None:
    rows = vectors(n, d, seed)
    rho = (rows @ rows.T + 1e-13 * np.eye(n)) / n
    expected = np.exp(-np.trace(rho @ np.real(logm(rho)))) if n > 1 else 1.0
    assert vendi.vendi(rows) == pytest.approx(expected, rel=1e-4)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 500), ORDERS)
def test_primal_and_dual_agree(n: int, d: int, seed: int, q: float) -> None:
    rows = vectors(n, d, seed)
    primal = vendi.vendi_of_kernel(kernels.cosine_similarities(rows), q)
    assert vendi.vendi(rows, q) == pytest.approx(primal, rel=1e-5)
    assert 1.0 - 1e-9 <= vendi.vendi(rows, q) <= n + 1e-9


@given(st.integers(1, 6), st.integers(1, 4), ORDERS)
def test_replicating_the_set_and_extremes(n: int, times: int, q: float) -> None:
    assert vendi.vendi(np.eye(n), q) == pytest.approx(n)
    assert vendi.vendi(np.tile(np.eye(n), (times, 1)), q) == pytest.approx(n)
    assert vendi.vendi(np.tile(np.eye(n)[:1], (times, 1)), q) == pytest.approx(1.0)


def test_a_duplicate_may_raise_it() -> None:
    points = np.array([[1.0, 0]] * 3 + [[0, 1.0]])
    more = np.vstack([points, [[0, 1.0]]])
    assert (round(vendi.vendi(points), 2), round(vendi.vendi(more), 2)) == (1.75, 1.96)


def test_order_is_honoured_and_checked() -> None:
    shares = np.array([0.5, 0.25, 0.25])
    assert vendi.effective_number(shares, 2.0) == pytest.approx(1 / (0.25 + 0.0625 * 2))
    assert vendi.effective_number(shares, float("inf")) == pytest.approx(2.0)
    assert vendi.effective_number(shares, 0.0) == pytest.approx(3.0)
    assert vendi.effective_number(shares, 1.0) == pytest.approx(np.exp(1.5 * np.log(2)))
    for bad in (-1.0, float("nan")):
        with pytest.raises(InputError, match="order"):
            vendi.effective_number(shares, bad)
    with pytest.raises(InputError, match="diagonal"):
        vendi.vendi_of_kernel(np.zeros((2, 2)))
    with pytest.raises(InputError, match="no vectors"):
        vendi.spectrum(np.zeros((0, 3)))


@given(st.integers(1, 9), st.integers(1, 4), st.floats(0.1, 50.0), st.integers(0, 100))
def test_log_determinant(n: int, d: int, scale: float, seed: int) -> None:
    rows = vectors(n, d, seed)
    eigen = np.linalg.eigvalsh(kernels.cosine_similarities(rows))
    expected = np.sum(np.log1p(scale * np.clip(eigen, 0, None))) / (n * np.log1p(scale))
    assert vendi.log_determinant(rows, scale) == pytest.approx(expected, rel=1e-5)
    assert vendi.log_determinant(np.eye(n), scale) == pytest.approx(1.0)
    with pytest.raises(InputError, match="scale"):
        vendi.log_determinant(rows, 0.0)
