"""Both vLLM engines against the real vLLM: what they draw is what we would score, and nothing is changed silently."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from polychromic.core.errors import EngineError, InputError
from polychromic.core.nouns import Decoding, Message, Prompt
from polychromic.samplers.server import Server
from polychromic.samplers.vllm import Vllm

pytest.importorskip("vllm")
pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default"), pytest.mark.timeout(900)]

PROMPTS = [Prompt("text", "1+2=3\n4+5="), Prompt("chat", (Message("user", "6-7"),))]
DECODING = Decoding(temperature=0.8, max_new_tokens=12)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


@pytest.fixture(scope="module")
def engine(folders):
    base, _ = folders
    return Vllm(model_path=base, max_model_len=64, max_lora_rank=8, gpu_memory_utilization=0.2)


@pytest.fixture(scope="module")
def server(folders, tmp_path_factory):
    from polychromic.stages import serve

    base, _ = folders
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = ("--dtype=float32", "--max-model-len=64", "--gpu-memory-utilization=0.2")
    serving, state = serve.Serving(str(base), "vllm", port, options), tmp_path_factory.mktemp("state")
    serve.start(serving, state, 600)
    yield serving.url
    serve.stop(state)


def test_the_engine_draws_what_is_scored_with_and_without_an_adapter(engine, folders, gap):
    for adapter, name in ((str(folders[1]), "run"), ("", None)):
        sampler = Vllm(**{**vars_of(engine), "adapter": adapter})
        sets = sampler.sample(PROMPTS, 4, DECODING, 3)
        assert [one.prompt for one in sets] == PROMPTS
        assert gap(sets, 0.8, name) < 1e-4
        assert len({text for one in sets for text in one.texts}) > 4
        assert sampler.sample(PROMPTS, 4, DECODING, 3) == sets
        assert sampler.sample(PROMPTS, 4, DECODING, 4) != sets
        ended = {c.token_ids[-1] == 1 for one in sets for c in one.completions if c.finished}
        assert ended <= {True}
        assert all(len(c.token_ids) == 12 for one in sets for c in one.completions if not c.finished)


def vars_of(engine):
    return {name: getattr(engine, name) for name in engine.__dataclass_fields__}


def test_the_engine_truncates_stops_and_obeys_a_schema(engine):
    (found, _) = engine.sample(PROMPTS, 3, Decoding(top_k=1, max_new_tokens=6), 0)
    assert len(set(found.texts)) == 1
    assert {c.logprob for c in found.completions} == {0.0}
    (found, _) = engine.sample(PROMPTS, 3, Decoding(temperature=0.0, max_new_tokens=6), 0)
    assert len(set(found.texts)) == 1
    assert {c.logprob for c in found.completions} == {0.0}
    first = found.texts[0][0]
    stopped = Vllm(**{**vars_of(engine), "stop": (first,)})
    (found, _) = stopped.sample(PROMPTS, 1, Decoding(temperature=0.0, max_new_tokens=6), 0)
    assert (found.texts, found.completions[0].finished) == (("",), True)


def test_a_prompt_that_is_too_long_is_the_users_to_mend(engine):
    with pytest.raises(InputError, match=r"prompt 'long' has 64 tokens; the engine's context holds 64"):
        engine.sample([Prompt("long", "1" * 64)], 1, DECODING, 0)


def test_the_command_line_samples_two_models_with_its_output_redirected(folders, tmp_path):
    base, run = folders
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"{i}+1="}) + "\n" for i in range(3)))
    (tmp_path / "config.yaml").write_text(
        "evaluation:\n  max_new_tokens: 8\n  engine: {kind: vllm, max_model_len: 64, max_lora_rank: 8, "
        "gpu_memory_utilization: 0.2}\n"
    )
    command = [sys.executable, "-m", "polychromic", "sample", "--config", "config.yaml", "--n", "2", "--out", "out"]
    command += ["--task", "{kind: conversations, path: prompts.jsonl}", "--models", f"base={base},run={run}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    assert len(rows) == 12
    spent = [json.loads(line) for line in (tmp_path / "out" / "costs.jsonl").read_text().splitlines()]
    assert [row["stage"] for row in spent].count("load") == 1  # the engine's start is nobody's sampling
    drawn = [row for row in spent if row["stage"] == "sample"]
    assert len(drawn) == 2  # all prompts of a model in one call


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
