"""From sample sets to a loss: what comes out, what is refused, and what degenerate sets do."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from polychromic.core.errors import InputError, UnsoundObjectiveError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Status, Verdict
from polychromic.objective.baseline import KINDS, Baseline, batch_moments
from polychromic.objective.diversity_objective import DiversityObjective, lambda_eff, off_support_gain
from polychromic.objective.surrogate import diversity_surrogate
from polychromic.settings.catalog import build


def group(*texts: str, decoding: Decoding = Decoding(), finished: bool = True) -> SampleSet:  # noqa: B008
    return SampleSet(Prompt("p", "say"), tuple(Completion(t, finished=finished) for t in texts), decoding)


def judged(*answers: str | None) -> list[Verdict]:
    return [Verdict(Status.PASSED if a else Status.FAILED, answer=a) for a in answers]


def objective(gate: str = "verifier", **options: object) -> DiversityObjective:
    return DiversityObjective(build("rewards", "answers"), build("gates", gate), **options)


def test_advantages_by_hand():
    """k = 2 of n = 3, answers a a b: credits 1/2 1/2 1; the others' credits among themselves 1 1 0."""
    made = objective(set_size=2, baseline="leave_one_out")
    out = made.advantages([group("x", "y", "z")], [judged("a", "a", "b")])
    np.testing.assert_allclose(out.advantages, np.array([[0.5 - 1, 0.5 - 1, 1 - 0]]) / 3)
    assert out.report["polychromic/diversity_value"] == pytest.approx((1 + 1 + 1 / 2) / 3)  # mean over the three pairs


def test_the_report():
    sets = [group("a b", "a b", "c"), group("d", "e", "f", finished=False)]
    out = objective(gate="none").advantages(sets, [judged("a", "a", None), judged("d", "e", "f")])
    assert out.report == pytest.approx(
        {
            "polychromic/diversity_value": 1 / 6,
            "polychromic/frac_valid": 0.5,
            "frac_reward_zero_std": 1.0,
            "polychromic/frac_unique": (2 / 3 + 1) / 2,
            "completions/clipped_ratio": 0.5,
            "completions/mean_length": (2 + 2 + 1 + 1 + 1 + 1) / 6,
            "polychromic/similarity": (0.5 + 0.0) / 2,
            "polychromic/frac_judged": 1.0,
        }
    )


def test_nothing_to_do_gives_nothing():
    out = objective().advantages([], None)
    assert out.advantages.size == 0
    assert out.report == {}


@pytest.mark.parametrize("decoding", [Decoding(top_p=0.95), Decoding(top_k=20)])
def test_truncated_sampling_is_refused(decoding):
    with pytest.raises(UnsoundObjectiveError, match="allowed: top_p=1, top_k=0"):
        objective().advantages([group("a", "b", decoding=decoding)], [judged("a", "b")])


def test_other_refusals():
    with pytest.raises(InputError, match="same number of samples"):
        objective().advantages([group("a", "b"), group("a")], None)
    with pytest.raises(InputError, match="one verdict"):
        objective().advantages([group("a", "b")], [judged("a")])
    with pytest.raises(UnsoundObjectiveError, match="set_size must lie"):
        objective(set_size=3).advantages([group("a", "b")], [judged("a", "b")])
    with pytest.raises(UnsoundObjectiveError, match="at least 1"):
        objective(set_size=0)


def test_the_batch_becomes_past_only_afterwards_and_ranks_add_up():
    sets, verdicts = [group("x", "y", "z")] * 2, [judged("a", "a", "b"), judged("a", "b", "c")]
    made = objective(set_size=2)
    first = made.advantages(sets, verdicts).advantages
    fresh = objective(set_size=2, baseline="leave_one_out").advantages(sets, verdicts).advantages
    np.testing.assert_allclose(first, fresh)  # without a past the control variate is the plain leave-one-out baseline
    assert made.baseline.moments[0] == 6
    assert not np.allclose(made.advantages(sets, verdicts).advantages, first)
    ranks = objective(set_size=2)
    ranks.add_ranks = lambda moments: 2 * moments
    ranks.advantages(sets, verdicts)
    assert ranks.baseline.moments[0] == 12


@pytest.mark.parametrize("kind", KINDS)
def test_baseline_coefficients_and_state(kind):
    made = Baseline(kind, memory=1.0)
    r = np.linspace(0, 1, 400)
    for part in np.array_split(np.stack([0.3 + 0.5 * r, r]), 4, axis=1):
        made.observe(batch_moments(part[0], part[1]))
    expected = {"control_variate": (0.3, 0.5), "leave_one_out": (0.0, 1.0), "mean": (0.55, 0.0), "none": (0.0, 0.0)}
    assert made.coefficients == pytest.approx(expected[kind], abs=2e-3)
    again = Baseline(kind, memory=1.0)
    again.load_state_dict(json.loads(json.dumps(made.state_dict())))
    assert again.coefficients == made.coefficients


def test_a_baseline_forgets_and_a_constant_reference_is_no_trouble():
    made = Baseline("mean", memory=0.5)
    for value in (1.0, 0.0, 0.0, 0.0):
        made.observe(batch_moments(np.full(10, value), np.zeros(10)))
    assert made.coefficients[0] == pytest.approx(0.125 / 1.875)
    flat = Baseline("control_variate")
    flat.observe(batch_moments(np.full(10, 0.7), np.full(10, 0.4)))
    assert flat.predict(np.array([0.4])) == pytest.approx([0.7])


def test_a_baseline_refuses_a_state_that_is_not_its_own():
    state = Baseline("mean").state_dict()
    with pytest.raises(InputError, match="does not fit"):
        Baseline("none").load_state_dict(state)
    with pytest.raises(InputError, match="does not fit"):
        Baseline("mean").load_state_dict({**state, "moments": [math.nan] * 5})
    with pytest.raises(InputError, match="has no baseline"):
        objective().load_state_dict({})
    with pytest.raises(InputError, match="must be one of"):
        Baseline("median")
    with pytest.raises(InputError, match="memory"):
        Baseline("mean", memory=0.0)


def test_the_surrogate_is_the_mean_over_prompts_of_the_sum_over_samples():
    logprobs = torch.tensor([[-1.0, -2.0], [-3.0, -4.0]], requires_grad=True)
    scalar = diversity_surrogate(torch.tensor([[0.5, -0.5], [1.0, 2.0]], dtype=torch.float64), logprobs)
    assert scalar.item() == pytest.approx((0.5 * -1 + 0.5 * 2 - 3 - 8) / 2)
    (gradient,) = torch.autograd.grad(scalar, logprobs)
    assert gradient.tolist() == [[0.25, -0.25], [0.5, 1.0]]


@pytest.mark.parametrize(
    ("advantages", "logprobs"),
    [
        (np.zeros((0, 4)), np.zeros((0, 4))),
        (np.zeros((2, 0)), np.zeros((2, 0))),
        (np.zeros((2, 3)), np.full((2, 3), -1.0)),
        (np.zeros((1, 2)), np.array([[-np.inf, -1.0]])),
        (np.zeros((1, 1)), np.array([[0.0]])),
    ],
)
def test_degenerate_sets_give_a_finite_zero_that_hangs_on_the_graph(advantages, logprobs):
    leaf = torch.tensor(logprobs, requires_grad=True)
    scalar = diversity_surrogate(torch.tensor(advantages), leaf * 1.0)
    assert scalar.item() == 0.0
    (gradient,) = torch.autograd.grad(scalar, leaf)
    assert torch.equal(gradient, torch.zeros_like(leaf))


def test_identical_samples_pull_nowhere_without_baseline():
    out = objective(set_size=4, baseline="none").advantages([group(*["x"] * 4)], [judged(*["a"] * 4)])
    assert not out.advantages.any()
    assert out.report["frac_reward_zero_std"] == 1.0


@pytest.mark.parametrize("shapes", [((2, 3), (3, 2)), ((4,), (4,))])
def test_the_surrogate_refuses_other_shapes(shapes):
    with pytest.raises(ValueError, match=r"must both be \[p, n\]"):
        diversity_surrogate(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


def test_units():
    assert off_support_gain(lambda_eff(0.3, 10), 0.25) == pytest.approx(1.5)
    assert math.isnan(off_support_gain(1.0, math.nan))
