"""The copy that is sampled from: the same draws, always of today's weights, and the model is left alone."""

import gc
import logging
from types import SimpleNamespace
from weakref import ref

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from polychromic.core.nouns import Decoding
from polychromic.policy import merged as module
from polychromic.policy.generate import GenerationRequest, StopTokens, generate
from polychromic.policy.merged import merged

PROMPTS = [[3, 4, 5, 6, 7], [8, 9], [10, 11, 12]]
SHAPE = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}


@pytest.fixture
def model(tiny_model_factory):
    """As TRL leaves it: in train mode, with dropout and checkpointing."""
    found = tiny_model_factory(lora=True, dropout=0.5)
    found.get_base_model().gradient_checkpointing_enable()
    found.train()
    return found


def drawn(model, seed=7):
    request = GenerationRequest(6, Decoding(max_new_tokens=20), StopTokens((1,), 0), seed)
    return [one for group in generate(model, PROMPTS, request) for one in group]


def assert_same_draws(model):
    copy = merged(model)
    assert copy is not model
    for seed in range(3):
        ours, theirs = drawn(copy, seed), drawn(model, seed)
        assert [one.token_ids for one in ours] == [one.token_ids for one in theirs]
        for one, other in zip(ours, theirs, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_draws_as_the_model_does_before_and_after_a_step(model):
    assert_same_draws(model)
    before = [one.token_ids for one in drawn(merged(model))]
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_A" in name:
                weights.mul_(-1.5)
    assert_same_draws(model)
    assert [one.token_ids for one in drawn(merged(model))] != before


def test_the_model_and_the_global_generator_are_left_alone(model):
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    dice, modes = torch.random.get_rng_state(), [part.training for part in model.modules()]
    copy = merged(model)
    assert torch.equal(torch.random.get_rng_state(), dice)
    assert [part.training for part in model.modules()] == modes
    assert not any(part.training for part in copy.modules())
    assert model.state_dict().keys() == kept.keys()
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    assert copy.model.embed_tokens.weight.data_ptr() == model.get_base_model().model.embed_tokens.weight.data_ptr()


@pytest.mark.parametrize(
    "make",
    [
        lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
        lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=8)),
        lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SHAPE, sliding_window=8)),
    ],
    ids=["llama", "mistral", "gemma"],
)
def test_draws_as_other_models_do(make, add_adapter):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert_same_draws(add_adapter(make().eval()))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"use_dora": True}, "not LoRA in its plain form"),
        ({"modules_to_save": ["lm_head"]}, "not LoRA alone"),
        (None, "no adapter"),
    ],
)
def test_says_why_there_is_none(tiny_model_factory, caplog, options, reason):
    model = tiny_model_factory(tie_word_embeddings=False)
    if options is not None:
        model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], **options))
    with caplog.at_level(logging.INFO, logger="polychromic"):
        assert merged(model) is model
        assert merged(model) is model
    assert [reason in record.message for record in caplog.records] == [True]


def test_says_that_memory_is_short_or_that_the_copy_differs(tiny_model_factory, caplog, monkeypatch):
    short = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=1000))
    with caplog.at_level(logging.INFO, logger="polychromic"):
        with monkeypatch.context() as patch:
            patch.setattr(module, "psutil", short)
            model = tiny_model_factory(lora=True)
            assert merged(model) is model
        monkeypatch.setattr(module._Copy, "refreshed", lambda self: wrong)
        wrong = tiny_model_factory(seed=9)
        model = tiny_model_factory(lora=True)
        assert merged(model) is model
    assert "GiB free" in caplog.messages[0]
    assert "nats a token" in caplog.messages[1]


def test_goes_with_its_model(tiny_model_factory):
    model = tiny_model_factory(lora=True)
    copy = ref(merged(model))
    del model
    gc.collect()
    assert copy() is None
