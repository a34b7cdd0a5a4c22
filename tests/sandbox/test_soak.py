"""Thousands of runs leave descriptors, processes and memory where they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from polychromic.sandbox import Limits, Program, Sandbox

# One of each kind of ending: a pass, a failure, an exception, a crash, an exit, an unfit answer, and a large one.
KINDS = [
    ("def f(x): return x", "passed"),
    ("def f(x): return -1", "wrong_answer"),
    ("def f(x): return {}[x]", "exception"),
    ("import ctypes\ndef f(x): ctypes.string_at(0)", "killed"),
    ("import os\ndef f(x): os._exit(0)", "exited"),
    ("class Y:\n    def __eq__(self, o): return True\ndef f(x): return Y()", "not_plain_data"),
    ("def f(x): return [x] * 10**3", "wrong_answer"),
]
TESTS = "def check(candidate):\n    for x in range(3):\n        assert candidate(x) == x\n"


def state(box: Sandbox) -> tuple[int, list[int], list[int]]:
    """Own descriptors; descriptors and resident KiB of each worker's supervisor and zygote."""
    descriptors, memory = [], []
    for worker in box._workers:
        supervisor = worker.process.pid
        zygote = min(map(int, Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()))
        for pid in (supervisor, zygote):
            descriptors.append(len(os.listdir(f"/proc/{pid}/fd")))
            status = Path(f"/proc/{pid}/status").read_text()
            memory.append(int(status.split("VmRSS:")[1].split()[0]))
    return len(os.listdir("/proc/self/fd")), descriptors, memory


def left_by(runs: int) -> list[str]:
    """What the runs left behind, in words; descriptors may differ by the line to a judge that was just replaced."""
    with Sandbox(Limits(cpu_seconds=2.0, wall_seconds=30.0), workers=2) as box:
        programs = [(f"{source}  # {n}", outcome) for n in range(runs // len(KINDS) + 1) for source, outcome in KINDS]
        warm, rest = programs[:70], programs[70 : runs + 70]
        box.judge_many(Program(source, "f", TESTS) for source, _ in warm)
        own, descriptors, memory = state(box)
        found = box.judge_many(Program(source, "f", TESTS) for source, _ in rest)
        assert [str(judgement.outcome) for judgement in found] == [outcome for _, outcome in rest]
        after_own, after_descriptors, after_memory = state(box)
    opened = [(b, a) for b, a in zip(descriptors, after_descriptors, strict=True) if abs(a - b) > 1]
    grown = [(b, a) for b, a in zip(memory, after_memory, strict=True) if a > b + 2048]
    named = {"own descriptors": own != after_own, "a worker's descriptors": opened, "a worker's KiB": grown}
    return [f"{name}: {found}" for name, found in named.items() if found]


def test_two_hundred_runs_leave_nothing() -> None:
    assert left_by(200) == []


@pytest.mark.slow
def test_two_thousand_runs_leave_nothing() -> None:
    assert left_by(2000) == []
