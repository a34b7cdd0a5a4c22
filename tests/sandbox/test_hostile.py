"""Over a hundred hostile programs: none passes, none escapes, none harms the evaluator, nothing is left behind."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from polychromic.sandbox import Limits, Outcome, Program, Sandbox

LIMITS = Limits(cpu_seconds=0.3, wall_seconds=1.2, memory_bytes=128 * 2**20, output_bytes=2**20)
GOOD = Program(
    "import xml.dom.minidom, collections, asyncio\ndef f(x):\n    return collections.Counter([x])\n",
    "f",
    "def check(candidate):\n    assert candidate(3) == {3: 1}\n",
)


def processes_of(session: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            fields = Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split() if entry.isdigit() else []
        except OSError:
            continue
        if fields and int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry))
    return found


@pytest.fixture
def opened() -> Any:
    with Sandbox(LIMITS, workers=2) as box:
        sessions = [worker.process.pid for worker in box._workers]
        yield box
    deadline = time.monotonic() + 5.0  # they were killed, but the kernel takes its time
    while (left := [pid for session in sessions for pid in processes_of(session)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == []


def test_the_suite_is_large_and_covers_every_family(hostile: list[Any]) -> None:
    families = Counter(attack.family for attack in hostile)
    assert set(families) == {"crashes", "escape", "forging", "liveness", "resources", "theft"}
    assert min(families.values()) >= 20
    assert sum(families.values()) >= 100
    assert max(Counter((attack.family, attack.name) for attack in hostile).values()) == 1


@pytest.mark.timeout(180)
def test_no_hostile_program_gets_anywhere(hostile: list[Any], opened: Sandbox, canary: Path, secret: str) -> None:
    before = {path.name: path.read_text() for path in canary.iterdir()}
    found = opened.judge_many(attack.program(secret, canary, os.getpid()) for attack in hostile)
    surprises = {}
    for attack, judgement in zip(hostile, found, strict=True):
        expected = str(judgement.outcome) in attack.outcomes
        signs = secret in judgement.detail or secret in str(judgement.outputs) or "ESCAPED" in judgement.detail
        proved = attack.outcomes != {"wrong_answer"} or attack.family not in ("theft", "escape")
        if not expected or signs or not (proved or "-> 'held'" in judgement.detail or "itself" in judgement.detail):
            surprises[f"{attack.family}: {attack.name}"] = (str(judgement.outcome), judgement.detail)
    assert surprises == {}, "\n" + "\n".join(f"{name}: {found}" for name, found in surprises.items())
    assert {path.name: path.read_text() for path in canary.iterdir()} == before
    assert [opened.judge_many([GOOD])[0].outcome for _ in range(4)] == [Outcome.PASSED] * 4


def test_workers_keep_the_same_processes_and_descriptors(hostile: list[Any], opened: Sandbox, canary: Path) -> None:
    family = [attack for attack in hostile if attack.family in ("crashes", "forging")]
    opened.judge_many([GOOD])
    sessions = [worker.process.pid for worker in opened._workers]
    zygotes = [sorted(processes_of(session))[:2] for session in sessions]
    opened.judge_many(attack.program("x", canary, os.getpid()) for attack in family)
    assert [sorted(processes_of(session))[:2] for session in sessions] == zygotes
    assert all(len(processes_of(session)) <= 4 for session in sessions)  # supervisor, zygotes, judge
    for first in [pid for pair in zygotes for pid in pair]:
        assert len(os.listdir(f"/proc/{first}/fd")) <= 10
