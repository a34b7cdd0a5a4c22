"""The comparison of methods: what it plans, how it resamples, and the threshold it predicts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.efficacy import grid, inference, methods, regimes, summary, threshold
from benchmarks.efficacy.cells import Cell, forward_tokens, run
from polychromic.objective.rivals import NAMES
from polychromic.settings.catalog import kinds


def row(name, quality, diversity, seeds=(0, 1, 2)):
    figures = {1.0: {"pass@1": np.asarray(quality), "distinct": np.asarray(diversity)}}
    return inference.Row(name, figures, seeds, 1.0, 1.0)


def noisy(name, level, draw, shift=0.0):
    quality = np.clip(draw.normal(0.5, 0.01, (3, 40)), 0, 1)
    return row(name, quality, level + shift * np.arange(3)[:, None] + draw.normal(0, 0.3, (3, 40)))


def test_every_rival_and_every_loss_of_the_shelves_is_compared():
    named = set(methods.BY_NAME)
    assert set(NAMES) < named
    assert (set(kinds("demonstration")) - {"nll"}) < named
    assert "ours" in named


@pytest.mark.parametrize("task", ["countdown", "grammar"])
def test_every_option_of_every_method_is_a_configuration(task, tmp_path):
    for method in methods.METHODS:
        for option in method.options:
            settings = Cell(task, method.name, "x", 0, option, 10).settings(tmp_path)
            assert (settings.polychromic.diversity_weight > 0) == (method.family == "samples")
    for label, overrides in methods.DOSES:
        section = Cell(task, "dose", label, 0, overrides, 10).settings(tmp_path).polychromic
        assert f"lambda {section.diversity_weight:g}, k {section.set_size}" in label


@pytest.mark.parametrize("name", sorted(regimes.PLANS))
def test_every_method_of_a_regime_is_a_configuration(name, tmp_path):
    plan = regimes.PLANS[name]
    every = regimes.cells(plan, [0, 1], list(plan.methods))
    assert len({cell.folder(tmp_path) for cell in every}) == len(every) == 1 + 2 * len(plan.methods)
    for cell in every:
        section = cell.settings(tmp_path)
        assert (section.polychromic.gate == "likelihood") == (name.startswith("unjudged") and bool(cell.overrides))
        assert cell.overrides == () or section.data.harvest or section.polychromic.diversity_weight > 0


def test_methods_of_a_family_may_be_tuned_over_equally_many_options():
    tuned = [method for method in methods.METHODS if method.name not in ("sft", "naive")]
    counts = {method.family: len(method.options) for method in tuned}
    assert counts == {"demonstrations": 3, "samples": 5, "harvest": 3}
    assert all(len(method.options) == counts[method.family] for method in tuned)


def test_cells_have_folders_of_their_own():
    best = {method.name: method.options[0] for method in methods.METHODS}
    both = {"same time": 600, "same tokens": 720}
    steps = dict.fromkeys(("sft", "harvest", "rft_by_frequency", *methods.COMPOSED), both)
    plan = grid.Grid(seeds=(0, 1))
    cells = [*grid.main_cells("countdown", plan, best, steps), *grid.dose_cells("countdown", plan)]
    folders = [cell.folder(grid.Path("out")) for cell in cells]
    assert len(set(folders)) == len(folders)
    tokens = {cell.method for cell in cells if cell.label == "same tokens"}
    assert tokens == {method.name for method in methods.METHODS if method.family != "samples"}
    assert {cell.method for cell in cells} >= set(methods.BY_NAME) | set(methods.COMPOSED)
    for cell in cells:
        assert cell.settings(grid.Path("out"))
    (joined, *_) = [cell for cell in cells if cell.method == "harvest_rounds"]
    assert joined.settings(grid.Path("out")).data.harvest.rounds == 2


def test_methods_are_run_for_as_long_as_ours_costs():
    cost = {"ours": 60.0, "sft": 15.0, "harvest": 25.0}  # of which the drawing is 10
    share = grid.affordable(cost)
    after = {name: value * cost["sft"] for name, value in share.items()}
    assert after["sft"] == 60.0
    assert 10 + after["harvest"] == 10 + after["rft_by_frequency"] == 60.0
    assert (10 + 15) + 10 + after["harvest_rounds"] == 60.0
    assert 10 + share["harvest_and_ours"] * 60 == 25 + share["harvest_then_ours"] * 60 == pytest.approx(60.0)
    assert set(grid.affordable(cost | {"harvest": 50.0})) == {"sft", "rft_by_frequency", "harvest", "harvest_and_ours"}


def test_resamples_carry_the_spread_of_prompts_and_of_seeds():
    draw = np.random.default_rng(0)
    still, moving = noisy("still", 2.0, draw), noisy("moving", 2.0, draw, shift=1.0)
    spread = {one.name: inference.sweep(one).diversity_draws[:, 0].std() for one in (still, moving)}
    prompts = 0.3 / math.sqrt(3 * 40)
    # what a seed's mean owes to its own noise on the prompts is resampled once more, with the seeds
    assert spread["still"] == pytest.approx(prompts * math.sqrt(1 + 2 / 3), rel=0.35)
    # three seeds at 2, 3, 4: the mean of three draws with replacement has the deviation sqrt(2/3 / 3)
    assert spread["moving"] == pytest.approx(math.sqrt(2 / 9 + prompts**2), rel=0.05)


def test_a_real_gain_is_found_and_none_is_not():
    draw = np.random.default_rng(1)
    ours = noisy("ours", 3.0, draw)
    worse, same = noisy("worse", 2.0, draw), noisy("same", 3.0, draw)
    better = noisy("better", 4.0, draw)
    dear = row("dear", ours.figures[1.0]["pass@1"] + 0.2, ours.figures[1.0]["distinct"] - 1.0)
    found = {one.row: one for one in inference.against(ours, [worse, same, better, dear])}
    assert found["worse"].holds == "yes"
    assert found["worse"].wins == "3/3"
    assert found["worse"].distinct[1] < 1.0 < found["worse"].distinct[2]
    assert found["same"].holds == "not resolved"
    assert found["better"].holds == "no: less diverse"
    assert found["dear"].holds == "no: pass@1 may be lower"
    assert all(one.holm >= one.p for one in found.values())


def test_few_seeds_carry_no_more_than_their_spread():
    """Where prompts do not matter the test is Welch's on the seeds; where seeds do not, the paired one on prompts."""
    draw = np.random.default_rng(2)
    seeds = draw.normal(0, 0.3, (2, 5, 1)) + np.array([3.0, 2.5]).reshape(2, 1, 1) + np.zeros((2, 5, 40))
    ours, other = (row(name, values, values) for name, values in zip("ab", seeds, strict=True))
    welch = stats.ttest_ind(seeds[0, :, 0], seeds[1, :, 0], equal_var=False)
    assert inference.difference(ours, other, "distinct").p == pytest.approx(welch.pvalue)
    assert inference.difference(ours, other, "distinct").span[1:] == pytest.approx(
        welch.confidence_interval(), rel=1e-6
    )
    prompts = draw.normal(0, 0.3, (2, 1, 40)) + np.zeros((2, 5, 40))
    ours, other = (row(name, values, values) for name, values in zip("ab", prompts, strict=True))
    paired = stats.ttest_rel(prompts[0, 0], prompts[1, 0])
    assert inference.difference(ours, other, "distinct").p == pytest.approx(paired.pvalue)


def test_rows_gather_the_seeds_and_scales_of_a_method():
    reading = {"1": {"pass@1": [0.0, 1.0], "distinct": [1.0, 3.0]}}
    cell = {"method": "sft", "label": "same steps", "forward_tokens": 10, "processor_seconds": 2.0}
    found = inference.rows([cell | {"seed": seed, "readings": {"1": reading, "0.5": reading}} for seed in (1, 0)])
    assert [(one.name, one.seeds) for one in found] == [
        ("sft same steps", (0, 1)),
        ("sft same steps x 0.5", (0, 1)),
    ]
    assert found[0].figures[1.0]["distinct"].shape == (2, 2)
    assert found[0].score("distinct") == 2.0
    assert math.isnan(found[0].score("coverage"))


def optimum(shares, lambda_eff, junk_kinds=1000):
    """The best p over answers and many junk texts, by projected mirror ascent on the objective itself."""
    d = np.concatenate([shares, np.zeros(junk_kinds)])
    p = np.concatenate([0.9 * np.asarray(shares), np.full(junk_kinds, 0.1 / junk_kinds)])
    for _ in range(5_000):
        gradient = np.divide(d, p, out=np.zeros_like(p), where=d > 0) - lambda_eff * p
        p = p * np.exp(0.02 * (gradient - (p * gradient).sum()))
        p /= p.sum()
    return p


@pytest.mark.parametrize("ratio", [0.5, 1.5, 3.0])
def test_the_predicted_junk_is_that_of_the_objectives_optimum(ratio):
    shares = np.array([0.5, 0.3, 0.2])
    star = float(np.sqrt(shares).sum() ** 2)
    p = optimum(shares, ratio * star)
    assert p[3:].sum() == pytest.approx(threshold.predicted_junk(ratio * star, [star]), abs=0.02)
    if ratio > 1:
        assert ratio * star * (p**2).sum() == pytest.approx(1.0, abs=0.02)


def test_a_threshold_that_comes_late_is_measured_as_late():
    star, doses = 8.0, []
    for ratio in threshold.RATIOS:
        junk = threshold.predicted_junk(ratio * star, [1.2 * star])
        doses.append({"ratio": ratio, "lambda_eff": ratio * star, "thresholds": [star], "junk": [0.01 + 0.99 * junk]})
    assert threshold.measured_threshold(doses) == pytest.approx(1.2, abs=0.01)


def test_blocks_of_a_page_are_renewed_and_the_rest_is_kept():
    page = "before\n<!-- a -->\nold\n<!-- /a -->\nbetween\n<!-- b -->\nkept\n<!-- /b -->\n"
    assert summary.renewed(page, {"a": "new \\1"}) == page.replace("old", "new \\1")


@pytest.mark.slow
def test_a_cell_is_trained_read_and_not_run_again(tmp_path):
    cell = Cell("countdown", "ours", "same steps", 0, methods.OURS.options[0], 2, (1.0, 0.5), prompts=4)
    found = run(cell, tmp_path)
    assert found["forward_tokens"] > 2 * 16 * 10
    assert set(found["readings"]) == {"1", "0.5"}
    figures = found["readings"]["1"]["1"]
    assert all(len(values) == 4 for values in figures.values())
    assert all(
        1 - 1e-9 + 15 * p >= 0 and one <= 16 for p, one in zip(figures["pass@1"], figures["distinct"], strict=True)
    )
    assert run(cell, tmp_path) == found


def test_forward_tokens_counts_what_passes_an_embedding():
    import torch

    table = torch.nn.Embedding(5, 2)
    with forward_tokens() as count:
        for shape in itertools.product((1, 3), (2,)):
            table(torch.zeros(shape, dtype=torch.long))
    table(torch.zeros(7, dtype=torch.long))
    assert count == [8]
