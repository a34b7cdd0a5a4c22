"""The vLLM engine against a stand-in with vLLM's documented interface (no GPU here): what is asked, what comes back."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from polychromic.core.errors import EngineError, InputError, MissingResourceError
from polychromic.core.nouns import Decoding, Message, Prompt
from polychromic.core.protocols import Sampler
from polychromic.samplers import vllm as engine
from polychromic.samplers.vllm import Vllm

PROMPTS = [Prompt("a", "1 + 1 ="), Prompt("b", (Message("user", "2 + 2 ="),))]
DECODING = Decoding(temperature=0.7, top_p=0.9, max_new_tokens=32)


@pytest.fixture
def stand_in(monkeypatch, tiny_tokenizer_factory) -> Any:
    """A module ``vllm`` that records what it is told; its answers are numbered."""
    told = SimpleNamespace(engines=[], calls=[], fails=None)
    tokenizer = tiny_tokenizer_factory()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"

    class LLM:
        def __init__(self, model: str, **options: Any) -> None:
            if model == "nowhere":
                raise OSError("nowhere is no model")
            told.engines.append((model, options))
            self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=40))

        def get_tokenizer(self) -> Any:
            return tokenizer

        def generate(self, prompts: list[Any], sampling_params: list[Any], lora_request: Any, use_tqdm: bool) -> Any:
            assert use_tqdm is False  # tqdm, switched off by the command line, leaves it without its numbers
            if told.fails:
                raise told.fails
            told.calls.append((prompts, sampling_params, lora_request))
            return [
                SimpleNamespace(outputs=[output(f"{place}.{number}", number) for number in range(parameters.n)])
                for place, parameters in enumerate(sampling_params)
            ]

    def output(text: str, number: int) -> Any:
        reason = "length" if number == 1 else "stop"
        logprob = None if number == 2 else 1e-9 - number
        return SimpleNamespace(text=text, token_ids=[7, number], finish_reason=reason, cumulative_logprob=logprob)

    names = ("vllm", "vllm.lora", "vllm.lora.request", "vllm.sampling_params")
    module, lora, request, parameters = (ModuleType(name) for name in names)
    module.LLM, module.SamplingParams, module.lora, module.sampling_params = LLM, SimpleNamespace, lora, parameters
    parameters.StructuredOutputsParams = SimpleNamespace
    lora.request, request.LoRARequest = request, lambda name, number, path: (name, number, path)
    monkeypatch.setattr(engine, "_dtype", lambda options: "float32")
    for part in (module, lora, request, parameters):
        monkeypatch.setitem(sys.modules, part.__name__, part)
    engine._engine.cache_clear()
    yield told
    engine._engine.cache_clear()


def test_every_prompt_is_asked_as_tokens_with_a_seed_of_its_own(stand_in, tiny_tokenizer_factory):
    sampler = Vllm(model_path="m", stop=("\n\n",))
    assert isinstance(sampler, Sampler)
    sets = sampler.sample(PROMPTS, 3, DECODING, 5)
    ((prompts, parameters, lora),) = stand_in.calls
    tokenizer = tiny_tokenizer_factory()
    assert prompts == [{"prompt_token_ids": tokenizer(text)["input_ids"]} for text in ("1 + 1 =", "2 + 2 =")]
    assert lora is None
    assert [(p.n, p.temperature, p.top_p, p.top_k, p.max_tokens, p.stop) for p in parameters] == [
        (3, 0.7, 0.9, -1, 32, ["\n\n"])
    ] * 2
    assert parameters[0].seed != parameters[1].seed
    assert [one.texts for one in sets] == [("0.0", "0.1", "0.2"), ("1.0", "1.1", "1.2")]
    assert [c.finished for c in sets[0].completions] == [True, False, True]
    assert [c.logprob for c in sets[0].completions] == [0.0, 1e-9 - 1, None]  # rounding never makes it positive
    assert sets[0].completions[1].token_ids == (7, 1)
    assert [one.prompt for one in sets] == PROMPTS


def test_models_of_one_base_share_the_engine_and_adapters_are_told_apart(stand_in):
    for adapter in ("", "runs/a", "runs/b", "runs/a"):
        (one, _) = Vllm(model_path="m", adapter=adapter).sample(PROMPTS, 1, DECODING, 5)
        assert one.policy == (adapter or "m")
    assert len(stand_in.engines) == 1
    model, options = stand_in.engines[0]
    assert (model, options["enable_lora"], options["max_lora_rank"]) == ("m", True, 64)
    assert options["logprobs_mode"] == "processed_logprobs"
    base, *adapted = [call[2] for call in stand_in.calls]
    assert base is None
    assert [request[2] for request in adapted] == ["runs/a", "runs/b", "runs/a"]
    assert adapted[0] == adapted[2]
    assert adapted[0][1] != adapted[1][1]
    Vllm(model_path="m", max_lora_rank=0).sample(PROMPTS, 1, DECODING, 5)
    assert stand_in.engines[1][1]["enable_lora"] is False
    assert "max_lora_rank" not in stand_in.engines[1][1]


def test_what_goes_wrong_is_one_line(stand_in):
    with pytest.raises(InputError, match="set model_path"):
        Vllm().sample(PROMPTS, 1, DECODING, 5)
    with pytest.raises(EngineError, match="nowhere could not be started: OSError: nowhere is no model"):
        Vllm(model_path="nowhere").sample(PROMPTS, 1, DECODING, 5)
    stand_in.fails = RuntimeError("CUDA out of memory")
    with pytest.raises(EngineError, match="generation broke off: RuntimeError: CUDA out of memory"):
        Vllm(model_path="m").sample(PROMPTS, 1, DECODING, 5)


def test_a_prompt_that_leaves_no_room_is_named_before_anything_is_drawn(stand_in):
    with pytest.raises(InputError, match=r"prompt 'long' has 40 tokens; the engine's context holds 40"):
        Vllm(model_path="m").sample([*PROMPTS, Prompt("long", "1" * 40)], 1, DECODING, 5)
    assert not stand_in.calls


def test_temperature_zero_is_one_certain_completion(stand_in):
    greedy = Decoding(temperature=0.0, max_new_tokens=4)
    (found, _) = Vllm(model_path="m").sample(PROMPTS, 3, greedy, 5)
    assert [parameters.n for parameters in stand_in.calls[0][1]] == [1, 1]  # vLLM takes no more
    assert found.texts == ("0.0",) * 3
    assert {c.logprob for c in found.completions} == {0.0}


def test_a_schema_binds_the_completions_and_is_named(stand_in):
    (found, _) = Vllm(model_path="m", schema={"type": "object"}).sample(PROMPTS, 1, DECODING, 5)
    assert found.decoding.constraint.startswith("json_schema:")
    (bounded, _) = [parameters.structured_outputs for parameters in stand_in.calls[0][1]]
    assert (bounded.json, bounded.disable_any_whitespace) == ({"type": "object"}, True)
    Vllm(model_path=Path("m")).sample(PROMPTS, 1, DECODING, 5)
    assert len(stand_in.engines) == 1  # one engine for the model, whatever is asked of it


def test_auto_keeps_the_precision_of_the_weights(base_folder):
    assert engine._dtype(Vllm(model_path=str(base_folder))) == "float32"
    assert engine._dtype(Vllm(model_path="m", dtype="bfloat16")) == "bfloat16"


def test_without_vllm_the_advice_is_given():
    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vLLM is installed")
    engine._engine.cache_clear()
    with pytest.raises(MissingResourceError, match=r"pip install 'polychromic\[vllm\]'.*kind: transformers"):
        Vllm(model_path="m").sample(PROMPTS, 1, DECODING, 5)
