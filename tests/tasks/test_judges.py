"""Judges over anyone's rows: what is right, what makes two right answers different, and what is said of bad ones."""

from __future__ import annotations

import threading

import pytest

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.nouns import Completion, Message, Prompt, Status
from polychromic.core.protocols import verdicts_on
from polychromic.settings.catalog import build


def judge(options, text, payload, finished=True):
    return build("tasks", options).verify(Prompt("p", "q", payload), Completion(text, finished=finished))


@pytest.mark.parametrize(
    ("options", "text", "answer", "wanted"),
    [
        ({}, "  The Eiffel tower! ", "eiffel Tower", "eiffel tower"),
        ({}, "the eiffel", "eiffel tower", None),
        ({"match": "exact"}, " Yes ", "Yes", "Yes"),
        ({"match": "exact"}, "yes", "Yes", None),
        ({"match": "choice"}, "I think it is (C).", "C", "C"),
        ({"match": "choice"}, "A or B? B", "A", None),
        ({"match": "number"}, "so 1,234.50 dollars", 1234.5, "1234.5"),
        ({"match": "number"}, "it is -3", "3", None),
        ({"match": "number", "tolerance": 0.01}, "3.14", 3.141, "3.141"),
        ({"match": "number", "after": "####"}, "4 and 5 make\n#### 9", "... so #### 9", "9"),
        ({"match": "number", "after": "####"}, "4 and 5 make 9", "9", None),
        ({"after": "boxed"}, r"so \boxed{\frac{1}{2}} and \boxed{x^{2}}", r"\boxed{x^{2}}", "x 2"),
        ({"after": "boxed"}, r"so \boxed{x", r"\boxed{x}", None),
        ({"pattern": r"answer: (\w+)"}, "answer: no. Answer? answer: yes", "yes", "yes"),
        ({"match": "choice", "column": "label"}, "B", None, None),
    ],
)
def test_answers(options, text, answer, wanted):
    verdict = judge({"kind": "answer", **options}, text, {} if answer is None else {"answer": answer})
    assert verdict.answer == wanted
    if answer is None:
        assert (verdict.status, verdict.detail) == (Status.ABSENT, "the row has no column 'label'")
    else:
        assert verdict.status is (Status.FAILED if wanted is None else Status.PASSED)


def test_any_of_several_right_answers_counts_and_they_are_different_ones():
    found = {judge("answer", text, {"answer": ["red", "blue"]}).answer for text in ("Red.", "the blue", "green")}
    assert found == {"red", "blue", None}
    by_text = {"kind": "answer", "match": "number", "distinct_by": "text"}
    assert judge(by_text, "it is 4", {"answer": 4}).answer != judge(by_text, "4", {"answer": 4}).answer


def test_what_was_cut_off_is_wrong():
    for kind in ("answer", "math", "reference", "json"):
        payload = {"answer": "4", "reference": "4", "schema": "{}"}
        assert judge(kind, "4", payload, finished=False).status is Status.FAILED


@pytest.mark.parametrize(
    ("text", "gold", "right"),
    [
        (r"The answer is $\boxed{\frac{1}{2}}$.", "0.5", True),
        ("so $x = 3$", "$3$", True),
        (r"$\boxed{2\sqrt{2}}$", r"\sqrt{8}", True),
        (r"$\boxed{7}$", "8", False),
        ("no idea", "8", False),
        (r"$\boxed{(1, 2]}$", "(1,2]", True),
        (r"$\boxed{11\sqrt{2}}$", r"11\sqrt2", True),
        (r"$\boxed{11}$", r"11\sqrt2", False),
        (r"$\boxed{6-5i}$", "6 - 5i", True),
        (r"$\boxed{5}$", "6 - 5i", False),
        (r"$\boxed{3, 5, 7}$", "3, 5, 7", True),
        (r"$\boxed{18.90}$", r"\$18.90", True),
        (r"$\boxed{4}$", r"so $2+2$ is $\boxed{4}$", True),
    ],
)
def test_mathematics_is_judged_by_equivalence(text, gold, right):
    assert judge("math", text, {"answer": gold}).passed is right


def test_a_repeated_question_is_no_answer_where_a_box_is_asked_for():
    question, payload = r"What is $\frac{1}{3} + \frac{1}{6}$?", {"answer": r"\frac12"}
    assert judge("math", question, payload).passed
    boxed = {"kind": "math", "after": "boxed"}
    assert judge(boxed, question, payload).status is Status.FAILED
    assert judge(boxed, question + r" It is \boxed{\frac{3}{6}}.", payload).passed


def test_equivalent_answers_are_one_and_another_thread_can_judge():
    texts = (r"$\boxed{\frac12}$", r"$\boxed{0.5}$", r"$\frac{2}{4}$")
    assert len({judge("math", text, {"answer": "1/2"}).answer for text in texts}) == 1
    found = []
    thread = threading.Thread(target=lambda: found.append(judge("math", texts[0], {"answer": "1/2"}).passed))
    thread.start()
    thread.join()
    assert found == [True]


def test_a_reference_is_met_from_a_threshold_on():
    payload = {"reference": "the cat sat on the mat"}
    assert judge("reference", "the cat sat on a mat", payload).passed
    assert judge({"kind": "reference", "threshold": 0.95}, "the cat sat on a mat", payload).status is Status.FAILED
    assert judge("reference", "something else", payload).status is Status.FAILED
    assert judge("reference", "x", {}).status is Status.ABSENT
    with pytest.raises(InputError, match="threshold must lie in"):
        build("tasks", {"kind": "reference", "threshold": 50})


def test_json_follows_a_schema_and_key_order_makes_no_difference(tmp_path):
    schema = '{"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}'
    first = judge("json", '{"b": 1, "a": 2}', {"schema": schema})
    assert first.passed
    assert judge("json", '```json\n{"a": 2, "b": 1}\n```', {"schema": schema}).answer == first.answer
    assert judge("json", '{"a": "x"}', {"schema": schema}).detail.startswith("a: ")
    assert judge("json", '{"a": 1, "a": 2}', {"schema": schema}).status is Status.FAILED
    assert judge("json", "[" * 5000, {"schema": schema}).status is Status.FAILED
    assert judge("json", "{}", {}).status is Status.ABSENT
    with pytest.raises(MissingResourceError, match="there is no such file"):
        build("tasks", {"kind": "json", "schema": str(tmp_path / "none.json")})
    (tmp_path / "bad.json").write_text('{"type": 5}')
    with pytest.raises(InputError, match="not a JSON schema"):
        build("tasks", {"kind": "json", "schema": str(tmp_path / "bad.json")})


JUDGES = '''
import time
from polychromic import Status, Verdict
seen = []
def reward_num_unique_letters(completions, **kwargs):
    """The example of TRL's documentation of reward functions."""
    contents = [completion[0]["content"] for completion in completions]
    return [float(len(set(content))) for content in contents]
def equal(prompts, completions, ground_truth, **kwargs):
    seen.append((prompts, completions, kwargs))
    return [completion == right for completion, right in zip(completions, ground_truth)]
def named(completions, **columns):
    return [(1.0, text[0]) for text in completions]
def verdicts(completions, **columns):
    return [Verdict(Status.ABSENT, "cannot say")] * len(completions)
def short(completions, **columns):
    return [1.0]
def raises(completions, **columns):
    raise KeyError("no such thing")
def hangs(completions, **columns):
    time.sleep(30)
def words(completions, **columns):
    return ["good"] * len(completions)
'''


@pytest.fixture
def function(tmp_path):
    path = tmp_path / "judges.py"
    path.write_text(JUDGES)
    return lambda *names, **options: build(
        "tasks", {"kind": "function", "functions": [f"{path}:{name}" for name in names], **options}
    )


def test_trls_own_example_judges_conversations(function):
    task = function("reward_num_unique_letters", threshold=3)
    prompt = Prompt("p", (Message("user", "hello"),))
    found = verdicts_on(task, [prompt] * 2, [Completion("abca"), Completion("aab")])
    assert [verdict.passed for verdict in found] == [True, False]
    assert found[0].answer == "abca"
    assert found[1].detail == "2 of 3"


def test_columns_reach_the_function_and_all_functions_must_agree(function):
    task = function("equal", "named")
    prompts = [Prompt("a", "1+1", {"ground_truth": "2", "level": "easy"}), Prompt("b", "2+2", {"ground_truth": "4"})]
    found = task.verify_many(prompts, [Completion("2"), Completion("5")])
    assert [verdict.status for verdict in found] == [Status.PASSED, Status.FAILED]
    import sys

    seen = next(module.seen for name, module in sys.modules.items() if name.startswith("judges_") and module.seen)
    assert seen[-1] == (["1+1", "2+2"], ["2", "5"], {"level": ["easy", None]})
    assert function("named").verify(prompts[0], Completion("xyz")).answer == "x"
    assert function("verdicts").verify(prompts[0], Completion("x")).status is Status.ABSENT


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("short", "must answer once for each of 2 completions, gave 1 answers"),
        ("raises", "raised KeyError: 'no such thing'"),
        ("hangs", r"no answer within 0.2 s"),
        ("words", "must be a number, a boolean, None or a Verdict, not 'good'"),
    ],
)
def test_a_function_that_misbehaves_is_one_line(function, name, match):
    with pytest.raises(InputError, match=match) as caught:
        function(name, deadline=0.2).verify_many([Prompt("p", "q")] * 2, [Completion("a"), Completion("b")])
    assert "\n" not in str(caught.value)


def test_rows_without_a_path_are_asked_for():
    with pytest.raises(InputError, match=r"answer: path must name a file of rows"):
        build("tasks", "answer").prompts("test")
    with pytest.raises(InputError, match="functions must name one"):
        build("tasks", "function")
    with pytest.raises(InputError, match="no regular expression"):
        build("tasks", {"kind": "answer", "pattern": "("})
    with pytest.raises(InputError, match="not both"):
        build("tasks", {"kind": "answer", "pattern": "x", "after": "y"})
