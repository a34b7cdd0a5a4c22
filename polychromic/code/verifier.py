"""From completions to verdicts: extraction, one sandbox for many programs, canonical answers."""

from __future__ import annotations

import atexit
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from polychromic.code.approach import UNREAD, approach
from polychromic.code.extraction import Extraction, prompt_preamble
from polychromic.code.json_programs import extract_structured
from polychromic.code.problems import MOST_INPUTS, Problem
from polychromic.code.prompting import answer_region, processed, resolved, strategy
from polychromic.code.python_ast import joined, normalised, parsed
from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Status, Verdict
from polychromic.core.thoughts import OPENING
from polychromic.sandbox import Cases, Judgement, Limits, Outcome, Program, Sandbox
from polychromic.sandbox.nouns import JudgeMode
from polychromic.settings.catalog import Entry

DistinctBy = Literal["approach", "program", "behaviour"]
"""What makes two right programs different solutions: how they solve it, how they are written, what they answer."""

STATUS = {
    Outcome.PASSED: Status.PASSED,
    Outcome.TIMEOUT_CPU: Status.TIMED_OUT,
    Outcome.TIMEOUT_WALL: Status.TIMED_OUT,
    Outcome.EXCEPTION: Status.CRASHED,
    Outcome.MEMORY: Status.CRASHED,
    Outcome.OUTPUT_LIMIT: Status.CRASHED,
    Outcome.KILLED: Status.CRASHED,
    Outcome.EXITED: Status.CRASHED,
    Outcome.HARNESS_ERROR: Status.ABSENT,
    Outcome.NOT_JUDGED: Status.ABSENT,
}
"""Every other outcome is FAILED."""

DETAIL = re.compile(
    r"(?P<outcome>[a-z_]+) \[(?P<rule>[a-z_]+)(?: (?P<behaviour>[0-9a-f]{12}))?\](?: (?P<text>.*))?", re.DOTALL
)
MOST_DETAIL = 300
LOT = 1024
"""Completions that are read and judged together: a larger file takes no more memory for it, and none waits for all."""
HASH = re.compile("[0-9a-f]{12}")
ONLY_IF_PASSED = "passed"
"""The behaviour of a program that passed tests whose inputs are unknown: it would give the right answer away."""


class Judging(NamedTuple):
    """How completions become verdicts: what was asked of the model, and what its programs may use."""

    strategy: str = "minimal"
    post_processing: Entry = "auto"
    distinct_by: DistinctBy = "approach"
    cpu_seconds: float = 3.0
    workers: int = 0
    modules: tuple[str, ...] = ()
    judge: JudgeMode = "split"
    memory_mb: int = 512
    output_mb: int = 4

    @property
    def limits(self) -> Limits:
        """What one program may use.

        Raises:
            InputError: a limit is not above 0, or ``workers`` is negative.
        """
        if min(self.cpu_seconds, self.memory_mb, self.output_mb) <= 0 or self.workers < 0:
            raise InputError(
                "cpu_seconds, memory_mb and output_mb must be above 0 and workers at least 0 (0: one for each core)"
            )
        mega = 2**20
        return Limits(self.cpu_seconds, 0.0, self.memory_mb * mega, self.output_mb * mega, modules=self.modules)


class Finding(NamedTuple):
    """What a verdict's detail says: the sandbox's outcome, the extraction rule, a few words more, and the behaviour.

    The behaviour is empty where the verdict's answer begins with it, or where the program has none.
    """

    outcome: str
    rule: str
    text: str
    behaviour: str = ""

    @property
    def group(self) -> str:
        """passed, compile, execution, wrong_answer or harness."""
        return Outcome(self.outcome).group if self.outcome in list(Outcome) else "harness"


def finding(verdict: Verdict) -> Finding | None:
    """The outcome and rule in a verdict of ours; None for a verdict of another task."""
    found = DETAIL.fullmatch(verdict.detail)
    if found is None or found["outcome"] not in list(Outcome):
        return None
    return Finding(found["outcome"], found["rule"], found["text"] or "", found["behaviour"] or "")


def extraction(problem: Problem, completion: Completion, judging: Judging) -> Extraction:
    """The program that a completion holds; one of nothing but a thought holds an unfinished one."""
    how = strategy(judging.strategy)
    if how.structured:
        return extract_structured(completion.text, problem.prompt)
    bare = completion.thought and not completion.text.strip()
    text = answer_region(OPENING + completion.thought if bare else completion.text, how)
    found = processed(resolved(judging.post_processing, how), text, problem.entry_point, problem.prompt)
    return found._replace(source=joined([how.preamble, found.source])) if how.preamble and found.source else found


def verify_completions(
    items: Sequence[tuple[Problem, Completion | Extraction]], judging: Judging
) -> Iterator[tuple[int, Verdict]]:
    """``(index, verdict)`` as they are found, so that finished ones can be kept; equal programs are run once.

    An item is a problem with a completion, or with a program that is extracted already.

    Raises:
        SandboxError: the sandbox cannot be trusted here.
    """
    box = open_sandbox(judging)
    answers = gold_answers([problem for problem, _ in items], box)
    for start in range(0, len(items), LOT):
        lot = items[start : start + LOT]
        found = [extraction(problem, item, judging) if isinstance(item, Completion) else item for problem, item in lot]
        programs = [
            differential(problem, extracted.source, answers.get(problem.id))
            if problem.differential
            else program(problem, extracted.source, judging.judge)
            for (problem, _), extracted in zip(lot, found, strict=True)
        ]
        for index, judgement in box.judge_each(programs):
            yield start + index, verdict(judgement, found[index], lot[index][0].entry_point, judging.distinct_by)


def gold_answers(problems: Sequence[Problem], box: Sandbox) -> dict[str, Cases | str]:
    """By problem, the gold program's answers on every input where they decide, or why it gave none.

    They are computed once, confined, and kept as long as the sandbox is open.
    """
    judged = {problem.id: problem for problem in problems if problem.differential and not has_many_answers(problem)}
    golds = [Program(p.gold, p.entry_point, inputs=p.inputs, judge="record") for p in judged.values()]
    return dict(zip(judged, box.record(golds), strict=True)) if golds else {}


def differential(problem: Problem, source: str, known: Cases | str | None) -> Program:
    """What the sandbox is given where the gold program's answers decide; without them nothing can be said."""
    name, shown = problem.entry_point, problem.inputs[:MOST_INPUTS]
    if isinstance(known, Cases):
        return Program(source, name, inputs=shown, cases=known, atol=problem.atol or 1e-6)
    reason = f"raise RuntimeError({f'the gold program: {known}'!r})"
    return Program(source, name, reason if known else zero_tests(problem), problem.prompt, shown)


def program(problem: Problem, source: str, judge: JudgeMode = "split") -> Program:
    """What the sandbox is given: the source with the problem's tests, helpers and inputs."""
    setup = prompt_preamble(problem.prompt, problem.entry_point) if problem.entry_point else ""
    name, asked = problem.entry_point, source
    readable = problem.harness in ("stdin", "method") and source.strip() and parsed(source) is not None
    if problem.harness == "stdin":
        name, asked = "run_program", _READING.format(source=source) if readable else source
    elif problem.harness == "method":
        name = problem.method
        asked = source + _METHOD.format(method=problem.method, owner=problem.entry_point) if readable else source
    return Program(asked, name, problem.tests, setup, problem.inputs, judge)


_READING = """\
import io as _io, sys as _sys

_PROGRAM = compile({source!r}, "<program>", "exec")

def run_program(text):
    _sys.stdin = _io.TextIOWrapper(_io.BytesIO(text.encode()), encoding="utf-8")
    _sys.stdout = _io.TextIOWrapper(_io.BytesIO(), encoding="utf-8", write_through=True)
    try:
        exec(_PROGRAM, {{"__name__": "__main__"}})
    except SystemExit:
        pass
    return _sys.stdout.buffer.getvalue().decode("utf-8", "replace")
"""
"""A program that reads and prints as a function from text to text; what it prints is its answer, not its verdict."""
_METHOD = """

def {method}(*arguments):
    return {owner}().{method}(*arguments)
"""


def has_many_answers(problem: Problem) -> bool:
    """Whether several answers are right, so that the gold program's do not decide: HumanEval/32 asks for any zero."""
    return problem.id.endswith("/32") and problem.entry_point == "find_zero"


def zero_tests(problem: Problem) -> str:
    """Tests that put the answer into the polynomial, whose function the prompt defines."""
    return (
        "def check(candidate):\n"
        f"    for arguments in {list(problem.inputs)!r}:\n"
        "        assert abs(poly(*arguments, candidate(*arguments))) <= 1e-4, arguments\n"
    )


def verdict(judgement: Judgement, extracted: Extraction, entry_point: str, distinct_by: DistinctBy) -> Verdict:
    """The house's verdict: its detail holds outcome, rule and reason, its answer what ``distinct_by`` asks for.

    An answer is ``behaviour`` or ``behaviour/program``: hashes of the outputs on the test inputs and of the normalised
    AST. By ``approach`` it is the approach alone for a right program, whatever its outputs look like, and
    ``behaviour/approach`` for another one; the detail then holds the behaviour. None when the program did not run far
    enough to have a behaviour.
    """
    outcome, source = judgement.outcome, extracted.source
    words = extracted.rule if outcome is Outcome.EXTRACT_EMPTY else judgement.detail
    shape = normalised(source)
    seen = _digest("\0".join(judgement.outputs)) if judgement.outputs else ""
    answer, mark = None, ""
    if shape is not None and (judgement.passed or seen):
        answer = seen or ONLY_IF_PASSED
        if distinct_by == "program":
            answer = f"{answer}/{_digest(shape)}"
        elif distinct_by == "approach":
            solved = approach(source, entry_point) or UNREAD
            answer, mark = solved if judgement.passed else f"{seen}/{solved}", f" {seen}" if seen else ""
    detail = f"{outcome.value} [{extracted.rule}{mark}] {words}".strip()[:MOST_DETAIL]
    return Verdict(STATUS.get(outcome, Status.FAILED), detail, answer)


def behaviour(verdict: Verdict) -> str | None:
    """The hash of the outputs that a verdict of ours knows; None where it knows none, whether or not it passed."""
    found = finding(verdict)
    if found is None or verdict.answer is None:
        return None
    label = found.behaviour or verdict.answer.partition("/")[0]
    return label if HASH.fullmatch(label) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


_open: dict[tuple[int, Limits, int], Sandbox] = {}


def open_sandbox(judging: Judging) -> Sandbox:
    """The sandbox of this process for these limits, opened on first use and closed when the process ends.

    Raises:
        SandboxError: it cannot be trusted here.
        InputError: a limit is not above 0.
    """
    key = (os.getpid(), judging.limits, judging.workers)
    if key not in _open:
        box = Sandbox(judging.limits, judging.workers or None)
        _open[key] = box.__enter__()
    return _open[key]


@atexit.register
def close_sandboxes() -> None:
    """Ends every sandbox that this process opened."""
    for key in [key for key in _open if key[0] == os.getpid()]:
        _open.pop(key).__exit__(None, None, None)


def sandbox_facts(judging: Judging) -> dict[str, Any]:
    """What a results file says about the sandbox: level, layers, self-test, and which side judges."""
    return {**open_sandbox(judging).report, "judge": judging.judge}
