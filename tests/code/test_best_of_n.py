"""Best-of-N against enumeration of every subset, and each scorer on programs whose order is known."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from polychromic.cli import commands
from polychromic.code.best_of_n import advice, auc, choice, differing_temperature, ground
from polychromic.code.candidates import Candidates
from polychromic.code.scorers.completeness import Completeness
from polychromic.code.scorers.length import Length
from polychromic.code.scorers.logprob import LogProb
from polychromic.code.scorers.public_tests import PublicTests, public_tests
from polychromic.code.scorers.self_consistency import SelfConsistency
from polychromic.code.scorers.verbosity import Verbosity
from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Status, Verdict
from polychromic.records.jsonl import read_json, write_rows
from polychromic.stages import best_of_n, verify_code
from polychromic.tasks.functions18 import Functions18

TASK = Functions18()
PROBLEM = {problem.entry_point: problem for problem in TASK.problems}
PASSED, FAILED, ABSENT = Verdict(Status.PASSED), Verdict(Status.FAILED), Verdict(Status.ABSENT)


@dataclass(frozen=True)
class Given:
    """Scores that are written into the candidates' texts."""

    def scores(self, candidates):
        return tuple(float(text.split()[0]) for text in candidates.samples.texts)


def made(*scored: tuple[float, bool], temperature: float = 1.0, name: str = "p") -> Candidates:
    completions = tuple(Completion(f"{score} {index}") for index, (score, _) in enumerate(scored))
    verdicts = [PASSED if passed else FAILED for _, passed in scored]
    return Candidates(SampleSet(Prompt(name, "x"), completions, Decoding(temperature=temperature), "m"), verdicts)


def programs(entry: str, sources: list[str]) -> Candidates:
    problem = PROBLEM[entry]
    samples = SampleSet(Prompt(problem.id, problem.prompt), tuple(map(Completion, sources)), Decoding(), "m")
    verdicts = TASK.verify_many([samples.prompt] * len(sources), samples.completions)
    return Candidates(samples, verdicts, problem, TASK.judging)


def enumerated(candidates: Candidates, n: int) -> tuple[float, float, float, float]:
    """Selected, oracle, all-identical and repeats over every subset, by the definition."""
    scores = Given().scores(candidates)
    passes = [verdict.passed for verdict in candidates.verdicts]
    identities = candidates.identities()
    rows = []
    for subset in itertools.combinations(range(len(scores)), n):
        top = max(scores[i] for i in subset)
        best = [passes[i] for i in subset if scores[i] == top]
        different = len({identities[i] for i in subset})
        rows.append((np.mean(best), any(passes[i] for i in subset), different == 1, 1 - different / n))
    return tuple(float(np.mean(column)) for column in zip(*rows, strict=True))


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3).map(float), st.booleans()), min_size=4, max_size=6), min_size=1, max_size=4
    ),
    st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_every_expectation_is_that_of_enumerating_subsets(sets, n):
    candidates = [made(*scored, name=str(index)) for index, scored in enumerate(sets)]
    expected = np.mean([enumerated(item, n) for item in candidates], axis=0)
    base, chosen = ground(candidates, n), choice(candidates, "given", Given(), n)
    assert chosen.selected == pytest.approx(expected[0])
    assert base.oracle == pytest.approx(expected[1])
    assert base.all_identical == pytest.approx(expected[2])
    assert base.identical == pytest.approx(expected[3], abs=1e-12)
    assert chosen.oracle_gap == pytest.approx(expected[1] - expected[0])
    assert chosen.gain == pytest.approx(expected[0] - base.single)


def test_a_perfect_a_blind_and_a_perverse_scorer():
    right = [made((1, True), (0, False), (0, False), (0, False), name=str(i)) for i in range(5)]
    perfect = choice(right, "perfect", Given(), 4)
    assert (perfect.selected, perfect.efficiency, perfect.auc, perfect.oracle_gap) == (1.0, 1.0, 1.0, 0.0)
    assert (perfect.cost_per_pass, perfect.single_cost_per_pass) == (4.0, 4.0)
    blind = choice([made((0, True), (0, False), (0, False), (0, False))] * 5, "blind", Given(), 4)
    assert (blind.gain, blind.auc, blind.spread) == (0.0, 0.5, 0.0)
    perverse = choice([made((0, True), (1, False))] * 5, "perverse", Given(), 2)
    assert (perverse.selected, perverse.auc) == (0.0, 0.0)
    assert perverse.cost_per_pass == math.inf


def test_auc_by_hand():
    assert auc([3, 2, 1], [1, 0, 0]) == 1.0
    assert auc([1, 1, 0], [1, 0, 0]) == 0.75
    assert auc([1, 2], [1, 1]) is None


def test_what_cannot_be_known_is_nan_with_a_reason():
    short = ground([made((1, True))], 2)
    assert short.prompts == 0
    assert math.isnan(short.oracle)
    assert short.reason == "no prompt has 2 samples"
    unjudged = made((1, True), (0, False))._replace(verdicts=[ABSENT, ABSENT])
    base = ground([unjudged], 2)
    assert math.isnan(base.single)
    assert base.all_identical == 0.0
    assert choice([unjudged], "given", Given(), 2).reason == "no judged prompt has 2 samples"
    assert "judge them first" in advice(base, [], None)
    lacking = choice([made((1, True), (0, False))], "logprob", LogProb(), 2)
    assert math.isnan(lacking.selected)
    assert lacking.reason == "the samples do not hold what it needs"


def test_advice_says_what_the_predecessor_had_to_pay_to_learn():
    """N=3 at temperature 0.5, 15 of 18 prompts with identical candidates: 1.5x the time for nothing."""
    same = [
        Candidates(SampleSet(Prompt(str(i), "x"), (Completion("a"),) * 3, Decoding(0.5), "m"), [PASSED] * 3)
        for i in range(15)
    ]
    other = [made((1, True), (0, False), (0, True), temperature=0.5, name=f"o{i}") for i in range(3)]
    base = ground(same + other, 3)
    assert base.all_identical == pytest.approx(15 / 18)
    said = advice(base, [], 0.9)
    assert said.startswith("N=3 at temperature 0.5 does not pay: in 83% of the prompts all candidates are the same")
    assert "temperature 0.9" in said


def test_advice_for_the_other_cases():
    no_room = [made((1, True), (0, True), name=str(i)) for i in range(9)]
    assert "even a perfect scorer would add only" in advice(ground(no_room, 2), [], None)
    room = [made((1, True), (0, False), name=str(i)) for i in range(40)]
    base = ground(room, 2)
    good = choice(room, "given", Given(), 2)
    assert "pays with given: 50.0% becomes 100.0%" in advice(base, [good], None)
    unscored = [*room, *(made((math.nan, True), (math.nan, False), (math.nan, False), name=f"x{i}") for i in range(40))]
    said = advice(ground(unscored, 2), [choice(unscored, "given", Given(), 2)], None)
    assert "50.0% becomes 100.0% of a possible 100.0%" in said  # all three over the prompts it can score
    assert said.endswith("(40 prompts cannot be scored).")
    blind = [made((0, True), (0, False), name=str(i)) for i in range(40)]
    assert "no scorer finds it" in advice(ground(blind, 2), [choice(blind, "given", Given(), 2)], None)


def test_a_scorer_that_cannot_tell_candidates_apart_gains_exactly_nothing():
    blind = [
        made(*((0, place < right) for place in range(5)), name=f"{right}.{i}") for right in (1, 2, 3) for i in range(30)
    ]
    found = choice(blind, "given", Given(), 2)
    assert (found.gain, found.low, found.high, found.efficiency) == (0.0, 0.0, 0.0, 0.0)
    assert "no scorer finds it" in advice(ground(blind, 2), [found], None)


def test_the_temperature_at_which_candidates_start_to_differ():
    assert differing_temperature({0.2: 0.9, 0.6: 0.5, 1.0: 0.1}) == 0.6
    assert differing_temperature({0.2: 0.9}) is None


GOOD = "```python\ndef is_prime(n: int) -> bool:\n    return n > 1 and all(n % d for d in range(2, n))\n```"
ALSO = (
    "```python\ndef is_prime(m):\n    if m < 2:\n        return False\n    return all(m % d for d in range(2, m))\n```"
)
BAD = "```python\ndef is_prime(n):\n    # a comment\n    # another\n    x = 1\n    return True\n```"
STUB = "```python\ndef is_prime(n):\n    pass\n```"


def test_self_consistency_counts_behaviour_and_never_looks_at_right_or_wrong():
    found = programs("is_prime", [GOOD, ALSO, BAD, "no program"])
    assert SelfConsistency().scores(found) == (0.5, 0.5, 0.25, 0.0)
    wrong_majority = programs("is_prime", [BAD, BAD, BAD, GOOD])
    assert SelfConsistency().scores(wrong_majority) == (0.75, 0.75, 0.75, 0.25)


def test_a_behaviour_that_gives_the_right_answer_away_is_not_used():
    found = programs("is_prime", [GOOD, BAD])
    leaky = [Verdict(Status.PASSED, "passed [fence]", "passed/x"), Verdict(Status.FAILED, "wrong_answer [fence] x")]
    assert SelfConsistency().scores(found._replace(verdicts=leaky)) == (0.0, 0.0)


def test_rubrics_see_what_they_see():
    found = programs("is_prime", [GOOD, ALSO, STUB, "no program"])
    whole = Completeness().scores(found)
    assert whole[0] == 1.0 > whole[1] > whole[2] == whole[3] == 0.0
    wordy = Verbosity().scores(programs("is_prime", [GOOD, BAD]))
    assert wordy[1] > wordy[0], "the negative example prefers the wrong, commented program"
    assert all(math.isnan(score) for score in Completeness().scores(made((1, True), (0, False))))


def test_length_prefers_as_told_and_puts_nothing_last():
    found = programs("is_prime", [GOOD, BAD, "no program"])
    short, long = Length().scores(found), Length(prefer="long").scores(found)
    assert short[2] == min(short)
    assert long[2] == min(long)
    assert (short[0] > short[1]) != (long[0] > long[1])


def test_logprob_is_a_mean_over_tokens():
    completions = (Completion("ab", (1, 2), logprob=-4.0), Completion("abcd", (1, 2, 3, 4), logprob=-6.0))
    samples = SampleSet(Prompt("p", "x"), completions, Decoding(), "m")
    assert LogProb().scores(Candidates(samples, [PASSED, FAILED])) == (-2.0, -1.5)


def test_public_tests_run_the_prompts_examples_only():
    assert public_tests(PROBLEM["is_prime"]) == ["assert (is_prime(7)) == True\n"]
    found = programs("is_prime", [GOOD, BAD, "def is_prime(n):\n    return False\n", "no program"])
    assert PublicTests().scores(found) == (1.0, 1.0, 0.0, 0.0)
    assert all(len(public_tests(problem)) == 1 for problem in TASK.problems)


@pytest.fixture
def folder(tmp_path):
    rows = []
    for problem in TASK.problems[:6]:
        for index, source in enumerate([problem.gold, *problem.wrong, problem.gold]):
            rows.append({"task_id": problem.id, "text": f"```python\n{source}```", "sample_index": index})
    write_rows(tmp_path / "s.jsonl", rows)
    verify_code.run(tmp_path / "s.jsonl", TASK, tmp_path / "out")
    return tmp_path / "out"


def test_the_stage_judges_every_scorer_on_existing_samples(folder):
    (entry,) = read_json(best_of_n.run(folder, [4], task=TASK))["entries"]
    assert (entry["prompts"], entry["single"], entry["oracle"], entry["cost_multiplier"]) == (6, 0.5, 1.0, 4.0)
    by_name = {item["scorer"]: item for item in entry["choices"]}
    assert set(by_name) == {"completeness", "length", "logprob", "public_tests", "self_consistency", "verbosity"}
    assert by_name["self_consistency"]["auc"] == 1.0
    assert by_name["logprob"]["selected"] is None
    assert entry["advice"].startswith("N=4 at temperature 1 pays with self_consistency")


def test_the_command_prints_a_table_and_the_advice(folder):
    arguments = ["best-of-n", str(folder), "--n", "2", "--task", "functions18", "--scorer", "length"]
    shown = CliRunner().invoke(
        commands, [*arguments, "--scorer", "{kind: length, prefer: long}"], catch_exceptions=False
    )
    assert "length(prefer=long)" in shown.stdout
    assert "N=2 at temperature 1" in shown.stdout
    few = CliRunner().invoke(commands, ["best-of-n", str(folder), "--n", "99"], catch_exceptions=False).stdout
    assert few.splitlines()[0].endswith("N=99  0 prompts  (no prompt has 99 samples)")
    assert len(few.splitlines()) == 3
    machine = CliRunner().invoke(commands, [*arguments, "--json"], catch_exceptions=False)
    assert json.loads(machine.stdout)["entries"][0]["n"] == 2
    with pytest.raises(InputError, match="expected numbers"):
        CliRunner().invoke(commands, ["best-of-n", str(folder), "--n", "two"], catch_exceptions=False)
    with pytest.raises(InputError, match="from 1"):
        best_of_n.run(folder, [0])


def test_the_folder_tells_the_task_and_how_it_was_asked(folder, tmp_path):
    assert best_of_n.task_of(folder) == "functions18"
    shown = CliRunner().invoke(
        commands, ["best-of-n", str(folder), "--n", "2", "--scorer", "completeness"], catch_exceptions=False
    )
    assert "do not hold" not in shown.stdout
    asked = {"task": {"kind": "humaneval", "file": "x"}, "strategy": "chat_cot", "post_processing": "auto", "seed": 0}
    (tmp_path / "experiment.json").write_text(json.dumps(asked))
    expected = {"kind": "humaneval", "file": "x", "strategy": "chat_cot", "post_processing": "auto"}
    assert best_of_n.task_of(tmp_path) == expected
    assert best_of_n.task_of(tmp_path / "elsewhere") is None


def test_without_a_task_texts_are_compared_and_program_scorers_abstain(folder):
    (entry,) = read_json(best_of_n.run(folder, [2], ["length", "completeness"]))["entries"]
    assert entry["all_identical"] == pytest.approx(1 / 6)
    assert entry["choices"][1]["selected"] is None
