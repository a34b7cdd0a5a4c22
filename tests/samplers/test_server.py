"""The server engine against a real server, and against one that fails in every way a server can."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from polychromic.core.errors import EngineError, InputError
from polychromic.core.nouns import Decoding, Message, Prompt, SampleSet
from polychromic.core.protocols import Sampler
from polychromic.policy.served import RefusedError
from polychromic.records.costs import drawn
from polychromic.records.samples import StoredSet
from polychromic.samplers.server import Server, _Gathering, _Session

CHAT = Prompt("chat", (Message("system", "Answer."), Message("user", "hi")))
TEXT = Prompt("text", "def f(x):\n")
SHORT = Decoding(max_new_tokens=12)


def chat(content, reason="stop", **fields) -> bytes:
    message = {"role": "assistant", "content": content, **fields}
    choice = {"index": 0, "finish_reason": reason, "message": message}
    return json.dumps({"id": "1", "object": "chat.completion", "choices": [choice]}).encode()


def text(content, reason="stop", logprobs=None) -> bytes:
    choice = {"index": 0, "finish_reason": reason, "text": content, "logprobs": logprobs}
    return json.dumps({"id": "1", "object": "text_completion", "choices": [choice]}).encode()


def engine(url: str, **options) -> Server:
    settings = {"served_model": "m", "timeout_s": 5.0, "attempts": 3, "longest_pause_s": 0.01, "parallel": 2}
    return Server(base_url=url, **settings | options)


@pytest.mark.long
def test_a_real_server_answers_conversations_and_text(transformers_server):
    url, model = transformers_server
    server = Server(base_url=url, served_model=model, parallel=3, timeout_s=120)
    sets = server.sample([CHAT, TEXT], 3, SHORT, seed=1)
    assert [item.prompt.id for item in sets] == ["chat", "text"]
    assert all(len(item.completions) == 3 and item.policy == model for item in sets)
    assert all(1 <= len(c.text) <= 12 for item in sets for c in item.completions if not c.finished)
    assert len({t for item in sets for t in item.texts}) > 2


@pytest.mark.long
def test_a_real_server_stops_at_the_token_limit(transformers_server):
    url, model = transformers_server
    (found,) = Server(base_url=url, served_model=model, timeout_s=120).sample([TEXT], 4, Decoding(max_new_tokens=2), 3)
    cut = [c for c in found.completions if not c.finished]
    assert cut
    assert all(len(c.text) == 2 for c in cut)


def test_it_is_a_sampler():
    assert isinstance(Server(), Sampler)


def test_requests_say_all_of_the_decoding_and_seeds_differ(scripted_server):
    url, script = scripted_server
    script.answers = [(200, chat("ok"))]
    decoding = Decoding(temperature=0.5, top_p=0.9, top_k=7, max_new_tokens=33)
    engine(url).sample([CHAT], 4, decoding, seed=5)
    sent = script.requests
    assert len({request["seed"] for request in sent}) == 4
    assert {(r["temperature"], r["top_p"], r["top_k"], r["max_tokens"]) for r in sent} == {(0.5, 0.9, 7, 33)}
    assert all("stop" not in request and request["path"] == "/v1/chat/completions" for request in sent)
    assert sent[0]["messages"][0] == {"role": "system", "content": "Answer."}


def test_the_same_seed_asks_for_the_same_samples(scripted_server):
    url, script = scripted_server
    script.answers = [(200, text("ok"))]
    for _ in range(2):
        engine(url).sample([TEXT], 3, SHORT, seed=5)
    seeds = [request["seed"] for request in script.requests]
    assert sorted(seeds[:3]) == sorted(seeds[3:])


def test_text_finish_and_logprobs_are_read(scripted_server):
    url, script = scripted_server
    script.answers = [(200, text("abc", "length", {"token_logprobs": [-0.5, None, -1.0]}))]
    (found,) = engine(url, logprobs="sum").sample([TEXT], 1, SHORT, 0)
    assert (found.completions[0].text, found.completions[0].finished) == ("abc", False)
    assert found.completions[0].logprob == -1.5


@pytest.mark.parametrize(
    ("answer", "thought", "text"),
    [
        (chat("x = 1", reasoning_content="hm"), "hm", "x = 1"),
        (chat("<think>hm</think>\nx = 1"), "hm", "x = 1"),
        (chat(None, reasoning_content="hm"), "hm", ""),
    ],
)
def test_a_thought_stands_apart_from_the_answer(scripted_server, answer, thought, text):
    url, script = scripted_server
    script.answers = [(200, answer)]
    (found,) = engine(url).sample([CHAT], 1, SHORT, 0)
    assert [(one.thought, one.text) for one in found.completions] == [(thought, text)]


@pytest.mark.parametrize(
    "bad",
    [
        (500, b"{}"),
        (429, b"{}"),
        (200, b"<html>busy</html>"),
        (200, b'{"choices": []}'),
        (200, b"{}"),
        (200, b"[1]"),
        (200, chat(None)),
        (200, b""),
        (200, b"\xff\xfe"),
        (200, b'{"choices": [{"message": 3}]}'),
    ],
    ids=["500", "429", "html", "no choices", "empty object", "array", "no content", "nothing", "bytes", "wrong type"],
)
def test_a_passing_failure_is_tried_again_and_a_lasting_one_is_named(scripted_server, bad):
    url, script = scripted_server
    script.answers = [bad, bad, (200, chat("ok"))]
    (found,) = engine(url).sample([CHAT], 1, SHORT, 0)
    assert found.texts == ("ok",)
    assert len(script.requests) == 3
    script.answers = [bad]
    with pytest.raises(EngineError, match=r"1 of 1 prompts failed: .*(status|no completion|without text)"):
        engine(url).sample([CHAT], 1, SHORT, 0)


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_for_good_is_not_tried_again(scripted_server, status):
    url, script = scripted_server
    script.answers = [(status, b"{}")]
    results = list(engine(url, parallel=1).stream([CHAT, TEXT], 2, SHORT, 0))
    assert all(isinstance(result, RefusedError) for _, result in results)
    assert sorted(index for index, _ in results) == [0, 1]
    assert len(script.requests) <= 2


def test_finished_sets_are_handed_over_before_the_server_goes(scripted_server):
    url, script = scripted_server
    script.answers = [(200, text("a")), (200, text("b")), (500, b"")]
    prompts = [Prompt(str(i), "x") for i in range(6)]
    results = dict(engine(url, parallel=1, attempts=1).stream(prompts, 1, SHORT, 0))
    assert [isinstance(results[i], SampleSet) for i in range(6)] == [True, True, False, False, False, False]
    assert len(script.requests) <= 4


def test_one_failing_prompt_does_not_stop_the_others(scripted_server):
    url, script = scripted_server
    script.answers = [(500, b""), (200, text("b"))]
    prompts = [Prompt(str(i), "x") for i in range(4)]
    results = dict(engine(url, parallel=2, attempts=1).stream(prompts, 1, SHORT, 0))
    assert sum(isinstance(result, SampleSet) for result in results.values()) == 3


def test_no_server_and_a_hanging_server_are_named(scripted_server):
    with pytest.raises(EngineError, match="no connection; is the server running"):
        engine("http://127.0.0.1:9/v1", attempts=2).sample([TEXT], 1, SHORT, 0)
    url, script = scripted_server
    script.answers, script.delay = [(200, text("late"))], 1.0
    with pytest.raises(EngineError, match=r"no answer within 0\.2 s"):
        engine(url, attempts=1, timeout_s=0.2).sample([TEXT], 1, SHORT, 0)


@pytest.mark.long
def test_a_server_that_trickles_has_a_deadline_for_the_whole_answer():
    """A byte at a time, each long before the client's own limit, which begins anew with every byte."""
    body, pause = text("late"), [0.1]

    class Trickle(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(pause[0])

        def log_message(self, *given):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Trickle) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            began = time.monotonic()
            with pytest.raises(EngineError, match=r"no answer within 0\.3 s"):
                engine(url, attempts=1, timeout_s=0.3, dialect="openai").sample([TEXT], 1, SHORT, 0)
            assert time.monotonic() - began < 0.1 * len(body)  # before the answer could have been whole
            pause[0] = 0.005
            (found,) = engine(url, attempts=1, timeout_s=30.0, dialect="openai").sample([TEXT], 1, SHORT, 0)
            assert found.texts == ("late",)
        finally:
            server.shutdown()


def test_requests_run_in_parallel_and_never_more_than_asked(scripted_server):
    url, script = scripted_server
    script.answers, script.delay = [(200, text("ok"))], 0.05
    engine(url, parallel=4).sample([TEXT], 16, SHORT, 0)
    assert 2 <= script.most_busy <= 4


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(InputError):
        Server(parallel=0)
    with pytest.raises(InputError, match="at least one"):
        list(Server().stream([TEXT], 0, SHORT, 0))


def test_a_server_that_cannot_list_its_models_is_not_taken_for_one_that_cannot_write(serving):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with serving(Handler) as url, pytest.raises(EngineError, match=r"status 500 \(when asked.*served_model names one"):
        engine(url, served_model="", attempts=1).sample([TEXT], 1, SHORT, 0)


def test_a_refusal_is_told_in_the_servers_own_words(scripted_server):
    url, script = scripted_server
    for body in ({"error": {"message": "too long: 41 tokens\nand more"}}, {"message": "too long: 41 tokens"}):
        script.answers = [(400, json.dumps(body).encode())]
        with pytest.raises(EngineError, match=r"refused with status 400: too long: 41 tokens \(1 prompts\)"):
            engine(url).sample([TEXT], 1, SHORT, 0)


def test_a_vllm_is_asked_for_all_completions_of_a_prompt_and_for_their_tokens(scripted_server):
    url, script = scripted_server
    choices = [{"index": i, "finish_reason": "stop", "text": str(i), "token_ids": [5, i]} for i in range(3)]
    script.answers = [(200, json.dumps({"id": "1", "object": "text_completion", "choices": choices}).encode())]
    (found,) = engine(url, dialect="vllm").sample([TEXT], 3, SHORT, 0)
    assert found.texts == ("0", "1", "2")
    assert [c.token_ids for c in found.completions] == [(5, 0), (5, 1), (5, 2)]
    (asked,) = script.requests
    assert (asked["n"], asked["top_k"], asked["min_p"], asked["repetition_penalty"]) == (3, -1, 0.0, 1.0)
    assert asked["return_token_ids"] is True
    with pytest.raises(EngineError, match=r"no completion \(3 where 2 were asked for\)"):
        engine(url, dialect="vllm").sample([TEXT], 2, SHORT, 0)


def test_a_vllm_is_known_by_its_list_of_models(serving):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with serving(Handler) as url:
        assert _Session(Server(base_url=url, served_model="m")).is_vllm
        assert not _Session(Server(base_url=url, served_model="m", dialect="openai")).is_vllm


def test_requests_are_sized_to_the_server(scripted_server):
    url, _ = scripted_server
    for options, n, parallel in (({"dialect": "vllm"}, 10, 25), ({}, 10, 8), ({"parallel": 3}, 10, 3)):
        session = _Session(Server(base_url=url, served_model="m", **options))
        assert _Gathering(session, [TEXT], n, SHORT).parallel == parallel


def test_temperature_zero_is_certain(scripted_server):
    url, script = scripted_server
    script.answers = [(200, text("abc", "stop", {"token_logprobs": [-0.5, -1.0]}))]
    greedy = Decoding(temperature=0.0, max_new_tokens=4)
    (found,) = engine(url, logprobs="sum", dialect="vllm").sample([TEXT], 3, greedy, 0)
    assert [(c.text, c.logprob) for c in found.completions] == [("abc", 0.0)] * 3
    assert len(script.requests) == 1


def test_a_schema_is_asked_of_the_server(scripted_server):
    url, script = scripted_server
    script.answers = [(200, chat("{}")), (200, text("{}"))]
    (one, _) = engine(url, schema={"type": "object"}, parallel=1).sample([CHAT, TEXT], 1, SHORT, 0)
    assert one.decoding.constraint.startswith("json_schema:")
    for request in script.requests:
        asked = request["response_format"]
        assert asked["type"] == "json_schema"
        assert asked["json_schema"]["schema"] == {"type": "object"}


def test_tokens_that_are_counted_but_not_given_reach_the_account(scripted_server):
    url, script = scripted_server
    usage = {"completion_tokens": 7, "prompt_tokens": 30}
    script.answers = [(200, json.dumps(json.loads(chat("ok")) | {"usage": usage}).encode())]
    (found,) = Server(url, "m", dialect="openai", parallel=1).sample([CHAT], 2, Decoding(), 0)
    assert [completion.counted for completion in found.completions] == [7, 7]
    (row,) = drawn([StoredSet(found, "", 0, (0, 1))], (2.0, 0.0), "server")
    assert row.tokens == (7, 7)
    assert row.tokens_read == 60  # each completion is a request of its own here
    script.answers = [(200, chat("ok"))]
    (found,) = Server(url, "m", dialect="openai", parallel=1).sample([CHAT], 2, Decoding(), 0)
    (row,) = drawn([StoredSet(found, "", 0, (0, 1))], (2.0, 0.0), "server")
    assert row.tokens_read is None


def test_the_prompt_of_several_completions_in_one_request_is_read_once(scripted_server):
    url, script = scripted_server
    usage = {"completion_tokens": 7, "prompt_tokens": 30}
    script.answers = [(200, json.dumps(json.loads(chat("ok")) | {"usage": usage}).encode())]
    greedy = Decoding(temperature=0.0)
    (found,) = Server(url, "m", dialect="vllm", parallel=1).sample([CHAT], 3, greedy, 0)
    assert [completion.read for completion in found.completions] == [30, 0, 0]
