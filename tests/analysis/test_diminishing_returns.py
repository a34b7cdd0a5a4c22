"""Where samples stop paying and what diversity cost, by hand."""

import math

import pytest

from polychromic.analysis.diminishing_returns import collapse_points, efficiencies
from polychromic.analysis.nouns import Difference
from polychromic.core.facts import MetricFacts
from polychromic.core.nouns import Status, Verdict
from polychromic.settings.catalog import kind_class


def meaning(signature):
    return MetricFacts.of(kind_class("metrics", signature.partition("|")[0]), signature)


DIVERSITY, QUALITY = meaning("distinct_correct|k:8"), meaning("pass_at_k|k:1")


def verdicts(model, prompt, statuses, temperature=1.0):
    return {(model, prompt, temperature, i): Verdict(Status(status)) for i, status in enumerate(statuses)}


def test_the_collapse_point_of_two_prompts():
    """One prompt is solved by half of its samples, the other never: pass@k is 1/4, 5/12, 1/2, 1/2."""
    rows = verdicts("sft", "p", ["passed", "failed", "passed", "failed"]) | verdicts("sft", "q", ["failed"] * 4)
    rows |= verdicts("sft", "p", ["passed"] * 4, temperature=0.7)
    (found,) = collapse_points(rows, ["sft"], 1.0, bound=0.09)
    assert (found.collapse, found.samples) == (2, 4)
    assert collapse_points(rows, ["sft"], 1.0, bound=0.05)[0].collapse == 3


def test_every_sample_pays_or_nothing_was_judged():
    rows = verdicts("sft", "p", ["passed", "failed", "failed"]) | verdicts("new", "p", ["passed", "absent"])
    sft, new, none = collapse_points(rows, ["sft", "new", "none"], 1.0)
    assert (sft.collapse, sft.samples, sft.reason) == (None, 3, "")
    assert new.reason == none.reason == "no prompt was judged whole"


def difference(model, facts, value):
    told = {"title": facts.title, "role": facts.role, "direction": facts.direction, "headline": facts.headline}
    ends = {"score_a": 1.0, "score_b": 1.0 + value, "interval": (math.nan, math.nan)}
    return Difference(metric=facts.signature, a="sft", b=model, temperature=1.0, difference=value, **told, **ends)


def rows_of(model, diversity, quality):
    return [difference(model, DIVERSITY, diversity), difference(model, QUALITY, quality)]


@pytest.mark.parametrize(
    ("diversity", "quality", "efficiency", "reason"),
    [
        (0.4, -0.1, 4.0, ""),
        (0.4, 0.1, math.inf, "no quality was given up"),
        (-0.4, -0.1, math.nan, "no diversity was gained"),
        (math.nan, -0.1, math.nan, "diversity or quality was not measured"),
    ],
)
def test_efficiency(diversity, quality, efficiency, reason):
    (found,) = efficiencies(rows_of("new", diversity, quality), DIVERSITY, QUALITY)
    assert found.efficiency == pytest.approx(efficiency, nan_ok=True)
    assert found.reason == reason


def test_less_is_better_counts_as_a_gain():
    fewer = meaning("self_bleu|n:4|scope:prompt")
    rows = [difference("new", fewer, -0.2), *rows_of("new", 0.0, -0.1)[1:]]
    assert efficiencies(rows, fewer, QUALITY)[0].efficiency == pytest.approx(2.0)
    assert efficiencies(rows, None, QUALITY)[0].reason == "diversity or quality was not measured"
