"""Outcomes, order, sharing, retries, and what happens when the sandbox itself is hurt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from polychromic.core.errors import InputError, SandboxError
from polychromic.sandbox import Judgement, Limits, Outcome, Program, Sandbox
from polychromic.sandbox import box as box_module
from polychromic.sandbox.worker import Worker

ADD = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(2, 2) == 4\n"
SHORT = Limits(cpu_seconds=0.5, wall_seconds=1.0)


def one(box: Sandbox, source: str, tests: str = ADD, **options: Any) -> Judgement:
    return box.judge_many([Program(source, "f", tests, **options)])[0]


@pytest.mark.parametrize(
    ("source", "outcome", "detail"),
    [
        ("def f(a, b): return a + b", "passed", ""),
        ("def f(a, b): return 3", "wrong_answer", "f(2, 2) -> 3"),
        ("def f(a, b): return None", "wrong_answer", "f(1, 2) -> None"),
        ("def f(a, b): return {}[a]", "exception", "KeyError: 1 in f(1, 2)"),
        ("def f(a): return a", "exception", "TypeError"),
        ("def f(a, b) return", "syntax_error", "<candidate>"),
        ("def g(a, b): return 3", "missing_entry_point", "'f'"),
        ("import nothing_like_it", "import_error", "nothing_like_it"),
        ("def f(a, b): return lambda: 3", "wrong_answer", "function"),
        ("class Y:\n    def __eq__(self, o): return True\ndef f(a, b): return Y()", "not_plain_data", "inproc"),
        ("import os\ndef f(a, b): os._exit(7)", "exited", "exit status 7"),
        ("import os\ndef f(a, b): os.abort()", "killed", "SIG"),
        ("def f(a, b): return bytearray(10**11)", "memory", ""),
        ("def f(a, b):\n    while True: pass", "timeout_cpu", "1 s of CPU time"),
        ("", "extract_empty", ""),
        ("x = '" + "y" * 2**20 + "'", "output_limit", "source"),
        ("def f(a, b): return a + b\nif __name__ == '__main__': 1 / 0", "passed", ""),
        ("import dataclasses as d\n@d.dataclass\nclass P:\n    x: int\ndef f(a, b): return P(a).x + b", "passed", ""),
    ],
)  # fmt: skip
def test_each_program_gets_its_outcome(box: Sandbox, source: str, outcome: str, detail: str) -> None:
    judgement = one(box, source)
    assert (str(judgement.outcome), judgement.passed) == (outcome, outcome == "passed")
    assert detail in judgement.detail
    assert judgement.outcome.group in {"passed", "compile", "execution", "wrong_answer"}


@pytest.mark.parametrize(
    ("tests", "outcome", "detail"),
    [
        ("assert f(1, 2) == 3", "passed", ""),
        ("assert candidate(1, b=2) == 3", "passed", ""),
        ("def check(candidate):\n    assert abs(candidate(1, None)) < 9", "exception", "TypeError"),
        ("try:\n    f(1, None)\nexcept TypeError:\n    assert f(1, 1) == 2", "passed", ""),
        ("try:\n    f(1, 1)\nexcept:\n    pass\nassert helper(f(1, 1)) == 4", "passed", ""),
        ("pass", "harness_error", "never called"),
        ("assert f(1, len) == 3", "exception", "TypeError"),
        ("import sys\nassert f(1, sys._getframe()) == 3", "harness_error", "inproc"),
        ("assert f(1, 2) == SECRET_HELPER", "missing_entry_point", "SECRET_HELPER"),
        ("assert (", "harness_error", "SyntaxError"),
        ("", "not_judged", ""),
    ],
)
def test_the_tests_run_against_the_stub(box: Sandbox, tests: str, outcome: str, detail: str) -> None:
    judgement = one(
        box, "def f(a, b): return a + b", tests, setup="def helper(x): return 2 * x\ndef f(): 'a docstring'"
    )
    assert (str(judgement.outcome), detail in judgement.detail) == (outcome, True)


def test_a_test_cannot_swallow_the_end_of_the_program(box: Sandbox) -> None:
    tests = "for i in range(3):\n    try:\n        f(i)\n    except BaseException:\n        pass\n"
    assert one(box, "import os\ndef f(x): os._exit(0)", tests).outcome is Outcome.EXITED


def test_stop_iteration_does_not_cut_a_test_short(box: Sandbox) -> None:
    tests = "for got, want in zip(map(f, [1, 2]), [1, 2]):\n    assert got == want"
    assert one(box, "def f(x): raise StopIteration", tests).outcome is Outcome.EXCEPTION


def test_arguments_are_copies_unless_the_tests_look_at_what_became_of_them(box: Sandbox) -> None:
    """Tests that an emptied argument would satisfy are not shown it."""
    tests = "values = [3, 1]\nassert f(values) == sorted(values)\n"
    assert one(box, "def f(v):\n    v.clear()\n    return []", tests).outcome is Outcome.WRONG_ANSWER
    assert one(box, "def f(v):\n    v.clear()\n    return v", tests).outcome is Outcome.WRONG_ANSWER
    assert one(box, "def f(v):\n    v.sort()\n    return v", tests).passed
    looks = "values = [[3, 1], 7]\ninner = values[0]\nf(values)\nassert values == [[1, 3], 7] and inner == [1, 3]"
    assert one(box, "def f(v): v[0].sort()", looks).passed
    assert one(box, "def f(v): v[0] = [1, 3]", looks).outcome is Outcome.WRONG_ANSWER
    assert one(box, "def f(v): v.clear()", looks).outcome is Outcome.WRONG_ANSWER


def test_programs_do_not_see_each_other(box: Sandbox) -> None:
    spoil = Program("import math\nmath.pi = 3\nimport builtins\nbuiltins.x = 1\ndef f(a, b): return a + b", "f", ADD)
    look = "import math, builtins\ndef f(n): return [math.pi > 3.1, hasattr(builtins, 'x'), %d]"
    looks = [Program(look % n, "f", f"assert f(0) == [True, False, {n}]") for n in range(4)]
    assert all(judgement.passed for judgement in box.judge_many([spoil, *looks]))


def test_the_tests_run_confined_too(box: Sandbox, tmp_path: Path) -> None:
    """Tests may come from anywhere: they open nothing, start nothing, and import the standard library from memory."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    for attack in (
        f"open({str(secret)!r})",
        "os.fork()",
        "socket.socket()",
        "os.kill(os.getppid(), 0)",
    ):
        trying = f"try:\n    {attack}\nexcept OSError: pass\nelse: assert 0"
        tests = f"import os, socket, unittest.mock, xml.dom\nf(1, 2)\n{trying}"
        assert one(box, "def f(a, b): return 3", tests).passed, attack


def test_an_answer_that_is_handed_back_is_never_the_tests_fault(box: Sandbox) -> None:
    source = "def f(x):\n    a = []\n    for _ in range(98): a = [a]\n    return a if x == 0 else 1"
    assert one(box, source, "assert f([f(0)]) == 1").passed
    tests = "a = f(0)\nfor _ in range(99): a = [a]\nassert f(a) == 1"
    assert one(box, source, tests).outcome is Outcome.NOT_PLAIN_DATA


def test_the_labelled_mode_is_labelled(box: Sandbox) -> None:
    source = "class P:\n    def __init__(self, x): self.x = x\ndef f(x): return P(x)"
    found = one(box, source, "assert f(1).x == 1 and isinstance(f(2), P)", judge="inproc")
    assert (found.outcome, found.mode) == (Outcome.PASSED, "inproc")
    assert one(box, source, "assert f(1).x == 2", judge="inproc").outcome is Outcome.WRONG_ANSWER
    assert one(box, source, "assert f(1).x == 1 and isinstance(f(2), P)").passed


def test_behaviour_is_recorded_in_canonical_form(box: Sandbox) -> None:
    inputs = ((2,), (0,), ([1],), ("a",))
    sources = (
        "def f(x): return {'b': 1 / x, 'a': {3, 1, 2}} if x != 'a' else sorted",
        "def f(x):\n    y = 1 / x\n    return dict(a={2, 3, 1}, b=y)",
    )
    first, second = (one(box, source, "", inputs=inputs).outputs for source in sources)
    assert first == ("{'a': set(1, 2, 3), 'b': 0.5}", "!ZeroDivisionError", "!TypeError", "!not_plain_data")
    assert second == (*first[:3], "!TypeError")


def test_behaviour_after_an_end_is_marked(box: Sandbox) -> None:
    source = "def f(a, b):\n    while a == 9: pass\n    return a + b"
    found = one(box, source, inputs=((1, 1), (9, 1), (1, 1)))
    assert (found.outcome, found.outputs) == (Outcome.PASSED, ("2", "!timeout_cpu", "!timeout_cpu"))


def test_calls_of_the_tests_are_not_made_again_for_the_behaviour(box: Sandbox) -> None:
    source = "calls = 0\ndef f(a, b):\n    global calls\n    calls += 1\n    return [calls, 'x' * (b * 10**5)]"
    tests = "assert f(1, 0) == [1, '']\nassert f(2, 0) == [2, '']\nassert f(2, 0) == [3, '']\nf(3, 1)"
    found = one(box, source, tests, inputs=((2, 0), (1, 0), (9, 0), (3, 1)))
    assert found.outputs is not None
    assert found.outputs[:3] == ("[2, '']", "[1, '']", "[5, '']")  # the first answers; only 9 was new
    assert found.outputs[3].startswith("[6, 'xxx")  # too large to be remembered: asked again


def test_what_is_known_is_reported_before_a_long_wait() -> None:
    source = "import time\ndef f(a, b):\n    time.sleep(60 * (a == 9))\n    return a + b"
    with Sandbox(SHORT, workers=1) as box:
        found = one(box, source, "assert f(1, 2) == 3", inputs=((1, 2), (2, 2), (9, 1), (3, 3)))
    assert (found.outcome, found.outputs) == (Outcome.PASSED, ("3", "4", "!timeout_wall", "!timeout_wall"))


def test_workers_have_the_next_program_before_a_judgement_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[Program] = []
    real = Worker.submit
    with Sandbox(SHORT, workers=1) as box:
        monkeypatch.setattr(Worker, "submit", lambda self, program: (submitted.append(program), real(self, program))[1])
        found = box.judge_each(Program(f"def f(a, b): return a + b + {n}", "f", ADD) for n in range(3))
        sizes = [len(submitted) for _ in found]
    assert sizes == [2, 3, 3]


def test_order_is_kept_and_identical_programs_run_once(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[Program] = []
    real = Worker.submit
    monkeypatch.setattr(Worker, "submit", lambda self, program: (submitted.append(program), real(self, program))[1])
    programs = [Program(f"def f(a, b): return a + b + {n % 5 // 4}  # order", "f", ADD) for n in range(20)]
    twins = [Program(program.source + "\r\n\n", "f", ADD) for program in programs]
    found = box.judge_many([*programs, *twins])
    assert [judgement.passed for judgement in found] == [n % 5 != 4 for n in range(20)] * 2
    assert len(submitted) == 2
    assert box.judge_many(programs) == found[:20]
    assert len(submitted) == 2


def test_a_program_has_limits_of_its_own(box: Sandbox) -> None:
    """More output, memory and time than the sandbox's, and less."""
    long, big = "def f(a, b): return 'x' * 2**23", "def f(a, b): return len(bytearray(5 * 2**26))"
    slow = "import time\ndef f(a, b):\n    while time.process_time() < 1.5: pass\n    return 3"
    tests = "assert len(f(1, 2)) == 2**23", "assert f(1, 2) == 5 * 2**26", "assert f(1, 2) == 3"
    wide = Limits(cpu_seconds=4.0, wall_seconds=60.0, memory_bytes=2**30, output_bytes=2**24)
    narrow = Limits(cpu_seconds=0.3, memory_bytes=2**26, output_bytes=2**12)
    jobs = [
        Program(*job, limits=limits)
        for limits in (None, wide, narrow)
        for job in zip((long, big, slow), "fff", tests, strict=True)
    ]
    found = [str(judgement.outcome) for judgement in box.judge_many(jobs)]
    assert found[:3] == ["output_limit", "memory", "timeout_cpu"]
    assert found[3:6] == ["passed"] * 3
    assert found[6:] == ["output_limit", "memory", "timeout_cpu"]


@pytest.mark.slow
def test_cpu_time_decides_on_a_crowded_machine() -> None:
    """Eight busy neighbours a core: a right program keeps its CPU seconds, a loop is stopped by them, a sleeper not."""
    busy = "import time\ndef f(a, b):\n    while time.process_time() < 0.6: pass\n    return a + b"
    loop = "def f(a, b):\n    while True: pass"
    sleeper = "import time\ndef f(a, b): time.sleep(60)"
    spin = [sys.executable, "-c", "import time\nwhile time.process_time() < 60: pass"]
    neighbours = [subprocess.Popen(spin) for _ in range(8 * len(os.sched_getaffinity(0)))]
    try:
        with Sandbox(Limits(cpu_seconds=1.0, wall_seconds=1.2), workers=2) as box:
            started = time.monotonic()
            found = box.judge_many([Program(source, "f", ADD) for source in (busy, loop, sleeper)])
            assert time.monotonic() - started < 60
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()
    assert [str(judgement.outcome) for judgement in found] == ["passed", "timeout_cpu", "timeout_wall"]


def test_a_broken_worker_is_replaced_and_the_program_tried_again() -> None:
    with Sandbox(SHORT, workers=1) as box:
        os.kill(box._workers[0].process.pid, signal.SIGKILL)
        assert one(box, "def f(a, b): return a + b").passed
        children = Path(f"/proc/{box._workers[0].process.pid}/task/{box._workers[0].process.pid}/children")
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        assert one(box, "def f(a, b): return b + a").passed


def test_a_sandbox_that_keeps_breaking_stops_the_run_and_keeps_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Worker.result

    def result(self: Worker) -> dict[str, Any]:
        found = real(self)
        return {"outcome": "broken", "detail": "test"} if "KeyError" in found["detail"] else found

    with Sandbox(SHORT, workers=1) as box:
        monkeypatch.setattr(Worker, "result", result)
        programs = [Program("def f(a, b): return a + b", "f", ADD), Program("def f(a, b): return {}[1]", "f", ADD)]
        found = box.judge_each(programs)
        index, first = next(found)
        with pytest.raises(SandboxError, match="broke 3 times"):
            next(found)
    assert (index, first.passed) == (0, True)


def test_a_timeout_that_the_kernel_saw_first_is_a_timeout() -> None:
    """The supervisor is stopped until the kernel has killed the program at its own limit."""

    def children(pid: int) -> list[int]:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stat(pid: int) -> list[str]:
        """The fields of /proc/PID/stat from the third, the state, on."""
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()

    with Sandbox(Limits(cpu_seconds=0.5, wall_seconds=60.0), workers=1) as box:
        supervisor = box._workers[0].process.pid
        zygote = min(children(supervisor))
        judging = threading.Thread(target=lambda: found.append(one(box, "def f(a, b):\n    while True: pass")))
        found: list[Judgement] = []
        judging.start()
        while not children(zygote):
            time.sleep(0.01)
        (candidate,) = children(zygote)
        while int(stat(candidate)[11]) < 5:  # ticks of user time: it has its program by then
            time.sleep(0.01)
        os.kill(supervisor, signal.SIGSTOP)
        try:
            while stat(candidate)[0] != "Z":
                time.sleep(0.01)
        finally:
            os.kill(supervisor, signal.SIGCONT)
        judging.join()
    assert (found[0].outcome, found[0].detail) == (Outcome.TIMEOUT_CPU, "more than 0.5 s of CPU time")


def test_a_judgement_found_beside_a_break_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"outcome": "passed", "detail": "", "outputs": None, "seconds": 0.0}
    with Sandbox(SHORT, workers=2) as box:
        monkeypatch.setattr(box_module, "ATTEMPTS", 1)
        monkeypatch.setattr(Sandbox, "_finished", lambda self, busy: sorted(busy))
        monkeypatch.setattr(Sandbox, "_reply", lambda self, place: [good, {"outcome": "broken", "detail": "x"}][place])
        found = box.judge_each(Program(f"def f(a, b): return {n}", "f", ADD) for n in range(2))
        assert next(found)[0] == 0
        with pytest.raises(SandboxError, match="broke 1 times"):
            next(found)


def test_a_sandbox_that_does_not_hold_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_module, "Worker", lambda limits, unsafe: Worker(limits, "unsafe_none"))
    box = Sandbox(SHORT, workers=1)
    with pytest.raises(SandboxError, match=r"does not hold here: .*open a socket.*Docker"):
        box.__enter__()
    assert box._workers == []
    with pytest.raises(SandboxError, match="not open"):
        box.judge_many([Program("def f(): pass", "f", ADD)])


def test_limits_must_be_above_zero() -> None:
    with pytest.raises(InputError, match="above 0"):
        Sandbox(Limits(cpu_seconds=0.0))


def test_an_abandoned_run_does_not_disturb_the_next() -> None:
    with Sandbox(SHORT, workers=2) as box:
        found = box.judge_each(Program(f"def f(a, b): return a + b + {n}", "f", ADD) for n in range(9))
        next(found)
        found.close()
        assert one(box, "def f(a, b): return a + b").passed
        left = box.judge_each([Program(f"def f(a, b): return a + {n}", "f", ADD) for n in range(9)])
        next(left)
    left.close()


def test_the_unsafe_mode_says_so() -> None:
    with Sandbox(SHORT, workers=1, confinement="unsafe_none") as box:
        assert box.report["level"] == "unsafe"
        assert "open a socket" in box.report["failed"]
        assert one(box, "def f(a, b): return a + b").passed


def test_a_module_that_is_not_installed_is_named() -> None:
    with pytest.raises(SandboxError, match="no_such_module"):
        Sandbox(Limits(modules=("no_such_module",))).__enter__()


def test_extra_modules_are_offered_to_programs_and_tests() -> None:
    with Sandbox(Limits(modules=("numpy",)), workers=1) as box:
        source = "import numpy as np\ndef f(a, b): return np.add(a, b)"
        assert one(box, source, "import numpy as np\nassert np.isclose(f(1, 2), 3)").passed


def test_nothing_survives_an_evaluator_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "evaluator.py"
    script.write_text(
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from polychromic.sandbox import *\n"
        "box = Sandbox(Limits(cpu_seconds=60), workers=1).__enter__()\n"
        "print(box._workers[0].process.pid, flush=True)\n"
        "box.judge_many([Program('def f():\\n    while True: pass', 'f', 'f()')])\n"
    )
    root = str(Path(box_module.__file__).parents[2])
    with subprocess.Popen([sys.executable, str(script), root], stdout=subprocess.PIPE, text=True) as evaluator:
        assert evaluator.stdout is not None
        session = int(evaluator.stdout.readline())
        time.sleep(0.5)
        assert len(_session(session)) >= 3
        evaluator.kill()
    deadline = time.monotonic() + 10.0
    while (left := _session(session)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def _session(session: int) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(path.parent.name)
    return found
