"""Attacks on the sandbox that are run each time it opens. One that succeeds, and nothing else is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from polychromic.core.errors import SandboxError
from polychromic.sandbox.nouns import Judgement, Outcome, Program

ADVICE = (
    "use Linux (WSL2 on Windows, Docker on a Mac) on x86_64 or aarch64 with seccomp; "
    "or accept the risk with confinement='unsafe_none'"
)
HELD = "held"
TESTS = f"def check(candidate):\n    assert candidate() == {HELD!r}\n"


def _attack(body: str) -> str:
    """A program that answers ``held`` if ``body`` raises OSError, and ``escaped`` if it gets through."""
    lines = "\n".join("        " + line for line in body.splitlines())
    return (
        "import os, sys, socket, signal, ctypes\n"
        f"def attack():\n    try:\n{lines}\n        return 'escaped'\n"
        f"    except (OSError, RuntimeError):\n        return {HELD!r}\n"
    )


def _system_call(expression: str) -> str:
    return f"libc = ctypes.CDLL(None, use_errno=True)\nif {expression} < 0:\n    raise OSError(ctypes.get_errno())"


@dataclass(frozen=True)
class Canary:
    """One attack and the outcome that shows it was held."""

    name: str
    source: str
    expected: Outcome = Outcome.PASSED


class _Canaries(tuple[Canary, ...]):
    """The attacks in order."""

    def programs(self) -> list[Program]:
        """The attacks as programs to judge."""
        return [Program(canary.source, "attack", TESTS) for canary in self]


CANARIES = _Canaries(
    (
        Canary("a good program passes", f"def attack():\n    return {HELD!r}\n"),
        Canary("a wrong program fails", "def attack():\n    return 'wrong'\n", Outcome.WRONG_ANSWER),
        Canary(
            "an always-equal object fails",
            "class Yes:\n    def __eq__(self, other):\n        return True\ndef attack():\n    return Yes()\n",
            Outcome.NOT_PLAIN_DATA,
        ),
        Canary("leaving early fails", "import os\nos._exit(0)\n", Outcome.EXITED),
        Canary("read a file", _attack("open('/proc/self/environ', 'rb').read()")),
        Canary("write a file", _attack("os.close(os.open('/tmp/polychromic-canary', os.O_CREAT | os.O_WRONLY))")),
        Canary("open a socket", _attack("socket.socket().close()")),
        Canary("start a process", _attack("if os.fork() == 0:\n    os._exit(0)")),
        Canary("run a command", _attack("import subprocess\nsubprocess.run(['/bin/true'])")),
        Canary("signal the evaluator", _attack("os.kill(os.getppid(), 0)")),
        Canary(
            "read another process's memory",
            _attack(_system_call("libc.ptrace(16, ctypes.c_long(os.getppid()), 0, 0)")),
        ),
        Canary("make a file in memory", _attack("os.memfd_create('x')")),
    )
)


def verify(layers: Mapping[str, str], found: Mapping[int, Judgement], confinement: str) -> dict[str, Any]:
    """The report of an opened sandbox: ``{"level", "layers", "selftest"}``.

    Raises:
        SandboxError: an attack succeeded and ``confinement`` is required.
    """
    selftest = {canary.name: str(found[place].outcome) for place, canary in enumerate(CANARIES)}
    failed = [canary.name for place, canary in enumerate(CANARIES) if found[place].outcome is not canary.expected]
    if failed and confinement == "required":
        first = next(found[place] for place, canary in enumerate(CANARIES) if canary.name == failed[0])
        raise SandboxError(
            f"the sandbox does not hold here: {', '.join(failed)} ({first.outcome}: {first.detail}); {ADVICE}"
        )
    level = "unsafe" if confinement != "required" else "full" if "ABI" in layers["landlock"] else "seccomp"
    return {"level": level, "layers": dict(layers), "selftest": selftest, "failed": failed}
