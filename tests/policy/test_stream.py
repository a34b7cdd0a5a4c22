"""One stream a prompt gives every sample the states of a row of its own, in each family, or is not used."""

import warnings

import pytest
import torch

from polychromic.policy import logprobs
from polychromic.policy.logprobs import causal_lm, completion_logprobs, fed_tokens
from polychromic.policy.sampling_mode import scoring_mode
from polychromic.policy.stream import Streams, lay_out, samples_a_stream

PROMPTS = [[3, 4, 5, 6, 7, 3, 9], [8, 9]]
COMPLETIONS = [[[10, 11, 12, 13, 14, 1], [12], [13, 14, 15, 16, 1]], [[1], [17, 18, 19, 20, 21, 22, 1], [20, 21]]]
SMALL = {
    "vocab_size": 30,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
FAMILIES = {
    "qwen3": ("Qwen3", {}),
    "llama": ("Llama", {}),
    "gemma2": ("Gemma2", {"sliding_window": 4, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}),
    "gemma3": ("Gemma3Text", {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}),
    "mistral": ("Mistral", {"sliding_window": 4}),
    "windowed qwen3": (
        "Qwen3",
        {"use_sliding_window": True, "sliding_window": 4, "layer_types": ["full_attention", "sliding_attention"]},
    ),
}


def build(name, **extra):
    import transformers

    prefix, options = FAMILIES.get(name, (name, {}))
    config = getattr(transformers, f"{prefix}Config")(**(SMALL | options | extra))
    kind = getattr(transformers, f"{prefix.removesuffix('Text')}ForCausalLM")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(config).eval()


def reference(model, prompts=PROMPTS, completions=COMPLETIONS):
    """Sample by sample, unpadded, full logits."""
    rows = []
    for prompt, group in zip(prompts, completions, strict=True):
        for tokens in group:
            logits = model(input_ids=torch.tensor([prompt + tokens]), use_cache=False).logits[0].float() / 0.8
            rows.append(logits.log_softmax(-1)[len(prompt) - 1 : -1].gather(1, torch.tensor(tokens)[:, None]).sum())
    return torch.stack(rows).view(len(prompts), -1)


def gradient(model, values):
    model.zero_grad()
    (values * torch.arange(1.0, values.numel() + 1).view(values.shape)).sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "checkpointed"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_stream_is_exact_in_value_and_gradient(family, checkpointing, add_adapter):
    model = add_adapter(build(family))
    expected = reference(model)
    wanted = gradient(model, expected)
    if checkpointing:
        model.get_base_model().gradient_checkpointing_enable()
        model.enable_input_require_grads()
    model.train()
    with scoring_mode(model):
        found = completion_logprobs(model, PROMPTS, COMPLETIONS, 0.8)
        got = gradient(model, found)
    assert logprobs._rows_only[causal_lm(model)] is False
    assert float((found - expected).detach().abs().max()) < 1e-4
    assert float((got - wanted).norm() / wanted.norm()) < 2e-6


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("attention", ["eager", "sdpa", pytest.param("flex_attention", marks=pytest.mark.slow)])
def test_each_form_of_the_mask_gives_the_same(attention, tiny_model_factory):
    expected = reference(tiny_model_factory())
    model = tiny_model_factory()
    model.set_attn_implementation(attention)
    with torch.no_grad():
        found = completion_logprobs(model, PROMPTS, COMPLETIONS, 0.8)
    assert logprobs._rows_only[model] is False
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "extra", "reason"),
    [
        ("RecurrentGemma", {"block_types": ["recurrent", "attention"]}, "differs by|kind"),
        ("Bloom", {}, "fails under a mask|differs by"),
        (
            "Qwen3Next",
            {"layer_types": ["linear_attention", "full_attention"], "num_experts": 0, "mlp_only_layers": [0, 1]},
            "layers of the kind linear_attention",
        ),
    ],
)
def test_a_model_that_keeps_a_state_is_scored_in_rows_and_that_is_said_once(name, extra, reason):
    model = build(name, **extra)
    with torch.no_grad():
        with pytest.warns(UserWarning, match=f"in a row each, .*({reason})"):
            found = completion_logprobs(model, PROMPTS, COMPLETIONS, 0.8)
        torch.testing.assert_close(found, reference(model), atol=1e-3, rtol=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            completion_logprobs(model, PROMPTS, COMPLETIONS, 0.8)


def test_flash_attention_is_not_given_a_mask(tiny_model_factory):
    model = tiny_model_factory()
    model.config._attn_implementation_internal = "flash_attention_2"
    assert "takes no mask" in logprobs._unmaskable(model)


def test_samples_of_one_token_tell_nothing_about_a_model(tiny_model_factory):
    model = tiny_model_factory()
    completion_logprobs(model, PROMPTS, [[[1], [5]], [[6], [1]]], 1.0)
    assert model not in logprobs._rows_only
    completion_logprobs(model, PROMPTS, COMPLETIONS, 1.0)
    assert logprobs._rows_only[model] is False


def test_fed_tokens_are_those_of_the_streams(tiny_model_factory):
    model = tiny_model_factory()
    rows = sum(len(p) + len(c) - 1 for p, g in zip(PROMPTS, COMPLETIONS, strict=True) for c in g)
    assert fed_tokens(model, PROMPTS, COMPLETIONS) == rows
    completion_logprobs(model, PROMPTS, COMPLETIONS, 1.0)
    assert fed_tokens(model, PROMPTS, COMPLETIONS) == rows - 2 * sum(map(len, PROMPTS))


def test_a_stream_is_split_where_samples_would_mostly_be_compared_with_each_other():
    many = [[5] * 128] * 64
    assert samples_a_stream([3] * 256, many[:8], 4096) == 8
    assert samples_a_stream([3] * 4, many, 64) < 8
    assert samples_a_stream([3] * 256, many, 4096) < 64


def test_a_split_stream_scores_the_same(tiny_model_factory, monkeypatch):
    model = tiny_model_factory()
    whole = completion_logprobs(model, PROMPTS, COMPLETIONS, 0.8)
    monkeypatch.setattr(logprobs, "samples_a_stream", lambda prompt, group, hidden: 2)
    torch.testing.assert_close(completion_logprobs(model, PROMPTS, COMPLETIONS, 0.8), whole, atol=1e-5, rtol=0)


def test_rows_hold_one_sample_and_need_no_mask(tiny_model_factory):
    rows = lay_out(PROMPTS, COMPLETIONS, [1, 1], "cpu")
    assert rows.ids.shape == (6, 12)
    assert set(rows.inputs(tiny_model_factory())) == {"input_ids", "use_cache"}


def test_a_model_that_gives_other_numbers_under_a_mask_is_scored_in_rows(tiny_model_factory, monkeypatch):
    model = tiny_model_factory()
    monkeypatch.setattr(Streams, "_allowed", lambda self, window: torch.ones(self.ids.shape + self.ids.shape[1:]) > 0)
    with pytest.warns(UserWarning, match=r"in a row each, .* differs by [0-9.]+ nats a token"):
        found = completion_logprobs(model, PROMPTS, COMPLETIONS, 0.8)
    torch.testing.assert_close(found, reference(model), atol=1e-4, rtol=0)
