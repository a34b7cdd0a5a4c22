"""A local OpenAI-compatible server in the background: started, checked, stopped; on the loopback address only."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub.constants import HF_HUB_CACHE

from polychromic.core.errors import EngineError, InputError, MissingResourceError, RecordError
from polychromic.records.jsonl import read_json, write_json
from polychromic.settings.schema import ModelSection
from polychromic.stages.models import resolve

MODULES = {"vllm": ("vllm",), "transformers": ("transformers", "fastapi", "uvicorn")}
ADVICE = {
    "vllm": "vLLM is not installed: pip install 'polychromic[vllm]' (Linux with a CUDA device), "
    "or use --engine transformers",
    "transformers": "`transformers serve` needs fastapi and uvicorn: pip install 'transformers[serving]'",
}
GRACE_SECONDS = 15.0
COMPLETION_SECONDS = 60.0
TURN = {"role": "user", "content": "1"}


@dataclass(frozen=True, slots=True)
class Serving:
    """What is served: a folder or hub name, by vllm or transformers, on a port of the loopback address."""

    model: str
    engine: str = "vllm"
    port: int = 8000
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The base URL for the server engine."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def served(self) -> str:
        """The name under which the server knows the model: an embedded base is its folder."""
        return str(resolve(ModelSection(name_or_path=self.model)).name_or_path)

    def command(self) -> list[str]:
        """The command line that serves it."""
        where = ["--host", "127.0.0.1", "--port", str(self.port), *self.options]
        if self.engine == "vllm":
            drawn_from = ["--logprobs-mode", "processed_logprobs"]  # not those before temperature and truncation
            module = ["-m", "vllm.entrypoints.openai.api_server", "--model", self.model]
            return [sys.executable, *module, *drawn_from, *where]
        program = "import sys; from transformers.cli.transformers import main; sys.exit(main())"
        return [sys.executable, "-c", program, "serve", self.served, *where]


class ServerState(NamedTuple):
    """Whether the server's process runs, whether it answers, and both as a sentence."""

    runs: bool
    answers: bool
    text: str


def start(serving: Serving, state: str | Path, timeout: float) -> str:
    """A sentence with the server's address, once it has completed a text.

    Raises:
        MissingResourceError: the engine is not installed; the message says how to get it.
        InputError: a server runs already, or something else answers on the port.
        EngineError: it ended or did not answer in time; the message ends with its last words.
    """
    state = Path(state)
    if any(importlib.util.find_spec(module) is None for module in MODULES[serving.engine]):
        raise MissingResourceError(ADVICE[serving.engine])
    if _own_process(state) is not None:
        raise InputError(f"{state}: a server runs already; stop it first or give another --state")
    if _answers(serving.port):
        raise InputError(f"port {serving.port}: something answers there already; give another --port")
    state.mkdir(parents=True, exist_ok=True)
    Path(HF_HUB_CACHE).mkdir(parents=True, exist_ok=True)  # without one, transformers cannot list its models
    with (state / "server.log").open("ab") as log:
        process = subprocess.Popen(
            serving.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    born = _born(process.pid)
    write_json(state / "server.json", asdict(serving) | {"pid": process.pid, "born": born})
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if process.poll() is not None:
            write_json(state / "server.json", asdict(serving) | {"pid": None})
            raise EngineError(f"the server ended with status {process.returncode}: {logs(state, 1).strip()[-300:]}")
        if _completes(serving.port, serving.served):
            process.returncode = 0  # it outlives this command; nobody need wait for it
            return f"{serving.model} is served at {serving.url} (pid {process.pid})"
        time.sleep(0.25)
    stop(state)
    process.poll()
    process.returncode = process.returncode or -signal.SIGTERM  # collected by stop
    raise EngineError(f"the server did not answer within {timeout:g} s: {logs(state, 1).strip()[-300:]}")


def stop(state: str | Path) -> str:
    """A sentence that the server is stopped; its whole process group is ended, and nothing else ever is."""
    state = Path(state)
    pid, known = _own_process(state), _known(state)
    if pid is None or known is None:
        return "no server is running"
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and _alive(pid):
            time.sleep(0.1)
        if not _alive(pid):
            break
    write_json(state / "server.json", known | {"pid": None})
    return f"stopped the server (pid {pid})"


def restart(state: str | Path, timeout: float) -> str:
    """The sentence of ``start``, for the server that was started last with this state folder.

    Raises:
        InputError: none was.
    """
    known = _known(Path(state))
    if known is None:
        raise InputError(f"{state}: no server was started here; use `polychromic code server start MODEL`")
    serving = Serving(known["model"], known["engine"], int(known["port"]), tuple(known["options"]))
    stop(state)
    return start(serving, state, timeout)


def status(state: str | Path) -> ServerState:
    """Whether the server of this state folder runs and answers."""
    pid, known = _own_process(Path(state)), _known(Path(state))
    if pid is None or known is None:
        return ServerState(False, False, "no server is running")
    served = Serving(known["model"], known["engine"], int(known["port"])).served
    answers = _completes(int(known["port"]), served)
    what = f"{known['model']} by {known['engine']} at http://127.0.0.1:{known['port']}/v1 (pid {pid})"
    return ServerState(True, answers, f"{what}: {'answers' if answers else 'runs but does not answer yet'}")


def logs(state: str | Path, lines: int) -> str:
    """The last lines of the server's log."""
    path = Path(state) / "server.log"
    if not path.exists():
        return f"{path}: there is no log"
    with path.open(encoding="utf-8", errors="replace") as file:
        return "".join(deque(file, maxlen=max(1, lines))).rstrip("\n")


def _known(state: Path) -> dict[str, Any] | None:
    try:
        return read_json(state / "server.json")
    except (MissingResourceError, RecordError):
        return None


def _own_process(state: Path) -> int | None:
    """The pid of our running server; None when it is gone or the number belongs to another process by now."""
    known = _known(state)
    if known is None or not isinstance(known.get("pid"), int):
        return None
    pid = int(known["pid"])
    return pid if _alive(pid) and _born(pid) == known.get("born") else None


def _alive(pid: int) -> bool:
    """Whether the process exists and is no zombie; our own dead children are collected."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _born(pid: int) -> str:
    """The process's start time in clock ticks with the machine's boot id: tells it from a later one of that number."""
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{ticks}"
    except (OSError, IndexError):
        return ""


def _completes(port: int, model: str) -> bool:
    """Whether the server writes one token: that it listens, or lists models, does not say that it can."""
    for path, shown in (("completions", {"prompt": "1"}), ("chat/completions", {"messages": [TURN]})):
        body = json.dumps({"model": model, "max_tokens": 1, **shown}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/{path}", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=COMPLETION_SECONDS) as answer:
                if json.loads(answer.read()).get("choices"):
                    return True
        except (urllib.error.URLError, OSError, ValueError, AttributeError):
            continue
    return False


def _answers(port: int) -> bool:
    """Whether anything answers on the port."""
    for path in ("health", "v1/models"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=2) as answer:
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError, ValueError, json.JSONDecodeError):
            continue
    return False
