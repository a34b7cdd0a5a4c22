"""Answers recorded once from a gold program: what equals them, large ones, and limits that follow from gold's needs."""

from __future__ import annotations

from typing import Any

import pytest

from polychromic.sandbox import Cases, Judgement, Limits, Outcome, Program, Sandbox
from polychromic.sandbox.cases import same


def recorded(box: Sandbox, gold: str, *inputs: tuple[Any, ...]) -> Any:
    return box.record([Program(gold, "f", inputs=inputs, judge="record")])[0]


def against(box: Sandbox, cases: Cases, *sources: str) -> list[Judgement]:
    return box.judge_many(Program(source, "f", cases=cases, atol=1e-6) for source in sources)


def test_answers_are_compared_by_value(box: Sandbox) -> None:
    cases = recorded(box, "def f(x): return [x / 3, {x: {x}}, (x, None)]", (1,), (2.5,), (3,))
    right = "def f(x): return [x * (1 / 3), {x: {x}}, (x, None)]"
    wrong = {
        "def f(x): return [x / 3 + 1e-3, {x: {x}}, (x, None)]": Outcome.WRONG_ANSWER,
        "def f(x): return [x / 3, {x: {x}}, [x, None]]": Outcome.WRONG_ANSWER,
        "def f(x): return [x / 3, {x: {x}}, (x, None)] if x < 3 else None": Outcome.WRONG_ANSWER,
        "def f(x): return {}[x]": Outcome.EXCEPTION,
        "import os\ndef f(x): os._exit(0)": Outcome.EXITED,
        "def f(x):\n    while True: pass": Outcome.TIMEOUT_CPU,
        "def f(x, y): return 1": Outcome.EXCEPTION,
        "class Y:\n    def __eq__(self, o): return True\ndef f(x): return Y()": Outcome.NOT_PLAIN_DATA,
    }
    assert [judgement.passed for judgement in against(box, cases, right)] == [True]
    found = against(box, cases, *wrong)
    assert [judgement.outcome for judgement in found] == list(wrong.values())
    assert "f(3) -> None" in found[2].detail


def test_many_calls_and_large_ones_are_on_their_way_together(box: Sandbox) -> None:
    inputs = [(list(range(n)), "x" * (n % 7)) for n in [*range(300), 50_000, 3, 60_000]]
    gold = "def f(v, s): return sum(v), s * 2, v[::-1]"
    cases = recorded(box, gold, *inputs)
    late = gold + " if len(v) != 60_000 else 0"
    assert [judgement.passed for judgement in against(box, cases, gold + "  # again", late)] == [True, False]


def test_limits_follow_from_what_the_gold_program_needs(box: Sandbox) -> None:
    """The sandbox's own are 1 s, 4 MiB and 256 MiB."""
    gold = "import time\ndef f(n):\n    start = time.process_time()\n    while time.process_time() < start + .5: pass\n"
    slow = gold.replace(".5", "1.5")
    large = "def f(n): return list(range(2**80, 2**80 + n))"
    assert against(box, recorded(box, gold, (1,)), slow)[0].passed
    assert against(box, recorded(box, large, (400_000,)), large + "  # again", "def f(n): return [2**80] * n")[0].passed
    endless = "def f(n):\n    while True: pass"
    assert against(box, recorded(box, "def f(n): return n", (1,)), slow, endless)[1].outcome is Outcome.TIMEOUT_CPU


def test_a_gold_program_without_answers_says_why(box: Sandbox) -> None:
    assert "ZeroDivisionError" in recorded(box, "def f(x): return 1 / x", (1,), (0,))
    assert "not_plain_data" in recorded(box, "class C: pass\ndef f(x): return C()", (1,))
    assert "missing_entry_point" in recorded(box, "def g(x): return x", (1,))


def test_gold_answers_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(Limits(), workers=1) as box:
        first = recorded(box, "def f(x): return x", (1,))
        monkeypatch.setattr(Sandbox, "_raw", lambda self, programs: iter(()) if not programs else pytest.fail("again"))
        assert recorded(box, "def f(x): return x", (1,)) is first


@pytest.mark.parametrize(
    ("got", "want", "equal"),
    [
        (1, 1.0, True),
        (1.0000001, 1, True),
        (float("nan"), float("nan"), True),
        (float("inf"), float("inf"), True),
        (float("inf"), 1.0, False),
        ("a", 1.0, False),
        ([1.0], (1.0,), False),
        ({"a": 1.0 + 1e-9}, {"a": 1.0}, True),
        ({"a": 1.0}, {"b": 1.0}, False),
        ([[1.0, "x"], None], [[1.0 + 1e-9, "x"], None], True),
        (1e10 + 100, 1e10, True),
        (10**400, 1.5, False),
    ],
)
def test_equality_of_answers(got: Any, want: Any, equal: bool) -> None:
    assert same(got, want, 1e-6) is equal


def test_thousands_of_small_calls_never_have_both_sides_waiting(box: Sandbox) -> None:
    gold = "def f(n):\n    return n + 1\n"
    known = recorded(box, gold, *((number,) for number in range(4000)))
    (found,) = against(box, known, gold + "# the same\n")
    assert found.passed, found
