"""The engine in this process: right shapes, any batching, less memory."""

import pytest
import torch

from polychromic.core.nouns import Decoding, Prompt
from polychromic.core.protocols import Sampler
from polychromic.samplers import transformers as engine
from polychromic.samplers.transformers import Transformers

PROMPTS = [Prompt(f"p{place}", "ab"[: 1 + place % 2] + "=" * place) for place in range(1, 6)]
DECODING = Decoding(max_new_tokens=5)


@pytest.fixture(scope="module")
def sampler(tiny_model_factory, tiny_tokenizer_factory):
    return Transformers(tiny_model_factory(), tiny_tokenizer_factory(), batch_size=8)


def test_sets_come_in_the_prompts_order(sampler):
    assert isinstance(sampler, Sampler)
    sets = sampler.sample(PROMPTS, 3, DECODING, 1)
    assert [one.prompt for one in sets] == PROMPTS
    assert {len(one.completions) for one in sets} == {3}
    assert sampler.sample(PROMPTS, 3, DECODING, 1) == sets
    assert sampler.sample(PROMPTS, 3, DECODING, 2) != sets


def test_more_samples_than_fit_a_batch(sampler):
    (only,) = sampler.sample(PROMPTS[:1], 20, DECODING, 1)
    assert len(only.completions) == 20
    assert len(set(only.texts)) > 3


def test_greedy_does_not_depend_on_batching(sampler, tiny_model_factory, tiny_tokenizer_factory):
    one_by_one = Transformers(tiny_model_factory(), tiny_tokenizer_factory(), batch_size=1)
    greedy = Decoding(temperature=0.0, max_new_tokens=5)
    assert [s.texts for s in sampler.sample(PROMPTS, 1, greedy, 1)] == [
        s.texts for s in one_by_one.sample(PROMPTS, 1, greedy, 1)
    ]


def test_out_of_memory_halves_the_batch(sampler, monkeypatch):
    real, sizes = engine.generate, []

    def tight(model, prompts, request):
        sizes.append(len(prompts))
        if len(prompts) > 1:
            raise torch.OutOfMemoryError("on purpose")
        return real(model, prompts, request)

    monkeypatch.setattr(engine, "generate", tight)
    sets = sampler.sample(PROMPTS[:4], 2, DECODING, 1)
    assert [len(one.completions) for one in sets] == [2] * 4
    assert sizes == [4, 2, 1, 1, 1, 1]  # two at a time were too much once, and are not tried again
    monkeypatch.setattr(engine, "generate", lambda *args: (_ for _ in ()).throw(torch.OutOfMemoryError("always")))
    with pytest.raises(torch.OutOfMemoryError):
        sampler.sample(PROMPTS[:1], 2, DECODING, 1)
