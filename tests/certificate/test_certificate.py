"""The certificate is green, and every break in the code it guards turns a line red."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from polychromic.certificate import controls, exact, invariances, shelf, toy, variance
from polychromic.certificate.lines import Line, above, below
from polychromic.cli import certify as cli
from polychromic.core.errors import SettingsError
from polychromic.core.nouns import Labels
from polychromic.gates import verifier
from polychromic.objective import baseline, credit, diversity_objective, surrogate
from polychromic.objective.diversity_objective import DiversityObjective
from polychromic.rewards import semantic
from polychromic.settings.schema import Kind
from polychromic.stages import certify


def red(lines: list[Line]) -> set[str]:
    return {line.claim for line in lines if not line.passed}


PAIRS = {"kind": "mixture", "parts": ["semantic", "lexical"], "weights": [2.0, 1.0]}
ORDER_TWO = {"kind": "vendi", "q": 2.0}


def worst(reward: Kind, samples: int = 3) -> float:
    return max(exact.reward_errors(reward, toy.Multisets(samples)).values())


def test_toy_probabilities_sum_to_one_and_texts_are_known():
    theta = toy.parameters(0)
    for temperature in (0.7, 1.0, 1.3):
        assert float(toy.log_probs(theta, temperature).exp().sum().detach()) == pytest.approx(1.0, abs=1e-14)
    for n in (1, 2, 3):
        sets = toy.Multisets(n)
        assert float(sets.log_prob(toy.log_probs(theta)).exp().sum().detach()) == pytest.approx(1.0, abs=1e-13)


@pytest.mark.parametrize("reward", [*shelf.rewards(), PAIRS, ORDER_TWO], ids=shelf.named)
def test_enumeration(reward):
    errors = exact.reward_errors(reward, toy.Multisets(2))
    assert max(errors.values()) < exact.TOLERANCE, max(errors, key=errors.__getitem__)


@pytest.mark.parametrize("reward", ["answers", "semantic"])
def test_enumeration_with_four_samples(reward):
    assert worst(reward, 4) < exact.TOLERANCE


def test_every_control_is_detected_and_every_invariance_holds():
    assert not red(controls.control_lines())
    assert not red(invariances.invariance_lines())


def test_the_control_variate_is_as_quiet_as_the_oracle_and_quieter_than_the_rest():
    assert not red(variance.variance_lines())
    found = variance.variances(variance.case("vendi", shelf.COUNT_ALL, 4))
    assert found["control_variate"] < 0.9 * min(found["mean"], found["leave_one_out"], found["none"])


# --- breaking the code -------------------------------------------------------------------------------------------


def scaled(original: Callable[..., credit.Credit], factor: float) -> Callable[..., credit.Credit]:
    def broken(*args: object) -> credit.Credit:
        right = original(*args)
        return dataclasses.replace(right, values=right.values * factor)

    return broken


@pytest.mark.parametrize(
    ("name", "reward"),
    [
        ("_labels_credit", "answers"),
        ("_distances_credit", "semantic"),
        ("_leave_one_out", "vendi"),
        ("_enumerated", "vendi"),
    ],
)
def test_credit_one_in_a_million_too_large_is_seen(monkeypatch, name, reward):
    monkeypatch.setattr(credit, name, scaled(getattr(credit, name), 1 + 1e-6))
    assert worst(reward) > exact.TOLERANCE


def test_a_gate_outside_the_set_value_is_seen(monkeypatch):
    """Credit multiplied by validity instead of pairs that count only when both are valid."""
    original = credit._distances_credit

    def broken(evidence, valid, set_size):
        ungated = original(evidence, np.ones_like(valid), set_size)
        return dataclasses.replace(ungated, values=ungated.values * valid)

    monkeypatch.setattr(credit, "_distances_credit", broken)
    assert worst("semantic") > 0.01


def test_a_reference_that_sees_its_own_sample_is_seen(monkeypatch):
    original = credit.group_credit

    def broken(evidence, validity, set_size):
        right = original(evidence, validity, set_size)
        return dataclasses.replace(right, reference=np.full_like(right.values, right.values.mean()))

    monkeypatch.setattr(diversity_objective, "group_credit", broken)
    assert worst("semantic") > 0.01
    assert red(invariances.invariance_lines()) == {"what is subtracted does not see its own sample"}


def test_a_baseline_that_sees_its_own_batch_is_seen(monkeypatch):
    def peeking(self, reference):
        a, c = baseline.Baseline.coefficients.fget(self)  # type: ignore[attr-defined]
        return a + c * reference + reference.mean()

    monkeypatch.setattr(baseline.Baseline, "predict", peeking)
    assert "advantages do not see the batch's other prompts" in red(invariances.invariance_lines())


@pytest.mark.parametrize("factor", ["mean over samples", "sum over prompts", "own log-probability lost"])
def test_a_wrong_surrogate_is_seen(monkeypatch, factor):
    def broken(advantages, logprobs):
        if factor == "mean over samples":
            return (advantages * logprobs).mean()
        if factor == "sum over prompts":
            return (advantages * logprobs).sum()
        return (advantages[:, 1:] * logprobs[:, 1:]).sum() / len(logprobs)

    monkeypatch.setattr(surrogate, "diversity_surrogate", broken)
    assert worst("answers") > 0.01
    if factor == "sum over prompts":
        assert "1, 2, 4 and 8 micro-batches" in red(invariances.invariance_lines())
        assert "detected: micro-batches added without dividing" in red(controls.control_lines())


def test_sampling_at_another_temperature_than_scoring_is_seen(monkeypatch):
    original = exact.expected_estimate

    def broken(theta, sets, advantages):
        monkeypatch.setattr(exact, "TEMPERATURE", 1.0)
        estimate = original(theta, sets, advantages)
        monkeypatch.setattr(exact, "TEMPERATURE", 1.3)
        return estimate

    monkeypatch.setattr(exact, "expected_estimate", broken)
    assert worst("answers") > 0.01


def test_evidence_that_depends_on_the_whole_set_is_seen(monkeypatch):
    original = semantic.Semantic.evidence

    def broken(self, samples, verdicts):
        rows = np.array(original(self, samples, verdicts).rows)
        return type(original(self, samples, verdicts))(tuple(map(tuple, (rows / max(rows.max(), 1e-9)).tolist())))

    monkeypatch.setattr(semantic.Semantic, "evidence", broken)
    assert worst("semantic") > 0.01


def test_a_gate_that_looks_at_the_rest_of_the_set_is_seen(monkeypatch):
    original = verifier.Verifier.validity

    def broken(self, samples, verdicts):
        valid = original(self, samples, verdicts)
        return tuple(float(v and samples.texts.count(text) == 1) for v, text in zip(valid, samples.texts, strict=True))

    monkeypatch.setattr(verifier.Verifier, "validity", broken)
    assert worst("answers") > 0.01


def test_a_wrong_threshold_is_seen(monkeypatch):
    original = diversity_objective.off_support_gain
    monkeypatch.setattr(
        diversity_objective, "off_support_gain", lambda effective, similarity: original(effective, similarity) / 2
    )
    assert sum("junk gains" in claim for claim in red(invariances.invariance_lines())) == 4


def test_a_noisy_baseline_is_seen(monkeypatch):
    monkeypatch.setattr(baseline.Baseline, "coefficients", property(lambda self: (0.0, 1.0)))
    few = variance.cases()[:3]
    monkeypatch.setattr(variance, "cases", lambda: few)
    assert len(red(variance.variance_lines())) == 3


def test_a_forgotten_state_is_seen(monkeypatch):
    monkeypatch.setattr(DiversityObjective, "load_state_dict", lambda self, state: None)
    assert red(invariances.invariance_lines()) == {"state through a checkpoint"}


@pytest.mark.parametrize("mistake", list(controls.MISTAKES))
def test_a_control_that_finds_nothing_is_red(monkeypatch, mistake):
    monkeypatch.setitem(controls.MISTAKES, mistake, lambda bench: 0.0)
    assert red(controls.control_lines()) == {f"detected: {mistake}"}


# --- the command -------------------------------------------------------------------------------------------------


def few(more) -> list[Line]:
    return [below("few", "small", 1e-12, 1e-10), above("few", "large", 0.5, 0.01)]


def broken_few(more) -> list[Line]:
    return [below("few", "not a number", float("nan"), 1e-10), above("few", "not a number", float("nan"), 0.01)]


def test_the_command_prints_a_verdict_for_each_line(monkeypatch):
    monkeypatch.setattr(certify, "SECTIONS", (few,))
    result = CliRunner().invoke(cli.command, [])
    assert result.exit_code == 0
    assert "2 of 2 lines hold" in result.output
    assert result.output.count("ok ") == 2


def test_the_command_fails_when_a_line_fails_and_nan_never_passes(monkeypatch):
    monkeypatch.setattr(certify, "SECTIONS", (few, broken_few))
    result = CliRunner().invoke(cli.command, ["--json"])
    assert result.exit_code == 1
    found = json.loads(result.output)
    assert not found["passed"]
    assert [line["passed"] for line in found["lines"]] == [True, True, False, False]


def test_a_reward_beside_those_of_the_shelf_has_its_line_and_a_typo_is_said_before_anything_runs(monkeypatch):
    monkeypatch.setattr(certify, "SECTIONS", (exact.exact_lines,))
    monkeypatch.setattr(shelf, "rewards", list)
    result = CliRunner().invoke(cli.command, ["--reward", "{kind: vendi, q: 2.0}"])
    assert result.exit_code == 0, result.output
    assert "vendi q=2.0: E[estimate] = gradient" in result.output
    with pytest.raises(SettingsError, match="unknown option of vendi"):
        CliRunner().invoke(cli.command, ["--reward", "{kind: vendi, qu: 2}"], catch_exceptions=False)


def test_a_reward_that_states_another_form_than_it_gives_is_seen(monkeypatch):
    monkeypatch.setattr(semantic.Semantic, "form", "set function")
    assert worst("semantic", 2) == float("inf")


def test_labels_credit_on_the_toy_is_finite():
    sets = toy.Multisets(3)
    for verdicts in sets.verdicts:
        values = credit.group_credit(Labels(tuple(v.answer for v in verdicts)), [1.0] * 3, 2).values
        assert torch.isfinite(torch.tensor(values)).all()
