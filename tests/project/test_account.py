"""One account over trainings and evaluations, added up by hand; and the plan of all of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from polychromic.__main__ import run
from polychromic.analysis.cost import Prices
from polychromic.analysis.significance import foreseen_effect, minimum_detectable_effect
from polychromic.analysis.spending import Budget, dollars
from polychromic.core.errors import MissingResourceError
from polychromic.core.nouns import Bill, Completion, Decoding, Prompt, SampleSet, Status, Verdict
from polychromic.project import account, plan, plan_judging, plan_project
from polychromic.records.artefacts import finish_run, open_run
from polychromic.records.costs import TimingRow, append, drawn
from polychromic.records.evaluation import EvaluationRecord
from polychromic.records.jsonl import write_json, write_rows
from polychromic.records.samples import StoredSet, sample_rows
from polychromic.records.verdicts import verdict_row
from polychromic.reporting import runs
from polychromic.settings.load import identity, resolved_yaml, settings_from
from polychromic.settings.prices import PRICE

HOUR = 3600.0


@pytest.fixture
def settings(tmp_path):
    def make(name, **tracking):
        return settings_from(
            {
                "experiment": {"name": name, "output_root": str(tmp_path / "runs")},
                "model": {"name_or_path": "embedded:countdown"},
                "data": {"task": {"kind": "countdown", "train_size": 32}},
                "training": {"max_steps": 10, "use_cpu": True},
                "evaluation": {"task": {"kind": "countdown", "train_size": 32}, "n": 16, "max_prompts": 100},
                "tracking": tracking,
            }
        )

    return make


@pytest.fixture
def project(tmp_path, settings):
    """A finished run of 2 dollars, one at step 4 of 10 for 3 dollars, and an evaluation of the first."""
    root = tmp_path / "runs"
    for name, tracking in (("sft", {}), ("diverse", {"budget": 20.0})):
        own = settings(name, **tracking)
        folder = open_run(root / name, identity(own), {"experiment": 0})
        folder.resolved.write_text(resolved_yaml(own))
    append(root / "sft", [TimingRow("load", 0.5 * HOUR, 0.0), TimingRow("train", 0.25 * HOUR, 0.0, devices=2)])
    finish_run(open_run(root / "sft", identity(settings("sft")), {"experiment": 0}), seconds=1.0)
    append(root / "diverse", [TimingRow("train", HOUR, 0.0, price_per_hour=3.0)])
    write_rows(root / "diverse" / "metrics.jsonl", [{"step": 4, "loss": 1.0}])
    return root


@pytest.fixture
def evaluated(project):
    """Two samples of each of two models, the time of each known; sft passes one, diverse both; judging took 2 hours."""
    place = project / "evaluation"
    place.mkdir()
    write_json(place / "evaluation.json", EvaluationRecord(price_per_hour=1.0))
    samples, verdicts = [], []
    for name, passing in (("sft", 1), ("diverse", 2)):
        completions = (Completion("a", (1, 2)), Completion("b", (3,)))
        stored = StoredSet(SampleSet(Prompt("p", "Say."), completions, Decoding(), name), "", 0, (0, 1))
        samples += sample_rows(stored)
        for index in (0, 1):
            passed = Status.PASSED if index < passing else Status.FAILED
            verdicts.append(verdict_row((name, "p", 1.0, index), Verdict(passed)))
        append(place, drawn([stored], (4 * HOUR, 0.0), "cuda"))
    append(place, [TimingRow("verify", 2 * HOUR, 0.0), TimingRow("measure", HOUR, 0.0)])
    write_rows(place / "samples.jsonl", samples)
    write_rows(place / "verdicts.jsonl", verdicts)
    return project


def test_training_is_added_up_over_its_parts_and_what_is_left_goes_at_its_pace(project):
    found = account.of_folder(project, 2.0)
    diverse, sft = found.runs
    assert (sft.name, sft.spent, sft.left) == ("sft", 2.0, 0.0)  # (0.5 + 2 * 0.25) hours
    assert (diverse.spent, diverse.steps, diverse.of_steps) == (3.0, 4, 10)  # at the price that was written down
    assert diverse.left == pytest.approx(3.0 / 4 * 6)
    assert sft.planned > 0
    assert (found.training, found.evaluation, found.spent, found.budget) == (5.0, 0.0, 5.0, 20.0)
    assert account.lines(found)[1] == "budget: 20.00; of it left: 15.00"


def test_a_passing_answer_is_paid_with_its_samples_their_judging_and_the_training(evaluated):
    sft, diverse = account.of_folder(evaluated, 2.0).models
    assert (sft.sampling, sft.judging, sft.rest) == (4.0, 1.0, 0.5)
    assert (sft.passed, sft.per_pass, sft.with_training) == (1, 5.0, 7.0)
    assert (diverse.passed, diverse.per_pass, diverse.with_training) == (2, 2.5, 4.0)
    whole = account.of_folder(evaluated, 2.0)
    assert whole.evaluation == 11.0
    assert whole.spent == 16.0


def test_without_a_price_there_is_a_reason_and_no_number(evaluated, monkeypatch, capsys):
    monkeypatch.delenv(PRICE, raising=False)
    found = account.of_folder(evaluated)
    sft = found.runs[1]
    assert math.isnan(sft.spent)
    assert sft.reason == account.NO_PRICE
    assert math.isnan(found.spent)
    assert run(["cost", str(evaluated)], debug=False) == 0
    assert "not known: no price" in capsys.readouterr().out
    monkeypatch.setenv(PRICE, "2")
    assert account.of_folder(evaluated).spent == 16.0
    (evaluated / "sft" / "empty").mkdir()
    with pytest.raises(MissingResourceError, match="neither a run nor an evaluation"):
        account.of_folder(evaluated / "sft" / "empty")


def test_runs_that_have_not_begun_are_still_to_be_paid(project, settings, tmp_path):
    config = tmp_path / "later.yaml"
    config.write_text(resolved_yaml(settings("later", price_per_hour=1.0)))
    later = account.of_folder(project, 2.0, [str(config)]).runs[-1]
    assert (later.name, later.steps, later.of_steps, later.spent) == ("later", 0, 10, 0.0)
    assert later.left == later.planned > 0


def test_an_api_is_paid_by_its_tokens(tmp_path):
    prices = Prices(3600.0, 2.0)
    rows = [
        TimingRow("sample", 5.0, 0.0, "server", "m", 1.0, "p", (0, 1), (400_000, 100_000)),
        TimingRow("verify", 1.0, 0),
    ]
    assert dollars(rows, prices) == 1.0 + 1.0
    billed = [TimingRow("judge", 0.0, 0.0, "judge", bill=Bill(3, 10, 10, price)) for price in (0.25, None)]
    assert dollars([*rows, billed[0]], prices) == 2.25
    assert math.isnan(dollars(billed, prices))
    assert math.isnan(dollars([TimingRow("sample", 5.0, 0.0, "server", "m", 1.0, "p", (0,))], prices))


def test_the_prompts_an_api_reads_are_paid_where_they_have_a_price():
    row = TimingRow("sample", 5.0, 0.0, "server", "m", 1.0, "p", (0, 1), (400_000, 100_000), tokens_read=3_000_000)
    assert dollars([row], Prices(3600.0, 2.0, 0.5)) == 1.0 + 1.5
    assert dollars([row], Prices(3600.0, 2.0)) == 1.0
    assert math.isnan(dollars([replace(row, tokens_read=None)], Prices(3600.0, 2.0, 0.5)))


def test_what_a_run_paid_its_judge_and_drew_before_it_is_in_its_account(project):
    append(project / "sft", [TimingRow("judge", 0.0, 0.0, "judge", bill=Bill(3, 10, 10, 0.25))])
    append(project / "sft" / "pool", [TimingRow("sample", HOUR, 0.0, "cuda")])
    append(project / "a pool", [TimingRow("sample", 2 * HOUR, 0.0, "cuda")])
    found = account.of_folder(project, 2.0)
    assert found.runs[1].spent == 2.0 + 0.25 + 2.0
    assert (found.elsewhere, found.spent) == (4.0, 5.0 + 2.25 + 4.0)
    assert found.spent == Budget(1.0, project, Prices(2.0)).spent()
    assert "elsewhere 4.00" in account.lines(found)[0]
    assert [row.dollars for row in runs.costs({"sft": project / "sft"}, "sft")] == pytest.approx(
        [math.nan], nan_ok=True
    )


def test_the_plan_prices_prompts_and_judges(settings, tmp_path):
    rows = [{"prompt": "one two three four five", "completion": "six"}] * 10
    write_rows(tmp_path / "rows.jsonl", [row | {"prompt": f"{row['prompt']} {i}"} for i, row in enumerate(rows)])
    task = {"kind": "judge", "path": str(tmp_path / "rows.jsonl"), "rubric": "Fine.", "served_model": "m"}
    paid = task | {"price_read": 1.0, "price_written": 2.0, "max_new_tokens": 50}
    own = settings("api", price_per_million_tokens=10.0, price_per_million_prompt_tokens=1.0)
    served = own.evaluation.model_copy(update={"engine": "server", "task": paid, "n": 4, "max_new_tokens": 100})
    found = plan_project.evaluation_of(own.model_copy(update={"evaluation": served}), 2, "cpu")
    assert (found.samples, found.tokens, found.tokens_read) == (80, 8000, round(80 * 6 * 1.4))
    assert (found.judging.requests, found.judging.tokens_written) == (80, 80 * 50)
    assert found.judging.tokens_read > 80 * 100
    sampling = (8000 * 10.0 + found.tokens_read * 1.0) / 1e6
    assert found.price == pytest.approx(sampling + (found.judging.tokens_read + 2.0 * 80 * 50) / 1e6)
    unpriced = served.model_copy(update={"task": task})
    found = plan_project.evaluation_of(own.model_copy(update={"evaluation": unpriced}), 2, "cpu")
    assert found.price is None
    assert plan.judging_lines(found.judging)[1] == plan_judging.UNPRICED


def test_the_plan_adds_variants_and_their_evaluation_and_says_what_it_could_show(settings, capsys):
    every = [settings("sft", price_per_hour=2.0), settings("diverse", price_per_hour=2.0)]
    found = plan_project.forecast(every, "cpu")
    own = found.evaluation
    assert (own.models, own.prompts, own.samples) == (3, 100, 3 * 100 * 16)
    assert found.price == pytest.approx(sum(run.price for run in found.runs) + own.price)
    assert found.price == pytest.approx(2.0 * found.seconds / HOUR)
    least = foreseen_effect(100, 16)
    assert f"100 prompts with 16 samples each would show a difference in pass@1 of {least:.3f}" in own.effect
    assert plan_project.lines(found)[-2].startswith("total: about ")
    without = plan_project.forecast([settings("sft")])
    assert without.price is None


def test_a_foreseen_effect_is_the_one_formula_at_the_worst_rate():
    wanted = minimum_detectable_effect(math.sqrt(0.5 / 16 / 100), 99)
    assert foreseen_effect(100, 16) == pytest.approx(float(wanted))
    assert foreseen_effect(100, 16, 0.3) > 1.5 * foreseen_effect(100, 16)
    assert foreseen_effect(400, 16) == pytest.approx(foreseen_effect(100, 16) / 2, rel=0.02)
    assert math.isnan(foreseen_effect(1, 16))
