"""A real OpenAI-compatible server around a tiny model, and one that misbehaves on purpose; loopback only."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def build_tiny_model(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    characters = [chr(code) for code in range(32, 127)] + ["\n"]
    vocabulary = {"<pad>": 0, "<eos>": 1, "<unk>": 2} | {c: i + 3 for i, c in enumerate(characters)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(vocabulary), bos_token_id=1, eos_token_id=1, pad_token_id=0, **sizes)
    model = LlamaForCausalLM(config)
    model.generation_config.do_sample = True
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


@pytest.fixture(scope="session")
def transformers_server(tmp_path_factory: pytest.TempPathFactory):
    """The base URL and the model id of a running ``transformers serve``."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    folder = tmp_path_factory.mktemp("served")
    build_tiny_model(folder)
    port = free_port()
    log = (folder / "serve.log").open("w")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HF_HOME": str(folder / "home")}
    program = "import sys; from transformers.cli.transformers import main; sys.exit(main())"
    arguments = ["serve", str(folder), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], env=environment, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        for _ in range(240):
            if process.poll() is not None:
                raise RuntimeError((folder / "serve.log").read_text()[-2000:])
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


class Script:
    """What the misbehaving server does: ``answers`` in turn, the last one for ever; it counts its requests."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.requests: list[dict] = []
        self.delay = 0.0
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()


@pytest.fixture
def scripted_server(serving):
    """The base URL of a server and the script it follows."""
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with script.lock:
                script.requests.append(json.loads(body) | {"path": self.path})
                status, answer = script.answers[min(len(script.requests), len(script.answers)) - 1]
                script.busy += 1
                script.most_busy = max(script.most_busy, script.busy)
            time.sleep(script.delay)
            with script.lock:
                script.busy -= 1
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except BrokenPipeError:
                pass

        def log_message(self, *arguments):
            pass

    with serving(Handler) as url:
        yield url, script
