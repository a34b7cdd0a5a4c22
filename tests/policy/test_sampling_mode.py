"""A training model is put into the state it will generate in, and put back."""

import pytest
import torch

from polychromic.core.nouns import Decoding
from polychromic.policy.generate import GenerationRequest, StopTokens, generate
from polychromic.policy.sampling_mode import sampling_mode, scoring_mode

REQUEST = GenerationRequest(4, Decoding(max_new_tokens=12), StopTokens((1,), 0), 3)
PROMPTS = [[3, 4, 5, 6], [7, 8]]


def state(model):
    return [
        (name, module.training, getattr(module, "gradient_checkpointing", None), getattr(module, "p", None))
        for name, module in model.named_modules()
    ] + [model.config.use_cache]


def fail_within(model):
    with sampling_mode(model):
        assert not any(module.training for module in model.modules())
        assert not any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
        assert model.config.use_cache
        assert not torch.is_grad_enabled()
        raise RuntimeError("on purpose")


@pytest.fixture
def checkpointed(tiny_model_factory):
    """In train mode, with dropout and gradient checkpointing, as TRL leaves it."""
    model = tiny_model_factory(lora=True, dropout=0.5)
    model.get_base_model().gradient_checkpointing_enable()
    model.train()
    model.config.use_cache = False
    return model


def test_draws_in_the_middle_of_training_are_those_of_the_finished_model(checkpointed, tiny_model_factory):
    """Without this mode a checkpointed model drops its cache and draws from another distribution, silently."""
    finished = tiny_model_factory(lora=True)
    assert generate(checkpointed, PROMPTS, REQUEST) == generate(finished, PROMPTS, REQUEST)


def test_everything_is_put_back(checkpointed):
    before = state(checkpointed)
    generate(checkpointed, PROMPTS, REQUEST)
    assert state(checkpointed) == before


def test_everything_is_put_back_after_an_exception(checkpointed):
    before = state(checkpointed)
    with pytest.raises(RuntimeError, match="on purpose"):
        fail_within(checkpointed)
    assert state(checkpointed) == before
    assert torch.is_grad_enabled()


def test_modules_that_were_in_eval_mode_stay_there(checkpointed):
    checkpointed.get_base_model().lm_head.eval()
    before = state(checkpointed)
    with sampling_mode(checkpointed):
        pass
    assert state(checkpointed) == before


def test_scoring_switches_dropout_off_and_back_on(checkpointed):
    ids = torch.tensor([[3, 4, 5, 6]])
    before, random = state(checkpointed), torch.random.get_rng_state()
    with scoring_mode(checkpointed):
        first = checkpointed(input_ids=ids).logits
        assert torch.equal(first, checkpointed(input_ids=ids).logits)
        assert first.requires_grad
        first.sum().backward()
    assert torch.equal(torch.random.get_rng_state(), random)
    assert state(checkpointed) == before
