"""The eighteen functions prove themselves through the sandbox: gold passes, empty and wrong programs fail."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from polychromic.code.extraction import Extraction
from polychromic.code.prompting import strategies
from polychromic.code.verifier import Judging, finding, verify_completions
from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Status
from polychromic.core.protocols import Task
from polychromic.settings.catalog import build
from polychromic.tasks.functions18 import Functions18

NAMES = [
    "letter_grade",
    "filter_even",
    "first_or_none",
    "classify_number",
    "title_case",
    "factorial",
    "get_type_name",
    "clamp_value",
    "validate_password",
    "average_numbers",
    "fibonacci",
    "is_prime",
    "safe_int_conversion",
    "merge_dictionaries",
    "count_words",
    "find_index",
    "is_valid_email",
    "min_max_tuple",
]


def test_all_eighteen_are_there_in_five_categories():
    problems = Functions18().problems
    assert sorted(problem.entry_point for problem in problems) == sorted(NAMES)
    assert Counter(problem.category for problem in problems) == {
        "control flow": 3,
        "strings": 4,
        "mathematics": 4,
        "data structures": 4,
        "edge cases": 3,
    }
    assert all(len(problem.wrong) >= 2 and len(problem.inputs) >= 5 for problem in problems)


@pytest.mark.parametrize("strategy", [name for name in strategies() if name != "structured"])
def test_every_demonstration_passes_and_the_empty_answer_fails(strategy):
    task = Functions18(strategy=strategy)
    assert isinstance(task, Task)
    examples = task.examples("test")
    prompts = [example.prompt for example in examples]
    right = task.verify_many(prompts, [Completion(example.demonstration) for example in examples])
    assert [verdict.status for verdict in right] == [Status.PASSED] * 18, right
    empty = task.verify_many(prompts, [Completion("")] * 18)
    assert {(verdict.status, verdict.answer) for verdict in empty} == {(Status.FAILED, None)}


def test_every_wrong_program_fails_and_behaves_unlike_the_gold():
    task = Functions18(distinct_by="behaviour")
    programs = [(p, Extraction(source, "as_given")) for p in task.problems for source in (p.gold, *p.wrong)]
    verdicts = [verdict for _, verdict in sorted(verify_completions(programs, task.judging))]
    answers: dict[str, str | None] = {}
    for (problem, extracted), verdict in zip(programs, verdicts, strict=True):
        assert verdict.passed == (extracted.source == problem.gold), (problem.id, verdict)
        if verdict.passed:
            answers[problem.id] = verdict.answer
        else:
            assert verdict.answer != answers[problem.id]


def test_gold_and_wrong_programs_differ_as_programs_too():
    for problem in Functions18().problems:
        trees = {ast.dump(ast.parse(source)) for source in (problem.gold, *problem.wrong)}
        assert len(trees) == 1 + len(problem.wrong)


def test_splits_are_disjoint_and_complete():
    task = Functions18(train_share=0.5, validation_share=0.2)
    ids = [prompt.id for split in ("train", "validation", "test") for prompt in task.prompts(split)]
    assert sorted(ids) == sorted(problem.id for problem in task.problems)
    assert 0 < len(task.prompts("train")) < 18
    assert len(Functions18().prompts("test")) == 18
    with pytest.raises(InputError, match="allowed: train, validation, test"):
        task.prompts("dev")
    with pytest.raises(InputError, match="between 0 and 1"):
        Functions18(train_share=0.9, validation_share=0.2).prompts("train")


def test_the_same_program_under_other_names_is_the_same_answer():
    task = Functions18(distinct_by="program")
    (prompt,) = [prompt for prompt in task.prompts("test") if prompt.id.endswith("filter_even")]
    texts = [
        "    return [n for n in numbers if n % 2 == 0]\n",
        "    # by comprehension\n    return [value for value in numbers if value % 2 == 0]\n",
        "    return list(filter(lambda n: n % 2 == 0, numbers))\n",
        "    return [n for n in numbers if n % 2]\n",
    ]
    first, renamed, other, wrong = task.verify_many([prompt] * 4, [Completion(text) for text in texts])
    assert first.passed
    assert first.answer == renamed.answer
    assert other.passed
    assert other.answer != first.answer
    approaches = Functions18().verify_many([prompt] * 4, [Completion(text) for text in texts])
    assert [verdict.answer for verdict in approaches[:3]] == ["n % list"] * 3
    assert approaches[3].answer.endswith("/n % list")
    assert not wrong.passed
    drawn = SampleSet(prompt, tuple(map(Completion, texts)), Decoding())
    judged = [first, renamed, other, wrong]
    labels = build("rewards", "answers").evidence(drawn, judged).values  # what training rewards
    assert (labels[0] == labels[1], len(set(labels[:3]))) == (True, 2)
    assert build("gates", "verifier").validity(drawn, judged) == (1.0, 1.0, 1.0, 0.0)
    (measured,) = build("metrics", {"kind": "distinct_correct", "k": 4}).measure([drawn], [judged])
    assert measured.value == 2.0
    same = Functions18(distinct_by="behaviour").verify_many([prompt] * 4, [Completion(text) for text in texts])
    assert same[0].answer == same[1].answer == same[2].answer != same[3].answer


def test_the_detail_tells_outcome_and_rule():
    task = Functions18()
    prompt = task.prompts("test")[0]
    verdict = task.verify(prompt, Completion("```python\ndef letter_grade(score):\n    return 1 / 0\n```"))
    found = finding(verdict)
    assert found is not None
    assert (verdict.status, found.outcome, found.rule, found.group) == (
        Status.CRASHED,
        "exception",
        "fence",
        "execution",
    )
    assert "ZeroDivisionError" in found.text


@pytest.mark.parametrize(
    ("text", "outcome", "status"),
    [
        ("", "extract_empty", Status.FAILED),
        ("I am sorry.", "extract_empty", Status.FAILED),
        ("def letter_grade(score):\n    return '\0'", "extract_empty", Status.FAILED),
        ("```python\ndef grade(score):\n    return 'A'\n```", "missing_entry_point", Status.FAILED),
        ("```python\ndef letter_grade(score:\n    return 'A'\n```", "syntax_error", Status.FAILED),
        ("    while True:\n        pass\n", "timeout", Status.TIMED_OUT),
        ("```\nimport no_such_module\n\ndef letter_grade(score):\n    return 'A'\n```", "import_error", Status.FAILED),
        ("    import os\n    os._exit(0)\n", "exited", Status.CRASHED),
    ],
)
def test_no_bad_answer_passes_and_each_is_named(text, outcome, status):
    task = Functions18(cpu_seconds=0.5)
    verdict = task.verify(task.prompts("test")[0], Completion(text))
    found = finding(verdict)
    assert found is not None
    assert found.outcome.startswith(outcome)  # on a busy machine the wall clock may run out before the CPU time
    assert verdict.status is status


def test_a_foreign_prompt_is_absent_not_failed():
    assert Functions18().verify(Prompt("other", "x"), Completion("    return 1")).status is Status.ABSENT


def test_limits_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="cpu_seconds"):
        list(verify_completions([(Functions18().problems[0], Extraction("x = 1", "as_given"))], Judging(cpu_seconds=0)))
