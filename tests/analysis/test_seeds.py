"""Methods trained with several seeds: t on the seeds' means, checked against scipy and by simulation."""

import numpy as np
import pytest
from scipy import stats

from polychromic.analysis import comparison
from polychromic.analysis.matrix import entries
from polychromic.analysis.record import CompareSettings
from polychromic.analysis.resampling import Plan
from polychromic.analysis.seeds import family, over_base, over_seeds
from polychromic.analysis.table import known_facts, read_table
from polychromic.records.measurements import MeasurementRow
from polychromic.settings.thresholds import DEFAULT_MATRIX

METRIC = "distinct_correct|k:8"


def rows(name, values, metric=METRIC):
    """Rows of the models ``name@0``, ``name@1`` ... of values ``[seeds, prompts]``."""
    return [
        MeasurementRow(f"{name}@{seed}", 1.0, f"p{i:03}", metric, float(value))
        for seed, own in enumerate(values)
        for i, value in enumerate(own)
    ]


def shifted(means, prompts=50):
    return np.array(means)[:, None] + np.arange(prompts) % 7


def over(found, **settings):
    table = read_table(found, known_facts("/nowhere/measurements.jsonl", found))
    matrix = entries(DEFAULT_MATRIX, table.facts.values())
    return over_seeds(table, CompareSettings("sft@0", temperature=1.0, **settings), matrix)


def test_without_an_interaction_it_is_welchs_t():
    a, b = [1.0, 1.2, 0.9], [1.5, 2.5, 2.0, 1.7]
    (row,) = over(rows("sft", shifted(a)) + rows("new", shifted(b)))
    welch = stats.ttest_ind(b, a, equal_var=False)
    assert (row.a, row.b, row.seeds, row.prompts) == ("sft", "new", (3, 4), 50)
    assert row.difference == pytest.approx(np.mean(b) - np.mean(a))
    assert row.p == row.p_holm == pytest.approx(welch.pvalue)
    assert row.interval == pytest.approx(tuple(welch.confidence_interval()))
    assert row.freedom == pytest.approx(welch.df)


def test_what_varies_between_prompts_widens_the_interval():
    a, b = shifted([1.0, 1.2]), shifted([1.5, 2.5])
    (plain,) = over(rows("sft", a) + rows("new", b))
    (varied,) = over(rows("sft", a) + rows("new", b + np.tile([-2.0, 2.0], 25)))
    assert varied.standard_error**2 == pytest.approx(plain.standard_error**2 + 4.0 * 50 / 49 / 50)
    assert varied.freedom > plain.freedom


def test_ratios_are_linearised():
    generator = np.random.default_rng(0)
    below, means = generator.integers(1, 9, (2, 40)), {"sft": (0.4, 0.5), "new": (0.6, 0.8)}
    found = [
        MeasurementRow(f"{name}@{seed}", 1.0, f"p{i}", METRIC, mean * bottom, float(bottom))
        for name, both in means.items()
        for seed, mean in enumerate(both)
        for i, bottom in enumerate(below[seed])
    ]
    (row,) = over(found)
    assert (row.score_a, row.score_b) == pytest.approx((0.45, 0.7))


def test_one_seed_cannot():
    assert over(rows("sft", shifted([1.0])) + rows("new", shifted([2.0, 2.5]))) == []


def test_equal_seeds_leave_the_spread_unknown():
    (row,) = over(rows("sft", shifted([1.0, 1.0])) + rows("new", shifted([2.0, 2.0])))
    assert np.isnan(row.p)
    assert "the seeds do not differ" in row.reason


@pytest.mark.long
@pytest.mark.parametrize("seeds", [2, 3])
def test_a_true_null_is_rejected_no_more_often_than_said(seeds):
    """Seeds of one method, noise of sampling on top: 400 null comparisons, at most 5 % and chance significant."""
    generator, rejected = np.random.default_rng(seeds), 0
    prompts = generator.normal(0, 1, 60)
    for _ in range(400):
        values = prompts + generator.normal(0, 0.3, (2 * seeds, 1)) + generator.normal(0, 1, (2 * seeds, 60))
        (row,) = over(rows("sft", values[:seeds]) + rows("new", values[seeds:]))
        rejected += row.p < 0.05
    assert rejected <= stats.binom.ppf(0.99, 400, 0.05)


def test_the_method_gets_a_verdict_a_warning_and_a_next_step():
    found = rows("sft", shifted([1.0, 1.3])) + rows("new", shifted([1.1, 1.6]))
    whole = comparison.compare(
        found, known_facts("/nowhere/measurements.jsonl", found), CompareSettings("sft@0", plan=Plan(200))
    )
    (method,) = whole.methods
    assert (method.model, method.baseline, method.level) == ("new", "sft", "not resolvable")
    assert method.sentence.startswith("These 2 and 2 training runs show no difference between new and sft")
    assert method.following == "more training seeds: there are 2."
    assert [flag.text for flag in whole.flags if flag.kind == "seeds"] == [
        "new: 2 training seeds against 2: below 3 a difference between methods is hardly ever resolvable."
    ]
    assert [verdict.model for verdict in whole.verdicts] == ["new@0", "new@1"]  # sft@1 is no variant of sft@0


def with_base(base, *members):
    """Models with their untrained base, called ``base``; METRIC of every prompt."""
    found = [MeasurementRow("base", 1.0, f"p{i:03}", METRIC, float(value)) for i, value in enumerate(base)]
    return [*found, *(row for rows_ in members for row in rows_)]


def test_a_method_is_compared_with_the_untrained_base_too():
    """The base is one model without seeds: what is left of Welch's test is the one on the seeds' means alone."""
    base, new = shifted([1.0])[0], [1.5, 2.5, 2.0]
    found = with_base(base, rows("sft", shifted([1.1, 1.0])), rows("new", shifted(new)))
    facts = known_facts("/nowhere/measurements.jsonl", found)
    whole = comparison.compare(found, facts, CompareSettings("sft@0", "base", plan=Plan(200)))
    row = next(row for row in whole.seeds if (row.a, row.b) == ("base", "new"))
    alone = stats.ttest_1samp(new, 1.0)
    assert (row.seeds, row.p, row.freedom) == ((1, 3), pytest.approx(alone.pvalue), pytest.approx(2.0))
    assert row.interval == pytest.approx(tuple(np.array(alone.confidence_interval()) - 1.0 + 0.0))
    sentences = {each.model: each.sentence for each in whole.bases}
    assert set(sentences) >= {"sft", "new", "sft@0", "new@2"}
    assert sentences["sft"].startswith("sft is not better than the base")
    assert [method.model for method in whole.methods] == ["new"]


def test_where_the_untrained_base_is_the_baseline_a_method_gets_its_verdict_too():
    found = with_base(shifted([1.0])[0], rows("new", shifted([1.5, 2.5])))
    facts = known_facts("/nowhere/measurements.jsonl", found)
    whole = comparison.compare(found, facts, CompareSettings("base", "base", plan=Plan(200)))
    (method,) = whole.methods
    assert (method.model, method.baseline, method.following) == ("new", "base", "more training seeds: there are 2.")
    assert [flag.text.split(":")[1] for flag in whole.flags if flag.kind == "seeds"] == [" 2 training seeds"]


def test_a_true_null_against_the_base_is_rejected_no_more_often_than_said():
    """Two seeds of a method that learnt nothing, and the base, noise of sampling on all three."""
    generator, rejected = np.random.default_rng(7), 0
    prompts = generator.normal(0, 1, 60)
    for _ in range(400):
        seeds = prompts + generator.normal(0, 0.3, (2, 1)) + generator.normal(0, 1, (2, 60))
        found = with_base(prompts + generator.normal(0, 1, 60), rows("new", seeds))
        table = read_table(found, known_facts("/nowhere/measurements.jsonl", found))
        settings = CompareSettings("new@0", "base", temperature=1.0)
        (row,) = over_base(table, settings, entries(DEFAULT_MATRIX, table.facts.values()))
        rejected += row.p < 0.05
    assert rejected <= stats.binom.ppf(0.99, 400, 0.05)


def test_families():
    assert family("moderate@2") == "moderate"
    assert family("sft") == "sft"
