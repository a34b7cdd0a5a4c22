"""A run that says whether its diversity term is alive, and stops when it is not."""

import json
import logging
import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest

from polychromic.core.nouns import Status, Verdict
from polychromic.records.health import Finding, HealthRecord
from polychromic.records.rows import from_row, to_row
from polychromic.settings.schema import HealthSection, TrackingSection
from polychromic.training.health import IN_A_ROW, UnhealthyError
from polychromic.training.tracking import WandbRun


@pytest.fixture
def judged(make_trainer, task):
    """A trainer whose task says the same of every completion."""

    def make(status, section=None, own=None, **arguments):
        task.verify = lambda prompt, completion: Verdict(status, answer="1" if status is Status.PASSED else None)
        return make_trainer(section=section, own=own, **({"max_steps": 6} | arguments))

    return make


@pytest.mark.parametrize(
    ("status", "section", "why"),
    [
        (Status.FAILED, {}, "the gate lets no sample through"),
        (Status.ABSENT, {}, "no sample has a verdict"),
        (Status.PASSED, {"set_size": 1}, "every set is worth all it can be"),
        (Status.PASSED, {}, "the samples of each prompt have equal credit"),
        (Status.PASSED, {"gate": "verifier"}, "no sample ends within max_new_tokens"),
    ],
)
def test_a_dead_term_is_said_once_with_its_reason(judged, status, section, why):
    trainer = judged(status, section, max_steps=7)
    if "ends" in why:
        trainer.term.stop_tokens = replace(trainer.term.stop_tokens, eos=(10**6,))
    kept, told = [], []
    trainer.health.keep.append(kept.append)
    trainer.health.tell.append(told.append)
    with pytest.warns(UserWarning, match="no effect") as caught:
        trainer.train()
    said = [str(one.message) for one in caught]
    assert len(said) == 1
    assert said[0].startswith(f"step {IN_A_ROW}: the diversity term had no effect in 5 diversity steps in a row: {why}")
    assert [finding.kind for finding in told] == ["dead term"]
    record = kept[-1]
    assert (record.diversity_steps, dict(record.dead_steps), record.dead_share) == (7, {why: 7}, 1.0)
    assert [(found.first_step, found.last_step, found.times) for found in record.findings] == [(5, 7, 3)]
    assert from_row(HealthRecord, json.loads(json.dumps(to_row(record)))).findings == record.findings
    assert record.lines()[0].startswith(
        f"diversity term: had an effect in 0 of 7 diversity steps, without it: 7 x {why}"
    )
    assert record.lines()[1].endswith("(3 times, steps 5 to 7)")


def test_a_dead_term_stops_the_run_after_a_checkpoint(judged, tmp_path):
    stops = {"own": {"health": HealthSection(dead_steps=3)}, "save_strategy": "steps", "save_steps": 100}
    trainer = judged(Status.FAILED, max_steps=20, **stops)
    with pytest.raises(
        UnhealthyError, match=r"step 3: .* 3 of the newest 3 diversity steps .*health.action=warn goes on"
    ):
        trainer.train()
    assert (tmp_path / "out/checkpoint-3").is_dir()
    assert trainer.health.record.diversity_steps == 3
    going_on = judged(Status.FAILED, max_steps=4, own={"health": HealthSection(dead_steps=3, action="warn")})
    going_on.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-3"))
    assert going_on.health.record.diversity_steps == 4  # the checkpoint knows of the first three


def half_right(prompt, completion):
    """The first letter decides: about half are right, with few answers."""
    place = ord(completion.text[:1] or "!") % 4
    return Verdict(Status.PASSED, answer=str(place)) if place < 2 else Verdict(Status.FAILED)


def test_a_living_term_is_shown_and_neither_warned_of_nor_stopped(make_trainer, caplog):
    caplog.set_level(logging.INFO, "polychromic")
    trainer = make_trainer(own={"health": HealthSection(dead_steps=1)}, max_steps=6)
    trainer.term.task.verify = half_right
    trainer.train()
    record = trainer.health.record
    assert (record.diversity_steps, record.dead_steps, record.findings) == (6, {}, ())
    assert record.lines()[0].startswith("diversity term: had an effect in 6 of 6 diversity steps, ")
    assert "% of its samples past the gate" in record.lines()[0]
    shown = [one.getMessage() for one in caplog.records]
    assert len(shown) == 1 + 1 + 4 + 1  # head, prompt, samples, what they are worth
    assert shown[0] == "first diversity step (1): 4 prompts x 4 samples, reward answers, gate verifier, set size 2"
    assert all(line.startswith("  credit ") and (" passed" in line or " failed" in line) for line in shown[2:6])
    assert "% of the gradients' norms" in shown[-1]


def test_what_a_policy_writes_cannot_act_on_the_screen(make_trainer, caplog):
    caplog.set_level(logging.INFO, "polychromic")
    trainer = make_trainer(max_steps=1)
    trainer.term.tokenizer = type("Loud", (), {
        "__getattr__": lambda self, name: getattr(trainer.processing_class, name),
        "batch_decode": lambda self, rows, **_: ["\x1b[2J\nx" * 60 for _ in rows],
        "decode": lambda self, row, **_: "\x1b[2J\nx" * 60,
    })()  # fmt: skip
    trainer.train()
    shown = [one.getMessage() for one in caplog.records]
    assert not any("\x1b" in line or "\n" in line for line in shown)
    assert any("\\x1b[2J x" in line for line in shown)
    assert max(map(len, shown)) < 150


def test_a_gate_that_lets_everything_through_is_said(make_trainer, monkeypatch):
    monkeypatch.setattr("polychromic.training.health.ALWAYS", 3)
    trainer = make_trainer(max_steps=4)
    trainer.term.task.verify = lambda prompt, completion: Verdict(Status.PASSED, answer=completion.text)
    with pytest.warns(UserWarning, match="the gate let every sample of the first 3 diversity steps through"):
        trainer.train()


def test_a_term_at_rest_is_not_dead(judged):
    """Calibrated and above its target, the weight is 0 on purpose."""
    trainer = judged(Status.PASSED, {"schedule": {"calibrated": 0.0}}, own={"health": HealthSection(dead_steps=2)})
    trainer.train()
    assert trainer.health.record.diversity_steps <= 1  # the first step does not know the sets' worth


def test_the_record_in_words():
    record = HealthRecord(findings=(Finding("x", "something", 3, 3), Finding("y", "more", 3, 9, 4)))
    assert record.lines() == ["something (step 3)", "more (4 times, steps 3 to 9)"]


@pytest.mark.parametrize("gate", ["none", "wellformed"])
def test_junk_that_pays_is_found_where_no_gate_stands_against_it(make_trainer, gate):
    section = {"gate": gate, "reward": "lexical"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "polychromic.gate: none lets junk count")
        trainer = make_trainer(section=section)
    trainer.health.observe_gain(3, 0.9)
    trainer.health.observe_gain(4, 1.5)
    trainer.health.observe_gain(5, 2.5)
    found = [(one.kind, one.first_step, one.times) for one in trainer.health.record.findings]
    assert found == ([("junk", 4, 2)] if gate == "none" else [])


def test_an_alert_is_sent_where_it_is_asked_for(tmp_path):
    for asked in (True, False):
        tracker, sent = WandbRun(TrackingSection(alerts=asked), tmp_path, "x", {}), []
        tracker.alert("hang", "nothing moves")  # no run: nothing happens
        tracker._run = SimpleNamespace(alert=lambda sent=sent, **given: sent.append(given))
        tracker.alert("hang", "nothing moves")
        assert sent == ([{"title": "hang", "text": "nothing moves"}] if asked else [])
