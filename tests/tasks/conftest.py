"""A model that judges, played by a small server on the loopback address."""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest


class PlayedJudge:
    """What the server does: ``rule(answer, question)`` says its words; ``status`` other than 200 is all it says then.

    ``{mark}`` in the words stands for the mark that it was told. From the request ``fails_from`` on it fails. With a
    ``drip`` it takes so many seconds for each byte.
    """

    def __init__(self):
        self.rule = lambda answer, question: "Fine.\nVERDICT {mark}: PASS"
        self.requests = []
        self.fails_from = None
        self.failure = (500, b"{}")
        self.delay = self.drip = 0.0
        self.finish = "stop"
        self.usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        self.lock = threading.Lock()

    def __call__(self, request):
        with self.lock:
            self.requests.append(request)
            count = len(self.requests)
        time.sleep(self.delay)
        if self.fails_from is not None and count >= self.fails_from:
            return self.failure
        told, material = (message["content"] for message in request["messages"])
        mark = re.findall(r"^VERDICT (\w+): PASS$", told, re.MULTILINE)[-1]
        answer = re.search(rf"<{mark} answer>\n(.*?)\n</{mark} answer>", material, re.DOTALL).group(1)
        said = self.rule(answer, material)
        if isinstance(said, tuple):
            return said
        message = {"role": "assistant", "content": said.replace("{mark}", mark)}
        choices = [{"index": 0, "finish_reason": self.finish, "message": message}]
        body = {"id": "1", "object": "chat.completion", "choices": choices}
        return 200, json.dumps(body | ({"usage": self.usage} if self.usage else {})).encode()


@pytest.fixture
def played_judge(serving):
    """The base URL of a judge, and the judge that answers there."""
    judge = PlayedJudge()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = judge(request | {"key": self.headers["Authorization"]})
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                for byte in [body[i : i + 1] for i in range(len(body))] if judge.drip else [body]:
                    self.wfile.write(byte)
                    time.sleep(judge.drip)
            except (BrokenPipeError, ConnectionResetError):
                pass

        def log_message(self, *arguments):
            pass

    with serving(Handler) as url:
        yield url, judge
