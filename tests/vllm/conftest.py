"""A tiny model and an adapter as vLLM can load them, and one engine and one server of it for all tests."""

from __future__ import annotations

import pytest


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
    """The largest distance, in nats a token, of completions' log-probabilities from our own scoring in float32."""
    import torch

    from polychromic.policy.load import attach_adapters, load_base
    from polychromic.policy.logprobs import completion_logprobs
    from polychromic.policy.render import prompt_ids
    from polychromic.settings.schema import ModelSection

    base, run = folders
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
