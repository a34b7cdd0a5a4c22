"""Structured candidates: the schema, rendering, holes, and answers that hold no JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polychromic.code.json_programs import SCHEMA, extract_structured, structured
from polychromic.code.verifier import finding
from polychromic.core.nouns import Completion
from polychromic.tasks.functions18 import Functions18

PROMPT = 'def is_prime(n):\n    """Whether n is a prime number."""\n'
GOLD = {
    "imports": ["import math"],
    "body": [
        {"op": "if", "test": "n < 2", "then": [{"op": "return", "value": "False"}], "else": []},
        {
            "op": "for",
            "target": "d",
            "over": "range(2, math.isqrt(n) + 1)",
            "body": [
                {
                    "op": "if",
                    "test": "n % d == 0",
                    "then": [{"op": "return", "value": "False"}],
                    "else": [{"op": "continue"}],
                }
            ],
        },
        {"op": "return", "value": "True"},
    ],
}


def prime_task() -> tuple[Functions18, object]:
    task = Functions18(strategy="structured", only=("is_prime",))
    return task, task.prompts("test")[0]


@pytest.mark.parametrize(
    "wrap",
    ["{}", "```json\n{}\n```", "<think>\n{{}}\n</think>\n{}", "Here it is: {} Done."],
    ids=["bare", "fence", "thought", "prose"],
)
def test_a_whole_candidate_becomes_a_program_that_passes(wrap):
    task, prompt = prime_task()
    verdict = task.verify(prompt, Completion(wrap.format(json.dumps(GOLD))))
    assert verdict.passed, verdict
    assert finding(verdict).rule == "structured"


def test_the_example_follows_the_schema_and_a_wrong_one_does_not():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(GOLD, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"imports": [], "body": [{"op": "exec", "code": "x"}]}, SCHEMA)


def test_every_operation_is_rendered():
    body = [
        {"op": "assign", "target": "a, b", "value": "1, 2"},
        {"op": "do", "expression": "print(a)"},
        {"op": "while", "test": "a", "body": [{"op": "break"}]},
        {"op": "raise", "error": "ValueError('x')"},
    ]
    found = structured(json.dumps({"imports": [], "body": body}), PROMPT)
    assert found.holes == ()
    assert found.source == PROMPT + (
        "    a, b = 1, 2\n    print(a)\n    while a:\n        break\n    raise ValueError('x')\n"
    )


@pytest.mark.parametrize(
    "statement",
    [
        {"op": "hole", "what": "the loop"},
        {"op": "return", "value": ""},
        {"op": "return", "value": "1 +"},
        {"op": "return", "value": "x) + (y"},
        {"op": "return", "value": "1\nimport os"},
        {"op": "return", "value": "1  # why"},
        {"op": "do", "expression": "import os"},
        {"op": "assign", "target": "1", "value": "2"},
        {"op": "break"},
        {"op": "if", "test": "n", "then": [{"op": "continue"}]},
        {"op": "return", "value": "await n"},
        {"op": "do", "expression": "*n"},
        {"op": "for", "target": "f(x)", "over": "y", "body": []},
        {"op": "if", "test": None, "then": []},
        {"op": "exec", "code": "x"},
        "return 1",
        7,
    ],
    ids=str,
)
def test_what_cannot_be_rendered_is_a_hole_that_is_counted(statement):
    found = structured(json.dumps({"imports": [], "body": [statement]}), PROMPT)
    assert len(found.holes) == 1
    assert "raise NotImplementedError('hole: '" in found.source
    compile(found.source, "candidate", "exec")


def test_a_program_may_pass_where_its_holes_are_not_reached():
    task, prompt = prime_task()
    reached = {"imports": [], "body": [{"op": "hole", "what": "all of it"}]}
    verdict = task.verify(prompt, Completion(json.dumps(reached)))
    assert (finding(verdict).outcome, finding(verdict).rule) == ("exception", "structured_holes")
    unreached = GOLD | {"body": [*GOLD["body"], {"op": "hole", "what": "never"}]}
    verdict = task.verify(prompt, Completion(json.dumps(unreached)))
    assert verdict.passed
    assert finding(verdict).rule == "structured_holes"


@pytest.mark.parametrize(
    "text", ["", "no", "[1]", "{", '{"body": 3}', '{"imports": []}', "{" * 10_000, '{"body": ' + "[" * 5_000]
)
def test_answers_without_a_candidate_are_unreadable_and_never_pass(text):
    found = extract_structured(text, PROMPT)
    assert (found.source, found.rule) == ("", "structured_unreadable")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["x", "x + 1", "return", "(", "a b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["op", "target", "value", "test", "then", "else", "over", "body", "what", "error", "expression"]
            ),
            inner | st.sampled_from(["assign", "if", "for", "while", "return", "hole", "do", "raise", "break"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(json_values)
@settings(max_examples=150, deadline=None)
def test_whatever_is_written_the_program_parses(body):
    found = structured(json.dumps({"imports": [], "body": [body]}), PROMPT)
    assert found.reason == ""
    compile(found.source, "candidate", "exec")


def test_an_empty_body_is_an_unresolved_hole():
    found = structured('{"imports": [], "body": []}', "def f(x):\n")
    assert found.holes == ("the whole body",)
    assert "raise NotImplementedError" in found.source
