"""Negative controls: what they are, and that a lenient checker is caught."""

import math

from polychromic.analysis import controls
from polychromic.core.nouns import Message, Prompt, Status, Verdict

GOLDS = [(Prompt(f"p{i}", f"What is {i} plus one?"), f"the answer is {i + 1}") for i in range(50)]


def audited(accepts):
    made = controls.controls(GOLDS)
    verdicts = [Verdict(Status.PASSED if accepts(each) else Status.FAILED) for each in made]
    return {rate.kind: rate for rate in controls.rates(made, verdicts)}


def right(control):
    return control.text == f"the answer is {int(control.prompt.id[1:]) + 1}"


def test_what_the_controls_are():
    made = {each.kind: each.text for each in controls.controls(GOLDS)[:6]}
    assert made["empty"] == ""
    assert made["prompt echo"] == "What is 0 plus one?"
    assert made["first half"] == "the ans"
    assert made["another prompt's answer"] == "the answer is 26"
    assert sorted(made["shuffled words"].split()) == ["1", "answer", "is", "the"]
    assert made["shuffled words"] != made["right answer"]


def test_controls_are_the_same_every_time_and_never_the_right_answer():
    assert controls.controls(GOLDS, 3) == controls.controls(GOLDS, 3)
    same = [(Prompt("a", "?"), "42"), (Prompt("b", "?"), "42")]
    texts = [each.text for each in controls.controls(same) if each.kind != controls.GOLD]
    assert "42" not in texts


def test_a_good_checker_has_no_warning():
    assert controls.warnings(list(audited(right).values()), 10) == []


def test_a_checker_that_takes_anything_is_caught():
    found = audited(lambda control: bool(control.text))
    assert found["prompt echo"].share == 1.0
    said = controls.warnings(list(found.values()), 10)
    assert any("'prompt echo' (100.0%)" in line and "pass@10 = 1.00" in line for line in said)
    assert not any("'empty'" in line for line in said)


def test_leniency_is_translated_into_pass_at_k():
    rate = controls.Rate(controls.EMPTY, 10, 100, 0)
    assert f"pass@10 = {1 - 0.9**10:.2f}" in controls.warnings([rate], 10)[0]


def test_refused_right_answers_and_absent_verdicts_are_said():
    said = controls.warnings([controls.Rate(controls.GOLD, 80, 100, 0), controls.Rate(controls.EMPTY, 0, 90, 10)], 10)
    assert "refuses 20% of the right answers" in said[0]
    assert "10 controls had no verdict" in said[1]


def test_conversations_echo_their_last_message():
    prompt = Prompt("c", (Message("system", "Be brief."), Message("user", "Hello?")))
    assert controls.content_text(prompt) == "Hello?"


def test_identical_candidates():
    assert controls.identical_share({"a": ["x", "x"], "b": ["x", "y"], "c": ["z"]}) == 0.5
    assert math.isnan(controls.identical_share({"a": ["x"]}))


def test_another_prompts_answer_is_of_a_row_with_other_columns():
    """Tickets sorted by team: most other tickets' answers are right for a ticket, and those are no controls."""
    teams = ["billing", "billing", "billing", "login", "login", "login"]
    golds = [(Prompt(f"t{at}", f"ticket {at}", {"team": team}), f"the {team} desk") for at, team in enumerate(teams)]
    golds.append((golds[0][0], "ask billing"))
    made = {each.prompt.id: each.text for each in controls.controls(golds) if each.kind == controls.OTHER}
    assert made == {
        f"t{at}": "the login desk" if team == "billing" else made[f"t{at}"] for at, team in enumerate(teams)
    }
    assert {made[name] for name in ("t3", "t4", "t5")} <= {"the billing desk", "ask billing"}


def test_rows_that_are_tried_are_spread_over_the_file():
    assert controls.spread(range(100), 4) == [0, 25, 50, 75]
    assert controls.spread([1, 2], 4) == [1, 2]
