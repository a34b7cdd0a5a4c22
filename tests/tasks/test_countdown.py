import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Prompt, Status
from polychromic.core.protocols import Task
from polychromic.tasks.countdown import Countdown
from polychromic.tasks.countdown.expressions import parse
from polychromic.tasks.countdown.problems import Problem, answers, problems
from polychromic.tasks.countdown.task import as_prompt

QUESTION = as_prompt(Problem((2, 3, 5, 7, 8, 8), 42))


@pytest.fixture(scope="module")
def task() -> Countdown:
    return Countdown()


def by_brute_force(numbers, target):
    """Every string of 3 or 4 of the numbers in every order with every operators, valued by Python."""
    found = set()
    for used in (3, 4):
        for order in set(itertools.permutations(numbers, used)):
            for signs in itertools.product("+-*", repeat=used - 1):
                text = str(order[0]) + "".join(
                    sign + str(number) for sign, number in zip(signs, order[1:], strict=True)
                )
                if eval(text) == target:
                    found.add(parse(text).text)
    return found


@pytest.mark.parametrize("problem", random.Random(3).sample(problems("pretraining", 1), 6), ids=lambda p: p.id)
def test_the_enumerator_agrees_with_brute_force(problem):
    found = [answer.text for answer in answers(problem.numbers, problem.target)]
    assert len(found) == len(set(found))
    assert set(found) == by_brute_force(problem.numbers, problem.target)


@pytest.mark.long
def test_the_problems_asked_are_those_with_enough_answers():
    asked = set(problems("validation"))
    for problem in problems("validation", 1)[::50]:
        assert (problem in asked) == (len(answers(problem.numbers, problem.target)) >= 5)


@pytest.mark.long
def test_splits_are_disjoint_for_every_seed_and_apart_from_the_pretraining_pool():
    pretraining = {problem.id for problem in problems("pretraining", 1)}
    train = {p.id for seed in (0, 1) for p in Countdown(seed=seed).prompts("train")}
    validation = {p.id for seed in (0, 1) for p in Countdown(seed=seed).prompts("validation")}
    test = {p.id for seed in (0, 1) for p in Countdown(seed=seed).prompts("test")}
    for a, b in itertools.combinations([pretraining, train, validation, test], 2):
        assert a
        assert not a & b


def test_splits_depend_on_the_seed_alone(task):
    assert task.prompts("test") == Countdown().prompts("test")
    assert task.prompts("test") != Countdown(seed=1).prompts("test")
    assert [p.payload for p in task.prompts("test")] == [p.payload for p in Countdown().prompts("test")]


def test_there_is_something_to_be_diverse_about(task):
    counts = [len(task.answers(prompt)) for prompt in task.prompts("test")]
    assert len(counts) == 400
    assert min(counts) >= 5
    assert sum(counts) / len(counts) >= 6


def test_demonstrations_are_right_and_follow_the_one_rule(task):
    for example in task.examples("test"):
        verdict = task.verify(example.prompt, Completion(example.demonstration))
        assert verdict.passed
        assert verdict.answer == example.demonstration == min(task.answers(example.prompt), key=lambda a: (len(a), a))


def test_every_answer_passes_and_is_its_own_canonical_form(task):
    for prompt in task.prompts("validation")[:40]:
        for answer in task.answers(prompt):
            assert task.verify(prompt, Completion(answer)).answer == answer


def test_another_problems_answer_fails(task):
    examples = task.examples("test")
    for example, other in itertools.pairwise(examples):
        right = other.demonstration in task.answers(example.prompt)
        assert task.verify(example.prompt, Completion(other.demonstration)).passed == right


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "not an expression: it is empty"),
        ("5*8", "it uses 2 numbers, not 3 or 4"),
        ("2+3+5+7+8", "it uses 5 numbers, not 3 or 4"),
        ("5*8+3", "it comes to 43, not 42"),
        ("5*8+4", "it uses 4 which is not given"),
        ("2+5*8+2", "it uses 2 more often than given"),
        ("2+5*8 ok", "not an expression: it cannot be read from character 6"),
        ("2+5*8\n", "not an expression: it cannot be read from character 6"),
        ("2+5*8=42", "not an expression: it cannot be read from character 6"),
        ("2+(5*8)", "not an expression: it cannot be read from character 3"),
        ("2+5*", "not an expression: it ends where a number should follow"),
        ("2+5 8", "not an expression: 8 follows a number without an operator"),
        ("2+*8", "not an expression: '*' stands where a number should"),
    ],
)
def test_what_is_wrong_fails_and_says_why(task, text, detail):
    verdict = task.verify(QUESTION, Completion(text))
    assert (verdict.status, verdict.detail, verdict.answer) == (Status.FAILED, detail, None)


def test_variants_of_an_answer_are_one_answer(task):
    for text in ("2+5*8", "8*5+2", " 5*8 + 2"):
        assert task.verify(QUESTION, Completion(text)).answer == "2+5*8"
    assert task.verify(QUESTION, Completion("8*8-3*5-7")).detail == "it uses 5 numbers, not 3 or 4"


def test_an_answer_that_was_cut_off_fails(task):
    assert task.verify(QUESTION, Completion("2+5*8", finished=False)).status is Status.FAILED


@settings(deadline=None)
@given(st.text() | st.text(alphabet="2357890+-* ", max_size=14), st.booleans())
def test_verify_never_raises(text, finished):
    verdict = Countdown().verify(QUESTION, Completion(text, finished=finished))
    assert verdict.passed == (verdict.answer is not None)


@pytest.mark.parametrize("payload", [{}, {"numbers": 3, "target": 4}, {"numbers": ["x"], "target": 4}])
def test_a_foreign_prompt_is_not_judged(task, payload):
    assert task.verify(Prompt("p", "2 + 2 =", payload), Completion("4")).status is Status.ABSENT


def test_wrong_splits_and_sizes_are_refused():
    with pytest.raises(InputError, match="no split 'dev'"):
        Countdown().prompts("dev")
    with pytest.raises(InputError, match="test_size is 100000; allowed: 1 to"):
        Countdown(test_size=100_000).prompts("test")


def test_it_is_a_task(task):
    assert isinstance(task, Task)
