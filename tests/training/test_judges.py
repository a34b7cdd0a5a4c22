"""A plain function as a task: what it is given, and what its values mean."""

import pytest

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Message, Prompt, Status
from polychromic.training.judges import FunctionTask

ASKED = [Prompt("a", "1+1=", {"sum": 2}), Prompt("b", (Message("user", "1+2="),), {"sum": 3})]
GIVEN = [Completion("2", (5,)), Completion(" 4 ", (6,))]


def verdicts(function):
    return FunctionTask(function).verify_many(ASKED, GIVEN)


def test_it_is_called_as_trl_calls_a_reward_function():
    seen = {}

    def judge(**given):
        seen.update(given)
        return [1.0, 0.0]

    right, wrong = verdicts(judge)
    assert seen == {
        "prompts": ["1+1=", [{"role": "user", "content": "1+2="}]],
        "completions": ["2", [{"role": "assistant", "content": " 4 "}]],
        "completion_ids": [[5], [6]],
        "sum": [2, 3],
    }
    assert (right.status, right.answer) == (Status.PASSED, "2")
    assert (wrong.status, wrong.answer) == (Status.FAILED, None)


def test_an_answer_may_be_canonical_and_none_is_wrong():
    right, wrong = verdicts(lambda **given: ["two", None])
    assert (right.answer, right.passed, wrong.passed) == ("two", True, False)
    one = FunctionTask(lambda **given: [True]).verify(*ASKED[1:], GIVEN[1])
    assert (one.answer, one.passed) == ("4", True)


@pytest.mark.parametrize(("values", "said"), [([0.5, 1], "right .* or wrong"), ([1], "1 values for 2 completions")])
def test_what_is_no_judgement_is_refused(values, said):
    with pytest.raises(InputError, match=said):
        verdicts(lambda **given: values)
