from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from polychromic.core.errors import InputError
from polychromic.diversity import kernels


def vectors(n: int, d: int, seed: int) -> np.ndarray:
    return kernels.unit(np.random.default_rng(seed).normal(size=(n, d)))


@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 1000))
def test_distances_agree_with_scipy(n: int, d: int, seed: int) -> None:
    rows = vectors(n, d, seed)
    expected = squareform(pdist(rows.astype(np.float64), "cosine"))
    np.testing.assert_allclose(kernels.cosine_distances(rows), expected, atol=1e-6)
    assert kernels.mean_distance(rows) == pytest.approx(pdist(rows.astype(np.float64), "cosine").mean(), abs=1e-6)
    np.fill_diagonal(expected, np.inf)
    np.testing.assert_allclose(kernels.nearest_neighbour_distances(rows), expected.min(axis=1), atol=1e-5)


def test_the_stream_is_the_whole_in_any_pieces() -> None:
    rows = vectors(3000, 8, 1)
    stream = kernels.MeanDistance()
    for part in np.array_split(rows, 7):
        stream.add(part)
    assert stream.value == pytest.approx(kernels.mean_distance(rows), abs=1e-12)
    unique, inverse, counts = np.unique(rows[[0, 1, 1, 2, 2, 2]], axis=0, return_inverse=True, return_counts=True)
    weighted = kernels.MeanDistance()
    weighted.add(unique, counts)
    assert weighted.count == len(inverse)
    assert weighted.value == pytest.approx(kernels.mean_distance(rows[[0, 1, 1, 2, 2, 2]]), abs=1e-12)


def test_extremes() -> None:
    assert kernels.mean_distance(np.tile(vectors(1, 5, 0), (4, 1))) == pytest.approx(0.0, abs=1e-7)
    assert kernels.mean_distance(np.eye(4)) == pytest.approx(1.0)
    assert np.isnan(kernels.mean_distance(np.eye(1)))
    assert np.isnan(kernels.MeanDistance().value)
    assert np.isnan(kernels.nearest_neighbour_distances(np.eye(1))).all()
    for bad in (np.zeros((1, 3)), np.array([[np.nan, 1.0]])):
        with pytest.raises(InputError, match="no direction"):
            kernels.unit(bad)


@given(st.integers(2, 12), st.floats(0.01, 1.5), st.integers(0, 1000))
def test_clusters_are_single_linkage(n: int, threshold: float, seed: int) -> None:
    rows = vectors(n, 3, seed)
    expected = fcluster(linkage(pdist(rows.astype(np.float64), "cosine"), "single"), threshold, "distance")
    got = kernels.clusters(rows, threshold)
    assert [[a == b for b in got] for a in got] == [[a == b for b in expected] for a in expected]
    assert got[0] == 0
    assert set(got) == set(range(len(set(got))))


def test_thousands_of_equal_rows_are_one_cluster() -> None:
    rows = np.repeat(vectors(2, 4, 0) * [[1], [1]], 2000, axis=0)
    rows[2000:] = -rows[0]
    got = kernels.clusters(rows, 0.1)
    assert got.tolist() == [0] * 2000 + [1] * 2000
    assert kernels.clusters(rows[:3], 0.0).tolist() == [0, 0, 0]
    assert kernels.clusters(rows[:0], 0.1).tolist() == []


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = vectors(50, 4, 3)
    whole = kernels.clusters(rows, 0.3), kernels.nearest_neighbour_distances(rows), kernels.mean_distance(rows)
    monkeypatch.setattr(kernels, "BLOCK_ROWS", 7)
    np.testing.assert_array_equal(kernels.clusters(rows, 0.3), whole[0])
    np.testing.assert_allclose(kernels.nearest_neighbour_distances(rows), whole[1], atol=1e-6)
    assert kernels.mean_distance(rows) == pytest.approx(whole[2], abs=1e-12)


def test_greedy_partition_compares_with_founders_only() -> None:
    near: Callable[[int, int], bool] = lambda a, b: abs(a - b) <= 1  # noqa: E731
    assert kernels.greedy_partition(5, near) == [0, 0, 1, 1, 2]
    assert kernels.greedy_partition(0, near) == []


def test_the_stream_needs_no_pairwise_memory() -> None:
    rows = vectors(20_000, 64, 5)
    tracemalloc.start()
    kernels.mean_distance(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6  # the matrix of pairs would take 3.2e9 bytes
