"""The server engine against a real `vllm serve`: it draws what we would score, and the server's words are heard."""

from __future__ import annotations

import socket

import pytest

from polychromic.core.errors import EngineError
from polychromic.core.nouns import Decoding, Prompt
from polychromic.samplers.server import Server
from tests.vllm.conftest import DECODING, PROMPTS

pytest.importorskip("vllm")
pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def server(folders, tmp_path_factory):
    from polychromic.project import serve

    base, _ = folders
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = ("--dtype=float32", "--max-model-len=64", "--gpu-memory-utilization=0.2")
    serving, state = serve.Serving(str(base), "vllm", port, options), tmp_path_factory.mktemp("state")
    serve.start(serving, state, 600)
    yield serving.url
    serve.stop(state)


def test_the_server_draws_what_is_scored(server, gap):
    sampler = Server(base_url=server, logprobs="sum")
    sets = sampler.sample(PROMPTS, 4, DECODING, 3)
    assert all(completion.token_ids for one in sets for completion in one.completions)
    assert gap(sets, 0.8) < 1e-4
    assert len({text for one in sets for text in one.texts}) > 4
    assert [one.texts for one in sampler.sample(PROMPTS, 4, DECODING, 3)] == [one.texts for one in sets]
    (greedy, _) = sampler.sample(PROMPTS, 3, Decoding(temperature=0.0, max_new_tokens=6), 0)
    assert len(set(greedy.texts)) == 1
    assert {c.logprob for c in greedy.completions} == {0.0}


def test_the_servers_own_words_reach_the_user(server):
    with pytest.raises(EngineError, match=r"status 400: .*(context|length|long)"):
        Server(base_url=server).sample([Prompt("long", "1" * 80)], 1, DECODING, 0)
