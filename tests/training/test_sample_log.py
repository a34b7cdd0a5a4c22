"""Samples for a person to read: what the credit was given to, only when asked for."""

import json
from types import SimpleNamespace

import pytest

from polychromic.settings.schema import TrackingSection
from polychromic.training.sample_log import COLUMNS, SampleLog
from polychromic.training.tracking import WandbRun


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def logged(make_trainer, tmp_path):
    """A run of four steps that samples on every second and logs every step; its rows and the tables it sent."""
    trainer, sent = make_trainer(section={"compute_every_n_steps": 2}, max_steps=4), []
    log = SampleLog(tmp_path / "samples.jsonl", 6, trainer.term, lambda *table: sent.append(table))
    trainer.add_callback(log)
    drawn, draw = [], trainer.term.draw
    trainer.term.draw = lambda *args, **kwargs: drawn.append(draw(*args, **kwargs)) or drawn[-1]
    trainer.train()
    return rows(tmp_path / "samples.jsonl"), sent, drawn


def test_the_newest_samples_with_verdict_answer_and_credit(logged):
    found, sent, drawn = logged
    assert [row["step"] for row in found] == [1] * 6 + [3] * 6  # once for each diversity step
    for start, step in ((0, drawn[0]), (6, drawn[1])):
        for place, row in enumerate(found[start : start + 6]):
            samples, index = step.sets[place // 4], place % 4  # sets stay together
            assert row["prompt_id"] == samples.prompt.id
            assert row["prompt"] == samples.prompt.content
            assert row["completion"] == samples.completions[index].text
            assert row["verdict"] == ("passed" if row["completion"][:1].isalnum() else "failed")
            assert row["answer"] == (row["completion"][0] if row["verdict"] == "passed" else None)
            assert row["advantage"] == step.credit.advantages[place // 4, index]
            others = [other["answer"] for other in found[start + 4 * (place // 4) : start + 4 * (place // 4) + 4]]
            if place < 4:  # k = 2 of n = 4: the share of the others with another answer or none
                same = others.count(row["answer"]) - 1
                assert row["credit"] == pytest.approx((3 - same) / 3 if row["answer"] else 0.0)
    assert [(name, columns, len(table)) for name, columns, table in sent] == [("train/samples", COLUMNS, 6)] * 2
    assert sent[0][2][0] == [found[0][name] for name in COLUMNS]


def test_wandb_gets_a_table_beside_the_numbers(monkeypatch, tmp_path):
    tracker, logged = WandbRun(TrackingSection(), tmp_path, "x", {}), []
    tracker.table("train/samples", COLUMNS, [])  # no run: nothing happens
    tracker._run = SimpleNamespace(log=logged.append)
    state = SimpleNamespace(global_step=3, log_history=[{"loss": 1.0}])
    tracker.on_log(None, state, None)
    turns = [{"role": "user", "content": "ä"}]
    tracker.table("train/samples", ("prompt", "answer", "credit"), [["a", "1", 0.5], [turns, None, 0.0]])
    table = logged[1]["train/samples"]
    assert table.columns == ["prompt", "answer", "credit"]
    assert table.data == [["a", "1", 0.5], ['[{"role": "user", "content": "ä"}]', None, 0.0]]
    assert logged[1]["train/global_step"] == 3
