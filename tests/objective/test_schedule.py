"""The weight over the steps: warm-up, cap, share of the gradient, calibration."""

from __future__ import annotations

import json
import math

import pytest
import torch
from pydantic import ValidationError

from polychromic.core.errors import SettingsError
from polychromic.objective.gradient_balance import GradientBalance, GradientWindow, cheap_subset, gradient
from polychromic.objective.schedule import WeightSchedule
from polychromic.settings.schema import ScheduleSection


def schedule(weight: float = 2.0, **options: object) -> WeightSchedule:
    return WeightSchedule(weight, ScheduleSection(**options))


def test_warm_up_grows_to_lambda():
    made = schedule(warmup_steps=3)
    assert [made.at(step, 10) for step in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]


def test_the_cap_is_on_the_strength_per_sequence():
    made = schedule(max_lambda_eff=5.0)
    assert made.at(0, 10) == 0.5
    assert made.at(0, 2) == 2.0
    assert made.at(0, 0) == 2.0


def test_lambda_a_sequence_is_the_same_strength_at_every_length():
    made = schedule(unit="sequence")
    assert [made.at(0, tokens) * tokens for tokens in (2, 10, 160)] == [2.0] * 3
    assert made.at(0, 0) == 0.0
    assert schedule(unit="sequence", max_lambda_eff=1.0).at(0, 10) == 0.1
    shared = schedule(unit="sequence", target_share=0.5)
    shared.observe_norms(3.0, 1.0)
    assert shared.at(0, 10) == pytest.approx(3.0)  # a share of the norms has no unit


def test_zero_stays_zero():
    made = schedule(weight=0.0, target_share=0.5)
    made.observe_norms(1.0, 1.0)
    assert made.at(100, 10) == 0.0


def test_target_share_holds_the_share():
    made = schedule(target_share=0.25)
    assert made.at(0, 10) == 2.0  # nothing seen yet
    for _ in range(100):
        made.observe_norms(6.0, 0.5)
    weight = made.at(1, 10)
    assert weight * 0.5 / (weight * 0.5 + 6.0) == pytest.approx(0.25)
    for useless in ((0.0, 1.0), (1.0, 0.0), (math.nan, 1.0), (math.inf, 1.0)):
        made.observe_norms(*useless)
    assert made.at(1, 10) == weight


def test_calibrated_pulls_up_to_the_target_and_never_down():
    """Below zero the term would reward wrong answers, which are worth nothing in a set."""
    made = schedule(calibrated=0.6)
    made.observe_value(0.4)
    assert made.at(0, 10) == pytest.approx(2 * 2.0 * 0.2)
    made.observe_value(math.nan)
    assert made.at(0, 10) == pytest.approx(2 * 2.0 * 0.2)
    for _ in range(200):
        made.observe_value(0.9)
    assert made.at(0, 10) == 0.0


def test_a_target_that_nobody_measured_is_no_target():
    made = schedule(calibrated="demonstrations")
    with pytest.raises(SettingsError, match="was not measured"):
        made.at(0, 10)


def test_looks_are_the_first_diversity_step_of_every_stretch():
    made = schedule(monitor_every=10)
    assert [step for step in range(0, 31, 3) if made.measure_gradients_at(step, 3)] == [0, 12, 21, 30]
    assert [step for step in range(31) if made.measure_gradients_at(step, 1)] == [0, 10, 20, 30]
    assert all(made.measure_gradients_at(step, 20) for step in range(0, 100, 20))
    assert not schedule(monitor_every=0).measure_gradients_at(0, 1)


def test_state_survives_json():
    made = schedule(target_share=0.5)
    made.observe_norms(3.0, 2.0)
    made.observe_value(0.3)
    again = schedule(target_share=0.5)
    again.load_state_dict(json.loads(json.dumps(made.state_dict())))
    assert again.at(5, 10) == made.at(5, 10)


@pytest.mark.parametrize(
    "given",
    [
        {"warmup": 3},
        {"warmup_steps": -1},
        {"max_lambda_eff": 0},
        {"target_share": 1.0},
        {"calibrated": 2.0},
        {"calibrated": "data"},
        {"monitor_every": -1},
        {"target_share": 0.5, "calibrated": 0.5},
        {"target_share": 0.5, "monitor_every": 0},
        {"warmup_steps": "many"},
    ],
)
def test_options_that_cannot_be(given):
    with pytest.raises(ValidationError):
        ScheduleSection(**given)


def two_terms(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return 3.0 * w[0] + 4.0 * w[1], 2.0 * w[1]


def balance_of(demonstration: torch.Tensor, diversity: torch.Tensor, parameters) -> GradientBalance:
    window = GradientWindow(parameters)
    window.add(demonstration, diversity)
    return window.close()


def test_balance_by_hand():
    w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    found = balance_of(*two_terms(w), [w])
    assert (found.demonstration_norm, found.diversity_norm) == (5.0, 2.0)
    assert found.ratio == pytest.approx(0.4)
    assert found.cosine == pytest.approx(0.8)
    assert w.grad is None


def test_balance_of_a_window_is_that_of_the_summed_gradients():
    w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    window = GradientWindow([w], add_ranks=lambda vector: vector / 2)
    demonstration, diversity = two_terms(w)
    window.add(demonstration, diversity)
    window.add(-demonstration + 10 * w[0], None)
    found = window.close()
    assert (found.demonstration_norm, found.diversity_norm, found.cosine) == (5.0, 1.0, 0.0)
    assert math.isnan(window.close().ratio)


def test_balance_where_a_term_does_not_reach():
    w, other = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    found = balance_of(w.sum(), other.sum(), [w])
    assert found.diversity_norm == 0.0
    assert math.isnan(found.cosine)
    assert gradient(torch.tensor(1.0), [w]).tolist() == [0.0, 0.0]
    assert math.isnan(GradientBalance.of_products(torch.zeros(3)).ratio)


def test_the_cheap_subset_is_nearest_the_loss_and_trainable():
    layers = [torch.nn.Parameter(torch.ones(1) * i, requires_grad=i != 9) for i in range(10)]
    assert [p.item() for p in cheap_subset(layers, 0.25)] == [7.0, 8.0]
    assert [p.item() for p in cheap_subset(layers, 0.01)] == [8.0]
    assert cheap_subset([]) == []
