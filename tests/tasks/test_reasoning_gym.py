"""reasoning-gym's families as tasks: their checkers judge, confined where they evaluate; right answers have names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Prompt, Status
from polychromic.core.protocols import verdicts_on
from polychromic.settings.catalog import build, outline
from polychromic.tasks._gym_answers import FORMS, expression
from polychromic.tasks._gym_entries import entries
from polychromic.tasks.countdown import base_path
from polychromic.tasks.reasoning_gym import _evaluates

pytest.importorskip("reasoning_gym")
pytestmark = pytest.mark.long

SIX = {
    "puzzle24": ({"max_value": 6}, {"max_value": 10}),
    "graph_color": (
        {"min_num_vertices": 6, "max_num_vertices": 6, "edge_probability": 0.4},
        {"num_colors": 4, "edge_probability": 0.3},
    ),
    "n_queens": ({"n": 5, "max_remove": 3}, {"n": 7}),
    "jugs": ({"difficulty": 3}, {"difficulty": 6}),
    "palindrome_generation": ({"max_length": 6}, {"min_length": 12, "max_length": 16}),
    "countdown": ({"min_numbers": 3, "max_numbers": 3, "max_target": 300}, {"min_numbers": 5}),
}
LEVELS = [(family, config) for family, both in SIX.items() for config in both]


def gym(family, config=None, **options):
    sizes = {"test_size": 3, "validation_size": 2, "train_size": 4}
    return build("tasks", {"kind": "reasoning_gym", "family": family, "config": config or {}, **sizes, **options})


@pytest.mark.parametrize(("family", "config"), LEVELS, ids=lambda value: value if isinstance(value, str) else "")
def test_gold_answers_pass_with_a_name_and_others_do_not(family, config):
    task = gym(family, config)
    examples = task.examples("test")
    assert len(examples) == 3
    golds = [example.demonstration for example in examples]
    shifted = golds[1:] + golds[:1]
    texts = golds + shifted + ["<answer></answer>"] * 3 + [gold[8:-9] for gold in golds]
    verdicts = verdicts_on(task, [e.prompt for e in examples] * 4, [Completion(text) for text in texts])
    assert all(verdict.passed and verdict.answer for verdict in verdicts[:3]), verdicts[:3]
    if family not in ("graph_color", "jugs"):  # where one answer may be right for another problem too
        assert not any(v.passed for v, own, other in zip(verdicts[3:6], golds, shifted, strict=True) if own != other)
    assert not any(verdict.passed for verdict in verdicts[6:])
    assert {verdict.detail for verdict in verdicts[9:]} == {"no answer between <answer> tags"}
    assert task.verify(examples[0].prompt, Completion(golds[0], finished=False)).status is Status.FAILED


ATTACK = "__import__('pathlib').Path({path!r}).write_text('x')"


@pytest.mark.parametrize("family", ["puzzle24", "n_queens"])
def test_what_a_model_wrote_is_evaluated_in_the_sandbox_alone(family, tmp_path):
    task = gym(family, SIX[family][0], form="plain")
    path = str(tmp_path / "written")
    found = task.verify(task.prompts("test")[0], Completion(ATTACK.format(path=path)))
    assert not found.passed
    assert not Path(path).exists()
    from reasoning_gym import create_dataset

    loose = create_dataset(family, seed=1, size=1)
    loose.score_answer(ATTACK.format(path=path), loose[0])
    assert Path(path).exists(), "the attack does work where nothing confines it"


def test_every_family_that_evaluates_is_known_by_its_code():
    assert all(
        map(_evaluates, ["codeio", "number_sorting", "spiral_matrix", "polynomial_equations", "string_insertion"])
    )
    assert not any(map(_evaluates, ["jugs", "graph_color", "palindrome_generation", "sudoku", "tower_of_hanoi"]))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("(1+2)*8", "8 * (2+1)", True),
        ("8*2+8*1", "8*(2+1)", None),
        ("(2-1)*8*3", "3*8*(2-1)", True),
        ("8/(1/3)*(2-1)", None, None),
        ("3*8+(1-2)-(1-2)", None, None),
        ("8*3*2/(1+1)", "8*3/(1+1)*2", None),
        ("8*3/1/(2/2)", None, None),
        ("(8-2)*(3+1)", "(1+3)*(8-2)", True),
        ("8*(3-(2-1)+1)", None, None),
        ("3*8/(2-1)", "3*8*(2-1)", False),
        ("-(1-2)*3*8", "3*8*-(1-2)", True),
    ],
)
def test_expressions_are_one_answer_up_to_order_and_grouping(one, other, same):
    numbers = sorted(int(sign) for sign in one if sign.isdigit())
    first = expression(one, numbers, 24)
    if same is None:
        assert (first is None) == (eval(one) != 24)
        assert expression(first, numbers, 24) == first if first else True
        return
    second = expression(other, numbers, 24)
    assert None not in (first, second)
    assert (first == second) is same
    assert expression(first, numbers, 24) == first, "the canonical form is an expression of its own class"


@pytest.mark.parametrize(
    "answer",
    ["4*6", "4*6*1*1", "49/2", "4!", "2**3*3", "(2,3)", "4*6*x", "24", "1/(2-2)", "(" * 300, "4*6*2//2", "0x4*6*1*1"],
)
def test_what_puzzle24s_own_checker_lets_through_is_refused(answer):
    assert expression(answer, [2, 3, 5, 7], 24) is None


def test_the_hole_in_the_checker_is_real_and_closed():
    task = gym("puzzle24", {"max_value": 9}, form="plain")
    prompt = task.prompts("test")[0]
    found = task.verify(prompt, Completion("4*6*1*1"))
    assert (found.passed, found.detail) == (
        False,
        "the checker accepts it, but it breaks a rule that the question states",
    )


def test_what_makes_right_answers_different():
    known = {"puzzle": {"vertices": [0, 1, 2], "edges": [(0, 1)], "jug_capacities": [3, 5, 4], "target": 2}}
    colours = FORMS["graph_color"]
    assert colours('{"0": 1, "1": 2, "2": 1}', known) == colours('{"2": 3, "0": 3, "1": 1}', known) == "0,1,0"
    assert colours('{"0": 1, "1": 2, "2": 2}', known) == "0,1,1"
    pour = FORMS["jugs"]
    short = '["fill B", "pour B->A"]'
    assert pour('["empty A", "fill B", "fill B", "pour B->A", "fill C"]', known) == pour(short, known)
    assert pour('["fill C", "fill B", "pour B->A"]', known) != pour(short, known)
    board = "_ Q _ _\n_ _ _ Q\nQ _ _ _\n_ _ Q _"
    assert FORMS["n_queens"](board, {}) == "1,3,0,2"
    assert FORMS["palindrome_generation"](" Abba\n", {}) == "abba"


def test_splits_share_no_question_and_another_process_makes_the_same():
    task = gym("palindrome_generation", {"min_length": 2, "max_length": 2}, test_size=8, train_size=40)
    splits = [{prompt.id for prompt in task.prompts(split)} for split in ("train", "validation", "test")]
    assert sum(map(len, splits)) == len(set.union(*splits)) == 20  # of 26 questions, where 50 were drawn
    script = "from polychromic.tasks._gym_entries import entries; print(entries('ransom_note', '{}', 5, 3))"
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path), "PATH": ""}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout == f"{entries('ransom_note', '{}', 5, 3)}\n"


def test_a_problem_of_other_options_has_no_verdict():
    ours, other = (gym("jugs", config) for config in SIX["jugs"])
    (prompt, *_) = ours.prompts("test")
    assert other.verify(prompt, Completion("x")).status is Status.ABSENT
    assert (
        ours.verify(Prompt("p", "q"), Completion("x")).detail
        == "is no problem of reasoning_gym:jugs with these options"
    )


@pytest.mark.parametrize(
    ("family", "options", "match"),
    [
        ("jug", {}, "family: unknown 'jug'; did you mean jugs"),
        ("", {}, "family: unknown ''"),
        ("jugs", {"config": {"jugz": 3}}, "config of jugs: .*unexpected keyword argument 'jugz'"),
        ("n_queens", {"config": {"n": 40}}, "config of n_queens: n must be between 4 and 12"),
        ("jugs", {"threshold": 2.0}, "threshold must lie in"),
        ("jugs", {"test_size": -1}, "cannot be negative"),
    ],
)
def test_options_that_make_no_sense_are_one_line(family, options, match):
    with pytest.raises(InputError, match=match) as caught:
        gym(family, **options)
    assert "\n" not in str(caught.value)


def test_a_family_without_answers_and_a_wrong_split_say_so():
    with pytest.raises(InputError, match="boxnet: the family makes no right answers"):
        gym("boxnet", test_size=1, validation_size=0, train_size=0).examples("test")
    with pytest.raises(InputError, match="no split 'dev'"):
        gym("jugs").prompts("dev")


def test_a_question_can_be_put_in_shorter_words_in_a_configuration():
    config = {"min_length": 9, "max_length": 9}
    words = {"form": "plain", "words": "{letters}:"}
    outline("tasks", {"kind": "reasoning_gym", "family": "palindrome_generation", "config": config, **words})
    task = gym("palindrome_generation", config, **words)
    (example, *_) = task.examples("test")
    assert sorted(example.prompt.content) == sorted(f"{example.demonstration}:")
    assert task.verify(example.prompt, Completion(example.demonstration)).passed
    assert not task.verify(example.prompt, Completion(example.demonstration[1:])).passed
    with pytest.raises(InputError, match="'length'; the metadata have"):
        gym("jugs", form="plain", words="{length}")
    with pytest.raises(InputError, match="set form: plain"):
        gym("jugs", words="{target}")


def test_six_families_at_two_levels_are_sampled_judged_and_accounted_with_the_embedded_base(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from polychromic.core.nouns import Decoding
    from polychromic.records.jsonl import read_rows, write_rows
    from polychromic.records.samples import sample_rows, store
    from polychromic.samplers.transformers import Transformers
    from polychromic.stages import verify

    model = AutoModelForCausalLM.from_pretrained(base_path(), local_files_only=True, max_position_embeddings=1024)
    sampler = Transformers(model, AutoTokenizer.from_pretrained(base_path(), local_files_only=True))
    for number, (family, config) in enumerate(LEVELS):
        task, folder = gym(family, config, form="plain"), tmp_path / str(number)
        sets = sampler.sample(task.prompts("test"), 2, Decoding(max_new_tokens=8), seed=number)
        write_rows(folder / "samples.jsonl", (row for one in store(sets, "base", 0) for row in sample_rows(one)))
        verify.run(folder, task)
        rows = [row for _, row in read_rows(folder / "verdicts.jsonl")]
        assert len(rows) == 6
        assert {row["status"] for row in rows} <= {"passed", "failed", "timed_out", "crashed"}
        json.dumps(rows)
