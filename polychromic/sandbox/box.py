"""The sandbox as the rest of the house sees it: programs in, judgements out."""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal

from polychromic.core.errors import InputError, SandboxError
from polychromic.sandbox import cases, frames, judge, wire
from polychromic.sandbox.nouns import Cases, Judgement, Limits, Outcome, Program
from polychromic.sandbox.selftest import CANARIES, verify
from polychromic.sandbox.worker import Worker, readable

ATTEMPTS = 3
MOST_KNOWN = 4096  # judgements that are kept for programs that come again
WIDE = Limits(cpu_seconds=120.0, memory_bytes=4 * 2**30, output_bytes=2**28)
"""What a gold program may use while its answers are recorded."""
Confinement = Literal["required", "unsafe_none"]


class Sandbox:
    """Workers that judge programs; a context manager, for one thread.

    Entering starts the workers and attacks them with the canaries of ``selftest``; if one gets through, nothing is
    run. ``confinement="unsafe_none"`` runs programs without system-call filter and says so in every report.

    Raises:
        SandboxError: the sandbox cannot be trusted, or broke ``ATTEMPTS`` times on the same program.
        InputError: a limit is not above 0.
    """

    def __init__(
        self, limits: Limits | None = None, workers: int | None = None, confinement: Confinement = "required"
    ) -> None:
        self.limits = _checked(limits or Limits())
        self.size = max(1, workers or len(os.sched_getaffinity(0)))
        self.confinement = confinement
        self.report: dict[str, Any] = {}
        self._workers: list[Worker] = []
        self._known: dict[str, Judgement] = {}
        self._answers: dict[str, Cases | str] = {}

    def __enter__(self) -> Sandbox:
        """Starts the workers and tests them."""
        try:
            self._workers = [Worker(self.limits, self.confinement) for _ in range(self.size)]
            layers = [worker.ready() for worker in self._workers]
            found = dict(self._raw(CANARIES.programs()))
            self.report = verify(layers[0], found, self.confinement)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the workers and everything they started."""
        while self._workers:
            self._workers.pop().close()

    def judge_many(self, programs: Iterable[Program]) -> list[Judgement]:
        """One judgement for each program, in order; identical programs are run once."""
        found = dict(self.judge_each(programs))
        return [found[index] for index in range(len(found))]

    def judge_each(self, programs: Iterable[Program]) -> Iterator[tuple[int, Judgement]]:
        """``(index, judgement)`` as they are found, so that finished verdicts can be kept if a later one breaks."""
        places: dict[str, list[int]] = {}
        fresh: dict[str, Program] = {}
        for index, program in enumerate(programs):
            if (early := _before_running(program, _checked(program.limits or self.limits))) is not None:
                yield index, early
            elif (key := fingerprint(program, self.limits)) in self._known:
                yield index, self._known[key]
            else:
                places.setdefault(key, []).append(index)
                fresh[key] = program
        keys = list(fresh)
        for number, judgement in self._raw([fresh[key] for key in keys]):
            self._known[keys[number]] = judgement
            if len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]
            for index in places[keys[number]]:
                yield index, judgement

    def record(self, golds: Iterable[Program]) -> list[Cases | str]:
        """The answers of programs with ``judge="record"`` on their inputs, or in words why there are none.

        They are computed once, under wide limits, and kept as long as the sandbox is open.
        """
        keys = {fingerprint(gold, WIDE): gold for gold in golds}
        fresh = [key for key in keys if key not in self._answers]
        programs = [replace(keys[key], limits=replace(WIDE, modules=self.limits.modules)) for key in fresh]
        for number, judgement in self._raw(programs):
            self._answers[fresh[number]] = _cases(judgement)
        return [self._answers[key] for key in keys]

    def _raw(self, programs: list[Program]) -> Iterator[tuple[int, Judgement]]:
        """Judgements in any order, each program run once, or again where the sandbox itself broke."""
        if not self._workers:
            raise SandboxError("the sandbox is not open: use it as a context manager")
        waiting = deque(enumerate(programs))
        tries = [0] * len(programs)
        busy: dict[int, tuple[int, int]] = {}
        try:
            self._hand_out(waiting, busy)
            while busy:
                found = []
                for place in self._finished(busy):
                    number, reply = busy.pop(place)[1], self._reply(place)
                    if reply["outcome"] != judge.BROKEN:
                        found.append((number, _judgement(reply, programs[number])))
                        continue
                    tries[number] += 1
                    self._replace(place)
                    if tries[number] >= ATTEMPTS:
                        yield from found
                        raise SandboxError(f"the sandbox broke {ATTEMPTS} times on one program: {reply['detail']}")
                    waiting.append((number, programs[number]))
                self._hand_out(waiting, busy)  # first, so that the workers are busy while the caller looks
                yield from found
        finally:
            for place in busy if self._workers else ():  # abandoned by the caller, or after an error
                self._replace(place)

    def _hand_out(self, waiting: deque[tuple[int, Program]], busy: dict[int, tuple[int, int]]) -> None:
        for place, worker in enumerate(self._workers):
            if waiting and place not in busy:
                number, program = waiting.popleft()
                busy[place] = (worker.out, number)
                try:
                    worker.submit(program)
                except frames.GoneError:
                    worker.deadline = 0.0

    def _finished(self, busy: dict[int, tuple[int, int]]) -> list[int]:
        """The places of workers that have answered, died or overrun their deadline."""
        left = min(self._workers[place].deadline for place in busy) - time.monotonic()
        answered = readable([out for out, _ in busy.values()], left)
        now = time.monotonic()
        return [place for place, (out, _) in busy.items() if out in answered or self._workers[place].deadline <= now]

    def _reply(self, place: int) -> dict[str, Any]:
        worker = self._workers[place]
        if not readable([worker.out], 0.0):
            return {"outcome": judge.BROKEN, "detail": "a worker does not answer"}
        try:
            return worker.result()
        except wire.WireError as error:
            return {"outcome": judge.BROKEN, "detail": f"a worker's answer is garbled: {error}"}
        except frames.GoneError:
            return {"outcome": judge.BROKEN, "detail": "a worker died"}

    def _replace(self, place: int) -> None:
        self._workers[place].close()
        self._workers[place] = Worker(self.limits, self.confinement)
        self._workers[place].ready()


def _checked(limits: Limits) -> Limits:
    if limits.cpu_seconds <= 0 or limits.memory_bytes <= 0 or limits.output_bytes <= 0:
        raise InputError(f"limits must be above 0: {limits}")
    return limits


def _before_running(program: Program, limits: Limits) -> Judgement | None:
    """The judgement of a program that need not or cannot be run."""
    if not program.source.strip():
        return Judgement(Outcome.EXTRACT_EMPTY, "no program", mode=program.judge)
    if len(program.source) > limits.source_bytes:
        detail = f"a source of {len(program.source)} characters; {limits.source_bytes} are allowed"
        return Judgement(Outcome.OUTPUT_LIMIT, detail, mode=program.judge)
    try:
        wire.encode(program.inputs)
    except wire.WireError as error:
        return Judgement(Outcome.HARNESS_ERROR, f"the inputs are not plain data ({error})", mode=program.judge)
    return None


def _cases(judgement: Judgement) -> Cases | str:
    rows = judgement.outputs or ()
    missing = next((row for row in rows if type(row) is not tuple), None)
    if judgement.outcome is not Outcome.NOT_JUDGED or missing is not None or not rows:
        return f"{judgement.outcome}: {judgement.detail}" if missing is None else str(missing)
    packed = cases.pack([call for call, _ in rows], [answer for _, answer in rows])
    digest = hashlib.sha256(packed).hexdigest()
    return Cases(packed, digest, judgement.seconds, max(len(answer) for _, answer in rows))


def _judgement(reply: dict[str, Any], program: Program) -> Judgement:
    return Judgement(
        Outcome(reply["outcome"]), reply["detail"], reply["outputs"], round(reply["seconds"], 4), program.judge
    )


def fingerprint(program: Program, limits: Limits) -> str:
    """Equal for programs that must get the same judgement: line endings and trailing blank lines do not matter."""
    source = program.source.replace("\r\n", "\n").rstrip()
    digest = program.cases.digest if program.cases else ""
    asked = (program.entry_point, program.tests, program.setup, program.judge, digest, program.atol)
    given = (wire.encode(program.inputs), repr(program.limits or limits), *sys.version_info[:3])
    return hashlib.sha256(marshal.dumps((source, *asked, *given), 2)).hexdigest()
