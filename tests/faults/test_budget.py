"""A budget stops a training with a checkpoint, and a larger one continues it to the same end."""

from __future__ import annotations

import math

import pytest

from polychromic.__main__ import run
from polychromic.analysis import spending as ours
from polychromic.analysis.cost import Prices
from polychromic.analysis.spending import Budget
from polychromic.core.errors import BudgetError, InputError
from polychromic.core.nouns import Bill, Completion, Decoding, SampleSet
from polychromic.core.protocols import no_progress
from polychromic.project import account
from polychromic.records.costs import TimingRow, append, read_costs
from polychromic.records.evaluation import EvaluationFolder
from polychromic.records.jsonl import read_json, write_rows
from polychromic.records.samples import sample_rows, store
from polychromic.settings.load import resolved_yaml
from polychromic.settings.prices import PRICE, price_per_hour
from polychromic.settings.schema import EvaluationSection
from polychromic.stages import pipeline, train, verify
from polychromic.tasks.countdown.task import Countdown
from polychromic.training import spending


@pytest.fixture
def paid(settings_of, tmp_path):
    """Settings of a run that may cost so much, at 3,600 dollars an hour: one dollar a second."""

    def make(budget, **training):
        settings = settings_of("paid", **training)
        experiment = settings.experiment.model_copy(update={"output_root": str(tmp_path / "runs")})
        tracking = settings.tracking.model_copy(update={"price_per_hour": 3600.0, "budget": budget})
        return settings.model_copy(update={"experiment": experiment, "tracking": tracking})

    return make


def test_a_spent_budget_stops_with_a_checkpoint_and_a_larger_one_continues(paid, tmp_path, monkeypatch, recwarn):
    """Another run in the same folder spends too, while this one trains."""
    monkeypatch.setattr(spending, "EVERY_SECONDS", 0.0)
    root, other = tmp_path / "runs", {2: 5000.0, 3: 2000.0}

    def spend(work, done, total):
        if done in other:
            append(root / "other", [TimingRow("train", other.pop(done), 0.0)])

    with pytest.raises(BudgetError, match=r"of 6000 dollars is spent \(70\d\d.* stopped at step 3 with a checkpoint"):
        train.run(paid(6000), None, spend)
    assert next(str(one.message) for one in recwarn if "are spent" in str(one.message)).startswith(
        "tracking.budget: 50"
    )
    rows = [row for row in read_costs(root / "paid") if row.stage == "train"]
    assert {(row.devices, row.price_per_hour, row.device) for row in rows} == {(1, 3600.0, "cpu")}
    assert 3 <= len(rows) <= 5
    assert not read_json(root / "paid" / "run.json")["finished"]
    with pytest.raises(BudgetError, match=r"tracking.budget: 70\d\d.* of 6000 dollars are spent in"):
        train.run(paid(6000))
    done = train.run(paid(60_000))
    assert read_json(done.run_json)["resumed_from"] == "checkpoint-3"
    assert 7000 < Budget(1.0, root, Prices(3600.0)).spent() < 7200
    assert BudgetError.exit_code == 3


def test_an_evaluation_samples_nothing_that_the_budget_does_not_cover(paid, tmp_path, capsys):
    settings = paid(10.0)
    config = tmp_path / "c.yaml"
    config.write_text(resolved_yaml(settings))
    append(tmp_path / "runs" / "other", [TimingRow("train", 11.0, 0.0)])
    given = ["--config", config, "--models", "base=embedded:countdown", "--task", "countdown", "--max-prompts", "2"]
    out = tmp_path / "runs" / "evaluation"
    assert run(["evaluate", *map(str, given), "--out", str(out)], debug=False) == 3
    assert "tracking.budget: 11.00 of 10 dollars are spent" in capsys.readouterr().err
    assert not (out / "samples.jsonl").read_bytes()


def test_an_evaluation_stops_midway_with_what_it_has_and_a_larger_budget_continues_it(
    paid, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(ours, "READING", math.inf)  # looks after every part
    out = tmp_path / "runs" / "evaluation"

    def evaluate(budget, *more):
        config = tmp_path / "c.yaml"
        config.write_text(resolved_yaml(paid(budget)))
        given = (
            f"--models base=embedded:countdown --task countdown --max-prompts 3 --n 4 --batch-size 4 --config {config}"
        )
        own = "--max-new-tokens 4 --encoder hashing"
        return run(["evaluate", *given.split(), *own.split(), "--out", str(out), *more], debug=False)

    assert evaluate(0.01) == 3
    (said,) = [
        line for line in capsys.readouterr().err.splitlines() if "tracking.budget" in line and "warn" not in line
    ]
    assert "of 0.01 dollars are spent in" in said
    assert said.endswith("sample: 4 of 12 are done and kept; raise it to go on")
    first = (out / "samples.jsonl").read_bytes()
    assert first.count(b"\n") == 4
    found = account.of_folder(tmp_path / "runs")
    assert found.spent == pytest.approx(sum(row.seconds for row in read_costs(out)))  # at a dollar a second
    assert [(row.model, row.samples, row.passed) for row in found.models] == [("base", 4, 0)]
    assert evaluate(0.01) == 3
    assert (out / "samples.jsonl").read_bytes() == first
    assert evaluate(1e6) == 0
    assert (out / "samples.jsonl").read_bytes().startswith(first)
    assert (out / "report.html").exists()


class Paid(Countdown):
    """A judge that takes a dollar for every verdict."""

    asked = 0

    def verify(self, prompt, completion):
        Paid.asked += 1
        return super().verify(prompt, completion)

    def bill(self):
        taken, Paid.asked = Paid.asked, 0
        return Bill(taken, 0, 0, float(taken)) if taken else None


def test_a_judge_that_is_paid_stops_between_its_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "READING", math.inf)
    monkeypatch.setattr(verify, "ROWS_PER_WRITE", 2)
    task, place = Paid(), EvaluationFolder(tmp_path / "runs" / "evaluation")
    drawn = SampleSet(task.prompts("test")[0], tuple(map(Completion, "abcdef")), Decoding(), "m")
    write_rows(place.samples, (row for stored in store([drawn], "", 0) for row in sample_rows(stored)))

    def judged(budget):
        asked = pipeline.Evaluation([], EvaluationSection(), prices=Prices(0.0), budget=budget)
        pipeline._verify(asked, task, place, no_progress)

    with pytest.raises(BudgetError, match=r"4\.00 of 3\.5 dollars .* verify: 4 of 6 are done and kept"):
        judged(3.5)
    judged(100.0)
    assert len(place.judged()) == 6
    assert [row.bill.dollars for row in read_costs(place.path) if row.bill] == [2.0, 2.0, 2.0]


def test_without_a_price_a_budget_says_that_it_stops_nothing(tmp_path):
    with pytest.warns(UserWarning, match="no price is known"):
        Budget(5.0, tmp_path, Prices()).refuse_overspent()
    Budget(None, tmp_path, Prices()).refuse_overspent()


def test_the_price_of_a_machine_comes_from_its_environment(monkeypatch):
    monkeypatch.setenv(PRICE, "2.5")
    assert price_per_hour() == 2.5
    assert price_per_hour(1.0) == 1.0
    for wrong in ("two", "-1", "inf"):
        monkeypatch.setenv(PRICE, wrong)
        with pytest.raises(InputError, match=PRICE):
            price_per_hour()
