"""Several servers of one model: the work is shared out, and one that is dead or dies is done without."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest

from polychromic.core.errors import EngineError, InputError
from polychromic.core.nouns import Decoding, Prompt
from polychromic.samplers.server import Server
from polychromic.settings import catalog

PROMPTS = [Prompt(f"p{i}", f"say {i}") for i in range(24)]


class Counted:
    """What one server was asked, and after how many answers it dies."""

    def __init__(self, dies_after=10**6, root="a/model", slow=0.0):
        self.dies_after, self.root, self.slow = dies_after, root, slow
        self.lock, self.answered, self.refused = threading.Lock(), 0, 0


@contextlib.contextmanager
def running(serving, *counted):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(serving(handler(one))) for one in counted]


def handler(one):
    class Handler(BaseHTTPRequestHandler):
        def tell(self, value, status=200):
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self):
            self.tell({"object": "list", "data": [{"id": "m", "object": "model", "root": one.root, "owned_by": "x"}]})

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(one.slow)
            with one.lock:
                alive = one.answered < one.dies_after
                one.answered += alive
                one.refused += not alive
            choice = {"index": 0, "text": "said", "finish_reason": "stop"}
            self.tell({"id": "1", "object": "text_completion", "choices": [choice]}, 200 if alive else 503)

        def log_message(self, *arguments):
            pass

    return Handler


def engine(urls, **options):
    given = {"served_model": "m", "dialect": "openai", "longest_pause_s": 0.01, "attempts": 2, "timeout_s": 20.0}
    return Server(tuple(urls), **(given | options))


def test_requests_are_shared_out(serving):
    both = Counted(slow=0.01), Counted(slow=0.01)
    with running(serving, *both) as urls:
        assert len(engine(urls).sample(PROMPTS, 2, Decoding(), 0)) == len(PROMPTS)
    assert sum(one.answered for one in both) == 48
    assert min(one.answered for one in both) >= 12


@pytest.mark.long
def test_a_dead_server_is_done_without(serving):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    alive = Counted()
    with running(serving, alive) as urls:
        found = engine([dead, *urls], attempts=1).sample(PROMPTS, 1, Decoding(), 0)
    assert [item.prompt.id for item in found] == [prompt.id for prompt in PROMPTS]
    assert alive.answered == 24


def test_one_that_dies_midway_costs_no_sample_and_is_left_alone(serving):
    steady, dying = Counted(slow=0.005), Counted(dies_after=3)
    with running(serving, dying, steady) as urls:
        found = engine(urls, attempts=1, parallel=2).sample(PROMPTS, 2, Decoding(), 0)
    assert sum(len(item.completions) for item in found) == 48
    assert dying.answered == 3
    assert dying.refused <= 2  # those under way; then it rests
    assert steady.answered == 45


@pytest.mark.long
def test_when_all_are_dead_it_says_which(serving):
    with running(serving, Counted(dies_after=0), Counted(dies_after=0)) as urls:
        with pytest.raises(EngineError, match="24 of 24 prompts failed") as error:
            engine(urls).sample(PROMPTS, 1, Decoding(), 0)
        assert all(url in str(error.value) for url in urls)


def test_servers_of_different_models_are_refused(serving):
    with running(serving, Counted(), Counted(root="b/other")) as urls, pytest.raises(EngineError) as error:
        engine(urls).source()
    assert "serve different models as m: a/model, b/other" in str(error.value)


def test_a_configuration_lists_them_and_none_twice():
    built = catalog.build("samplers", {"kind": "server", "base_url": ["http://a/v1", "http://b/v1"]})
    assert built.connection.urls == ("http://a/v1", "http://b/v1")
    for wrong in ([], ["http://a/v1", "http://a/v1"]):
        with pytest.raises(InputError, match="base_url must name at least one server, and none twice"):
            catalog.build("samplers", {"kind": "server", "base_url": wrong})
