"""The sandbox's nouns: Program Limits Outcome Judgement. The worker processes import them too."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Any, Literal

CROWDED = 10
"""No program has more than so many times its wall limit, however long it has waited for a processor."""

GOLD_TIMES = 4
"""A program may take so many times the gold program's CPU time (as evalplus has it, 2305.01210)."""

JudgeMode = Literal["split", "inproc"]


class Outcome(enum.StrEnum):
    """What became of a program. Only PASSED is a pass; HARNESS_ERROR says that nothing was learned about it."""

    PASSED = "passed"
    NOT_JUDGED = "not_judged"
    WRONG_ANSWER = "wrong_answer"
    EXCEPTION = "exception"
    SYNTAX_ERROR = "syntax_error"
    MISSING_ENTRY_POINT = "missing_entry_point"
    IMPORT_ERROR = "import_error"
    TIMEOUT_CPU = "timeout_cpu"
    TIMEOUT_WALL = "timeout_wall"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    KILLED = "killed"
    EXITED = "exited"
    NOT_PLAIN_DATA = "not_plain_data"
    EXTRACT_EMPTY = "extract_empty"
    HARNESS_ERROR = "harness_error"

    @property
    def group(self) -> str:
        """The coarse class for comparing two models: passed, compile, execution, wrong_answer or harness."""
        return _GROUPS.get(self, "execution")


_GROUPS = {
    Outcome.PASSED: "passed",
    Outcome.NOT_JUDGED: "passed",
    Outcome.WRONG_ANSWER: "wrong_answer",
    Outcome.NOT_PLAIN_DATA: "wrong_answer",
    Outcome.SYNTAX_ERROR: "compile",
    Outcome.MISSING_ENTRY_POINT: "compile",
    Outcome.IMPORT_ERROR: "compile",
    Outcome.EXTRACT_EMPTY: "compile",
    Outcome.HARNESS_ERROR: "harness",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use.

    CPU time (seconds) decides; wall time, less what was spent waiting for a processor, is the backstop and defaults
    to three times the CPU time. ``memory_bytes``
    is address space beyond the interpreter's own, ``output_bytes`` bounds one answer and, separately, everything
    printed, ``source_bytes`` the program text. ``depth`` is the deepest nesting of an answer. ``modules`` are
    importable besides the standard library (such as ``numpy``).
    """

    cpu_seconds: float = 3.0
    wall_seconds: float = 0.0
    memory_bytes: int = 512 * 2**20
    output_bytes: int = 4 * 2**20
    source_bytes: int = 2**20
    depth: int = 100
    modules: tuple[str, ...] = ()

    @property
    def wall(self) -> float:
        """The wall-clock limit in seconds."""
        return self.wall_seconds or 3.0 * self.cpu_seconds


@dataclass(frozen=True, slots=True)
class Cases:
    """A gold program's answers, recorded once (``Sandbox.record``): ``packed`` with the calls, and what they took.

    ``seconds`` is the gold program's CPU time, ``largest`` its longest answer in bytes.
    """

    packed: bytes
    digest: str
    seconds: float
    largest: int

    def limits(self, usual: Limits) -> Limits:
        """What a program may use that has to give these answers: the usual, or multiples of what gold needed."""
        return replace(
            usual,
            cpu_seconds=max(usual.cpu_seconds, GOLD_TIMES * self.seconds),
            output_bytes=max(usual.output_bytes, 2 * self.largest),
            memory_bytes=max(usual.memory_bytes, 64 * self.largest),
        )


@dataclass(frozen=True, slots=True)
class Program:
    """A program to judge.

    ``tests`` define ``check(candidate)`` or assert at module level; they see ``candidate`` and ``entry_point``, both
    a stub that calls the program in its own process. ``setup`` (the prompt's helpers) runs before the tests, on the
    judge's side. ``inputs`` are argument tuples of plain data on which the program's behaviour is recorded.
    ``judge="inproc"`` runs the tests beside the program, for tests that need its classes: such a pass can be forged.
    With ``cases`` there are no tests: the program has to give the recorded answers, floats within ``atol``, under
    limits that follow from them. ``judge="record"`` asks for such answers on ``inputs``.
    ``limits`` are this program's own, in the place of the sandbox's (``modules`` stay the sandbox's).
    """

    source: str
    entry_point: str
    tests: str = ""
    setup: str = ""
    inputs: tuple[tuple[Any, ...], ...] | None = None
    judge: JudgeMode | Literal["record"] = "split"
    limits: Limits | None = None
    cases: Cases | None = None
    atol: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found.

    ``outputs`` holds one signature for each of the program's ``inputs``: the canonical form of the answer, or
    ``!`` and the name of what went wrong. ``seconds`` is the program's own CPU time. ``mode`` tells who judged.
    """

    outcome: Outcome
    detail: str = ""
    outputs: tuple[Any, ...] | None = None
    seconds: float = 0.0
    mode: JudgeMode | Literal["record"] = "split"

    @property
    def passed(self) -> bool:
        """Whether every test held."""
        return self.outcome is Outcome.PASSED
