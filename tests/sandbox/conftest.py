from __future__ import annotations

import platform
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from polychromic.sandbox import Limits, Program, Sandbox

HOSTILE = Path(__file__).parent / "hostile"
BRACKETS = "f = " + "(" * 5000 + ")" * 5000
MINUSES = "f = lambda x: " + "-" * 200_000 + "1"


@dataclass(frozen=True)
class Attack:
    """One hostile program, the outcomes that mean it was held, and its family."""

    family: str
    name: str
    source: str
    outcomes: frozenset[str]

    def program(self, secret: str, canary: Path, evaluator: int) -> Program:
        """The attack with its targets filled in; only an answer of ``secret`` would pass."""
        prelude = (HOSTILE / "prelude.txt").read_text() if self.family in ("theft", "escape") else ""
        marks = {"@NUL@": "\0", "@SURROGATE@": "\ud800", "@BRACKETS@": BRACKETS, "@MINUSES@": MINUSES}
        marks |= {"@CANARY@": str(canary), "@EVALUATOR@": str(evaluator)}
        source = prelude + self.source if self.source.strip() else self.source
        for mark, text in marks.items():
            source = source.replace(mark, text)
        tests = f"def check(candidate):\n    for x in (20, 1):\n        assert candidate(x) == {secret!r}\n"
        inputs = ((1,), (2,)) if self.family in ("escape", "forging") else None
        return Program(source, "f", tests, inputs=inputs)


def attacks() -> list[Attack]:
    """Every program of the hostile suite that applies to this processor."""
    found = []
    for path in sorted(HOSTILE.glob("*.txt")):
        for part in path.read_text().split("#: ")[1:]:
            header, _, source = part.partition("\n")
            name, _, outcomes = header.partition(" -> ")
            if platform.machine() == "x86_64" or ("syscall(" not in source and "page.write" not in source):
                found.append(Attack(path.stem, name, source, frozenset(_widened(outcomes.split(",")))))
    return found


def _widened(outcomes: list[str]) -> list[str]:
    """On a busy machine the wall clock may run out before the CPU clock does."""
    return [*outcomes, "timeout_wall"] if "timeout_cpu" in outcomes else outcomes


@pytest.fixture(scope="session")
def hostile() -> list[Attack]:
    return attacks()


@pytest.fixture
def secret() -> str:
    """What the tests expect; no program can guess it."""
    return f"TOP-SECRET-{secrets.token_hex(8)}"


@pytest.fixture
def canary(tmp_path: Path, secret: str) -> Path:
    """A folder that anybody may write to, with a file that anybody may read."""
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "secret").write_text(secret)
    (folder / "stealable.py").write_text("")
    for path in (folder, folder / "secret"):
        path.chmod(0o777)
    for path in tmp_path.parents:
        if path.stat().st_uid and path.name.startswith("pytest"):
            path.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def box() -> Iterator[Sandbox]:
    """A sandbox with short limits, shared by the tests that do not break it."""
    with Sandbox(Limits(cpu_seconds=1.0, wall_seconds=15.0, memory_bytes=256 * 2**20), workers=2) as opened:
        yield opened
