"""The engine in this process against the real vLLM: it draws what we would score, and nothing is changed silently."""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save_file

from polychromic.core.errors import InputError
from polychromic.core.nouns import Decoding, Prompt
from polychromic.records.samples import read_sets
from polychromic.samplers.vllm import Vllm, _engine
from tests.vllm.conftest import DECODING, PROMPTS, gap_of

pytest.importorskip("vllm")
pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default"), pytest.mark.timeout(900)]

SCHEMA = {"enum": [12, 345]}


@pytest.fixture(scope="module")
def engine(folders):
    base, _ = folders
    yield Vllm(model_path=base, max_model_len=64, max_lora_rank=8, gpu_memory_utilization=0.2)
    _engine.cache_clear()  # ends its processes, which the server's would wait for
    gc.collect()


def test_the_engine_draws_what_is_scored_with_and_without_an_adapter(engine, folders, gap):
    for adapter, name in ((str(folders[1]), "run"), ("", None)):
        sampler = Vllm(**{**vars_of(engine), "adapter": adapter})
        sets = sampler.sample(PROMPTS, 4, DECODING, 3)
        assert [one.prompt for one in sets] == PROMPTS
        assert gap(sets, 0.8, name) < 1e-4
        assert gap(sets, 0.8, "run" if name is None else None) > 0.01  # the adapter is in effect, or is not
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
    bounded = Vllm(**{**vars_of(engine), "schema": SCHEMA})
    (found, _) = bounded.sample(PROMPTS, 8, Decoding(max_new_tokens=6), 0)
    assert set(found.texts) == {"12", "345"}
    assert all(completion.finished for completion in found.completions)


def test_a_prompt_that_is_too_long_is_the_users_to_mend(engine):
    with pytest.raises(InputError, match=r"prompt 'long' has 64 tokens; the engine's context holds 64"):
        engine.sample([Prompt("long", "1" * 64)], 1, DECODING, 0)


CONFIG = """
experiment: {name: engines}
model: {name_or_path: "embedded:countdown"}
data: {task: countdown}
evaluation: {max_new_tokens: 12, temperatures: [0.8, 0.0], engine: %s}
"""
ENGINE = "{kind: vllm, max_model_len: 128, max_lora_rank: 8, gpu_memory_utilization: 0.2}"


def sampled(folder, engine, models):
    """What `polychromic sample` writes with its output redirected: the sets and the bills' stages."""
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG % engine)
    command = [sys.executable, "-m", "polychromic", "sample", "--config", "config.yaml", "--n", "4", "--out", "out"]
    command += ["--task", "countdown", "--max-prompts", "6", "--models", models]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=800, check=False)
    if done.returncode:
        return done, [], []
    bills = [json.loads(line)["stage"] for line in (folder / "out" / "costs.jsonl").read_text().splitlines()]
    return done, read_sets(folder / "out" / "samples.jsonl"), bills


def test_the_command_line_samples_two_models_with_its_output_redirected(embedded, tmp_path):
    models = f"base={embedded[0]},run={embedded[1]}"
    done, sets, bills = sampled(tmp_path / "vllm", ENGINE, models)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(sets) == 2 * 2 * 6
    assert bills.count("load") == 1  # the engine's start is nobody's sampling
    _, ours, _ = sampled(tmp_path / "ours", "transformers", models)
    greedy = [
        {(one.model, one.samples.prompt.id): one.samples.texts for one in both if not one.temperature}
        for both in (sets, ours)
    ]
    assert greedy[0] == greedy[1]
    gap = gap_of(*embedded)
    for model, adapter, other in (("base", None, "run"), ("run", "run", None)):
        drawn = [one.samples for one in sets if (one.model, one.temperature) == (model, 0.8)]
        assert gap(drawn, 0.8, adapter) < 1e-4
        assert gap(drawn, 0.8, other) > 0.01  # the adapter, and nothing else, is what differs


def test_an_adapter_that_is_not_whole_never_reaches_the_engine(embedded, tmp_path):
    base, run = embedded
    broken = shutil.copytree(run, tmp_path / "broken")
    weights = load_file(broken / "adapter_model.safetensors")
    save_file(dict(list(weights.items())[2:]), broken / "adapter_model.safetensors")
    done, _, _ = sampled(tmp_path / "vllm", ENGINE, f"base={base},run={broken}")
    assert done.returncode == 2
    assert "the adapter is not whole: 2 of its" in done.stderr.splitlines()[-1]
