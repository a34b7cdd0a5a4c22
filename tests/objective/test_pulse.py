"""Why a step's samples teach nothing: the first cause that explains it."""

import math

import pytest

from polychromic.objective.pulse import ADVICE, NAMES, Pulse


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.9, 0.0, 1.0, 0.0, 0.0), ""),  # one set is enough
        ((1.0, 0.0, 1.0, 0.0, 0.0), "no sample has a verdict"),
        ((1.0, 0.0, 1.0, 1.0, 0.0), "no sample ends within max_new_tokens"),
        ((1.0, 0.0, 0.9, 1.0, 0.0), "the gate lets no sample through"),
        ((1.0, 0.0, 0.9, math.nan, 0.0), "the gate lets no sample through"),
        ((1.0, 0.5, 0.9, 1.0, 0.5), "the samples of each prompt have equal credit"),
        ((1.0, 1.0, 1.0, 1.0, 0.25), "the samples of each prompt have equal credit"),
        ((1.0, 1.0, 0.0, 1.0, 1.0), "every set is worth all it can be"),
    ],
)
def test_the_first_cause(numbers, expected):
    pulse = Pulse(*numbers)
    assert pulse.why_dead == expected
    assert pulse == Pulse.of(dict(zip(NAMES.values(), numbers, strict=True))) or math.isnan(pulse.judged)
    assert not expected or ADVICE[expected]


def test_a_step_without_samples():
    assert Pulse.of(None).why_dead == "nothing was drawn"
