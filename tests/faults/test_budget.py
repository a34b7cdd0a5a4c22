"""A budget stops a training with a checkpoint, and a larger one continues it to the same end."""

from __future__ import annotations

import pytest

from polychromic.__main__ import run
from polychromic.analysis.cost import Prices
from polychromic.analysis.spending import dollars_below, refuse_overspent
from polychromic.core.errors import BudgetError, InputError
from polychromic.records.costs import TimingRow, append, read_costs
from polychromic.records.jsonl import read_json
from polychromic.settings.load import resolved_yaml
from polychromic.settings.prices import PRICE, price_per_hour
from polychromic.stages import train
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
    assert 7000 < dollars_below(root, Prices(3600.0)) < 7200
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
    assert not (out / "samples.jsonl").exists()


def test_without_a_price_a_budget_says_that_it_stops_nothing(tmp_path):
    with pytest.warns(UserWarning, match="no price is known"):
        refuse_overspent(tmp_path, None, 5.0)
    refuse_overspent(tmp_path, None, None)


def test_the_price_of_a_machine_comes_from_its_environment(monkeypatch):
    monkeypatch.setenv(PRICE, "2.5")
    assert price_per_hour() == 2.5
    assert price_per_hour(1.0) == 1.0
    for wrong in ("two", "-1", "inf"):
        monkeypatch.setenv(PRICE, wrong)
        with pytest.raises(InputError, match=PRICE):
            price_per_hour()
