"""A local server in the background: started, asked, restarted, stopped, and nothing else ever stopped."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from polychromic.cli import commands
from polychromic.core.errors import EngineError, InputError, MissingResourceError
from polychromic.project import serve

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"ok")
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200); self.end_headers(); self.wfile.write(sys.argv[2].encode())
    def log_message(self, *a): print("asked", self.path, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


ANSWER = {"text": '{"choices": [{"text": "1"}]}'}


@pytest.fixture
def port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Serving by a small real HTTP server instead of a model; whatever is left over is stopped."""
    program = {"code": SERVER}
    monkeypatch.setattr(
        serve.Serving, "command", lambda self: [sys.executable, "-c", program["code"], str(self.port), ANSWER["text"]]
    )
    yield program
    serve.stop(tmp_path / "state")


def test_a_server_starts_answers_restarts_and_stops(small, tmp_path, port):
    state = tmp_path / "state"
    assert serve.status(state) == serve.ServerState(False, False, "no server is running")
    assert f"http://127.0.0.1:{port}/v1" in serve.start(serve.Serving("m", "transformers", port), state, 30)
    first = json.loads((state / "server.json").read_text())["pid"]
    assert serve.status(state).answers
    with pytest.raises(InputError, match="runs already"):
        serve.start(serve.Serving("m", "transformers", port), state, 5)
    with pytest.raises(InputError, match="something answers there already"):
        serve.start(serve.Serving("m", "transformers", port), tmp_path / "other", 5)
    serve.restart(state, 30)
    assert json.loads((state / "server.json").read_text())["pid"] != first
    assert "asked" in serve.logs(state, 5)
    assert serve.stop(state).startswith("stopped the server")
    assert serve.status(state).runs is False
    assert serve.stop(state) == "no server is running"
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
    assert "is served" in serve.restart(state, 30)


def test_a_server_that_dies_or_never_answers_is_named(small, tmp_path, port):
    small["code"] = "import sys; sys.exit('no such model')"
    with pytest.raises(EngineError, match="ended with status 1: no such model"):
        serve.start(serve.Serving("m", "transformers", port), tmp_path / "state", 30)
    small["code"] = "import time; time.sleep(60)"
    with pytest.raises(EngineError, match="did not answer within 1 s"):
        serve.start(serve.Serving("m", "transformers", port), tmp_path / "state", 1)
    assert serve.status(tmp_path / "state").runs is False


def test_a_server_that_listens_and_completes_nothing_is_not_ready(small, tmp_path, port, monkeypatch):
    monkeypatch.setitem(ANSWER, "text", '{"error": "no model"}')
    with pytest.raises(EngineError, match="did not answer within 3 s"):
        serve.start(serve.Serving("m", "transformers", port), tmp_path / "state", 3)


def test_an_embedded_base_is_served_from_its_folder():
    serving = serve.Serving("embedded:countdown", "transformers", 8001)
    assert serving.served in serving.command()
    assert (Path(serving.served) / "config.json").is_file()


def test_a_stranger_with_the_same_number_is_never_stopped(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        known = {"model": "m", "engine": "vllm", "port": 1, "options": [], "pid": stranger.pid, "born": "boot:1"}
        (state / "server.json").write_text(json.dumps(known))
        assert serve.stop(state) == "no server is running"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_missing_engine_says_how_to_get_it(tmp_path):
    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vLLM is installed")
    with pytest.raises(MissingResourceError, match="pip install 'polychromic\\[vllm\\]'"):
        serve.start(serve.Serving("m"), tmp_path / "state", 1)


def test_the_command_lines_of_the_real_engines():
    vllm = serve.Serving("org/model", "vllm", 8001, ("--dtype=half",)).command()
    assert vllm[1:5] == ["-m", "vllm.entrypoints.openai.api_server", "--model", "org/model"]
    assert vllm[5:] == [
        "--logprobs-mode",
        "processed_logprobs",
        "--host",
        "127.0.0.1",
        "--port",
        "8001",
        "--dtype=half",
    ]
    other = serve.Serving("org/model", "transformers").command()
    assert other[3:5] == ["serve", "org/model"]
    assert "127.0.0.1" in other


def test_the_verbs(tmp_path):
    state = str(tmp_path / "state")
    status = CliRunner().invoke(commands, ["code", "server", "status", "--state", state])
    assert (status.exit_code, status.stdout.strip()) == (1, "no server is running")
    assert "no log" in CliRunner().invoke(commands, ["code", "server", "logs", "--state", state]).stdout
    assert CliRunner().invoke(commands, ["code", "server", "stop", "--state", state]).exit_code == 0
    with pytest.raises(InputError, match="no server was started here"):
        CliRunner().invoke(commands, ["code", "server", "restart", "--state", state], catch_exceptions=False)
    assert CliRunner().invoke(commands, ["code", "--help"]).exit_code == 0
    assert not Path(state).exists()
