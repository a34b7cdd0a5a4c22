"""A tiny model and an adapter as vLLM can load them, and one engine and one server of it for all tests."""

from __future__ import annotations

import pytest

from polychromic.core.nouns import Decoding, Message, Prompt

PROMPTS = [Prompt("text", "1+2=3\n4+5="), Prompt("chat", (Message("user", "6-7"),))]
DECODING = Decoding(temperature=0.8, max_new_tokens=12)


@pytest.fixture(scope="session")
def folders(tmp_path_factory, tiny_model_factory, tiny_tokenizer_factory, add_adapter):
    """A base and a run with an adapter of it; float32, heads of a width that vLLM has kernels for."""
    base, run = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("run")
    shape = {"hidden_size": 64, "intermediate_size": 96, "head_dim": 32, "num_key_value_heads": 2}
    model = tiny_model_factory(**shape)
    model.generation_config.top_k = 3  # what vLLM's server would take for every request that leaves it out
    model.generation_config.do_sample = True
    model.save_pretrained(base)
    tiny_tokenizer_factory().save_pretrained(base)
    adapted = add_adapter(model)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(run)
    return base, run


@pytest.fixture(scope="session")
def gap(folders):
    """``gap_of`` the tiny base and its adapter."""
    return gap_of(*folders)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory, add_adapter):
    """The embedded base's folder and a run with an adapter of it."""
    from polychromic.policy.load import load_base
    from polychromic.settings.schema import ModelSection
    from polychromic.stages.models import resolve

    section, run = resolve(ModelSection(name_or_path="embedded:countdown")), tmp_path_factory.mktemp("embedded")
    adapted = add_adapter(load_base(section).model)
    adapted.peft_config["default"].base_model_name_or_path = section.name_or_path
    adapted.save_pretrained(run)
    return section.name_or_path, run


def gap_of(base, run):
    """The largest distance, in nats a token, of completions' log-probabilities from our own scoring in float32."""
    import torch

    from polychromic.policy.load import attach_adapters, load_base
    from polychromic.policy.logprobs import completion_logprobs
    from polychromic.policy.render import prompt_ids
    from polychromic.settings.schema import ModelSection

    policy = attach_adapters(load_base(ModelSection(name_or_path=str(base))), {"run": run})

    def worst(sets, temperature, adapter=None):
        policy.use(adapter)
        prompts = [prompt_ids(policy.tokenizer, one.prompt) for one in sets]
        tokens = [[completion.token_ids for completion in one.completions] for one in sets]
        with torch.no_grad():
            scored = completion_logprobs(policy.model, prompts, tokens, temperature)
        return max(
            abs(float(value) - completion.logprob) / len(completion.token_ids)
            for row, one in zip(scored, sets, strict=True)
            for value, completion in zip(row, one.completions, strict=True)
        )

    return worst
