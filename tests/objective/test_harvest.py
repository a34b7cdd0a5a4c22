"""The harvest: the same objective as the online term, by enumeration; rows in proportion to credit; lambda's unit."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polychromic.core.errors import InputError
from polychromic.core.nouns import Labels
from polychromic.objective.credit import group_credit
from polychromic.objective.harvest import credit_mass, mixture, resampled, share_of, weight_of
from polychromic.objective.surrogate import diversity_surrogate

ANSWERS = (None, "a", "a", "b", "c")
"""What each outcome of the toy policy is an answer to; the first is wrong, two texts share an answer."""


def credits_of(outcomes, set_size):
    labels = [ANSWERS[i] for i in outcomes]
    return group_credit(Labels(tuple(labels)), [float(label is not None) for label in labels], set_size).values


def sets_of(probabilities, n):
    """Every ordered set of ``n`` outcomes with its chance."""
    for outcomes in itertools.product(range(len(ANSWERS)), repeat=n):
        yield outcomes, math.prod(probabilities[i] for i in outcomes)


def value(probabilities, k):
    """``F_k``: the expected number of different right answers among k samples, over k."""
    mass = {name: sum(p for p, a in zip(probabilities, ANSWERS, strict=True) if a == name) for name in ("a", "b", "c")}
    return sum(1.0 - (1.0 - p) ** k for p in mass.values()) / k


def m_step(probabilities, n, set_size):
    """The distribution that maximises ``H``: outcomes in proportion to their expected credit."""
    weights = np.zeros(len(ANSWERS))
    for outcomes, chance in sets_of(probabilities, n):
        for outcome, credit in zip(outcomes, credits_of(outcomes, set_size), strict=True):
            weights[outcome] += chance * credit
    return weights / weights.sum()


@pytest.mark.parametrize("set_size", [1, 2, 3, "shapley"])
def test_its_first_step_is_the_gradient_of_the_set_objective(set_size):
    n, theta = 3, torch.tensor([0.3, -0.2, 0.9, 0.1, -0.5], dtype=torch.float64, requires_grad=True)
    chances = torch.softmax(theta, 0)
    sizes = range(1, n + 1) if set_size == "shapley" else [set_size]
    right = torch.stack([chances[1] + chances[2], chances[3], chances[4]])
    exact = sum((1.0 - (1.0 - right) ** k).sum() / k for k in sizes) / len(sizes)
    (wanted,) = torch.autograd.grad(exact, theta, retain_graph=True)
    logs, total = torch.log_softmax(theta, 0), torch.zeros((), dtype=torch.float64)
    for outcomes, chance in sets_of(chances.detach().tolist(), n):
        weights = torch.tensor(credits_of(outcomes, set_size) / n)[None]
        total = total + chance * diversity_surrogate(weights, logs[list(outcomes)][None])
    (found,) = torch.autograd.grad(total, theta)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)


policies = st.lists(st.floats(0.01, 1.0), min_size=5, max_size=5).map(lambda w: [x / sum(w) for x in w])


@given(policies)
def test_a_step_with_shapley_credit_lowers_the_objective_of_no_set_size(policy):
    after = m_step(policy, 3, "shapley")
    for k in range(1, 9):
        assert value(after, k) >= value(policy, k) - 1e-12


def test_a_step_with_the_credit_of_one_large_set_size_can_lower_its_own_objective():
    policy = [0.0, 0.0, 0.95, 0.05, 0.0]
    assert value(m_step(policy, 5, 5), 5) < value(policy, 5) - 0.03  # the rare answer takes nearly all
    assert value(m_step(policy, 5, "shapley"), 5) > value(policy, 5) + 0.03


def test_shapley_credit_comes_to_rest_where_all_right_answers_are_alike_and_frequency_rests_anywhere():
    policy = np.array([0.2, 0.3, 0.25, 0.2, 0.05])
    for _ in range(60):
        policy = m_step(policy, 3, "shapley")
    np.testing.assert_allclose([policy[1] + policy[2], policy[3], policy[4]], 1 / 3, atol=1e-6)
    start = np.array([0.2, 0.3, 0.25, 0.2, 0.05])
    kept = m_step(start, 3, 1)
    np.testing.assert_allclose(kept[1:] / kept[1], start[1:] / start[1], rtol=1e-9)


def test_every_different_answer_of_a_pool_weighs_the_same():
    credits_ = credits_of((1, 2, 1, 3, 0), "shapley")
    np.testing.assert_allclose(credits_, [1 / 3, 1 / 3, 1 / 3, 1, 0])
    assert credit_mass([credits_, [0.0] * 5]) == pytest.approx(2 / 5 / 2)


@given(st.floats(0.001, 0.999), st.floats(0.5, 500), st.floats(0.001, 1))
def test_share_and_lambda_are_two_units_of_one_thing(share, tokens, mass):
    assert share_of(weight_of(share, tokens, mass), tokens, mass) == pytest.approx(share)


def test_a_share_of_rows_is_lambda_against_the_mean_over_tokens():
    """The mean over tokens of a mixture is, up to its scale, ``SFT - lambda * H``: the gradients point the same way."""
    rng = np.random.default_rng(3)
    shown, drawn = rng.random((40, 4)), rng.random((30, 4))  # the gradient of each row's summed likelihood
    lengths, n = rng.integers(3, 9, 40), 5
    credits_ = rng.integers(0, 2, (6, n)) / rng.integers(1, 4, (6, n))
    weights, tokens = credits_.ravel().tolist(), float(lengths.mean())
    harvest = (credits_[..., None] * drawn.reshape(6, n, 4)).sum(axis=(0, 1)) / n / 6
    mix = mixture(40, weights, 0.999, seed=0)  # many rows, so that rounding of how often each comes does not count
    share = mix.share
    rows = -(shown[list(mix.demonstrations)].sum(0) + drawn[list(mix.harvested)].sum(0))
    wanted = -shown.sum(0) / lengths.sum() - weight_of(share, tokens, credit_mass(credits_.tolist())) * harvest
    cosine = rows @ wanted / np.linalg.norm(rows) / np.linalg.norm(wanted)
    assert cosine == pytest.approx(1.0, abs=1e-5)
    uneven = -shown.sum(0) / lengths.sum() - 3 * weight_of(share, tokens, credit_mass(credits_.tolist())) * harvest
    assert rows @ uneven / np.linalg.norm(rows) / np.linalg.norm(uneven) <= 1.0


@given(st.lists(st.floats(0.0, 5.0), min_size=1, max_size=30), st.integers(1, 200), st.integers(0, 99))
def test_a_row_comes_as_often_as_its_credit_says(weights, size, seed):
    if not sum(weights) > 0:
        with pytest.raises(InputError, match="without any credit"):
            resampled(weights, size, seed)
        return
    counts = np.bincount(resampled(weights, size, seed), minlength=len(weights))
    assert counts.sum() == size
    shares = np.array(weights) / max(weights)
    expected = size * shares / shares.sum()
    assert np.all(counts >= np.floor(expected - 1e-9))
    assert np.all(counts <= np.ceil(expected + 1e-9))


def test_both_sources_are_used_whole():
    mix = mixture(10, [1.0, 1.0, 1.0, 0.0], 0.2, seed=1)
    assert set(mix.demonstrations) == set(range(10))
    assert set(mix.harvested) == {0, 1, 2}
    assert mix.share == pytest.approx(0.2, abs=0.03)
    mix = mixture(4, [1.0] * 16, 0.5, seed=1)
    assert sorted(mix.demonstrations) == sorted([0, 1, 2, 3] * 4)
    assert mixture(4, [1.0] * 3, 1.0, seed=1).demonstrations == ()
    assert mixture(4, [0.2] * 5, 0.3, seed=1) == mixture(4, [0.2] * 5, 0.3, seed=1)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, math.nan])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(InputError, match="above 0 and at most 1"):
        mixture(4, [1.0], share, 0)


def test_what_a_likelihood_cannot_weigh_is_refused():
    with pytest.raises(InputError, match="credits of 0 or more"):
        credit_mass([[0.5, -0.1]])
    with pytest.raises(InputError, match="at least one prompt"):
        credit_mass([])
    with pytest.raises(InputError, match="no demonstration"):
        mixture(0, [1.0], 0.5, 0)
