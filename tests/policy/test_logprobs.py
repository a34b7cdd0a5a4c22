"""Scoring: the exact log-probability, its exact gradient, and neither depends on how it is computed."""

import itertools

import pytest
import torch

from polychromic.core.nouns import Decoding
from polychromic.policy import logprobs
from polychromic.policy.generate import GenerationRequest, StopTokens, generate
from polychromic.policy.logprobs import completion_logprobs
from polychromic.policy.sampling_mode import scoring_mode

pytestmark = pytest.mark.quick

PROMPTS = [[3, 4, 5, 6, 7], [8, 9]]
COMPLETIONS = [[[10, 11, 1], [12], [13, 14, 15, 16, 1]], [[1], [17, 18, 19, 1], [20, 21]]]


@pytest.fixture(scope="module")
def model(tiny_model_factory):
    return tiny_model_factory(lora=True)


def reference(model, temperature):
    """Row by row, unpadded, full logits."""
    rows = []
    for prompt, group in zip(PROMPTS, COMPLETIONS, strict=True):
        row = []
        for tokens in group:
            logits = model(input_ids=torch.tensor([prompt + tokens]), use_cache=False).logits[0] / temperature
            chosen = logits.log_softmax(-1)[len(prompt) - 1 : -1].gather(1, torch.tensor(tokens)[:, None])
            row.append(chosen.sum())
        rows.append(torch.stack(row))
    return torch.stack(rows)


def gradients(model, values):
    model.zero_grad()
    (values * torch.arange(1.0, values.numel() + 1).view(values.shape)).sum().backward()
    return [p.grad.clone() for p in model.parameters() if p.requires_grad]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["shared prompt", "rows"])
def test_equals_separate_rows_in_value_and_gradient(tiny_model_factory, checkpointing, temperature):
    model = tiny_model_factory(lora=True)
    expected = reference(model, temperature)
    wanted = gradients(model, expected)
    if checkpointing:
        model.get_base_model().gradient_checkpointing_enable()
        model.enable_input_require_grads()
    model.train()
    with scoring_mode(model):
        found = completion_logprobs(model, PROMPTS, COMPLETIONS, temperature)
        got = gradients(model, found)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
    assert max(float(g.abs().max()) for g in wanted) > 0.1
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-3)


def test_the_head_in_chunks_gives_the_same(model, monkeypatch):
    whole = completion_logprobs(model, PROMPTS, COMPLETIONS, 1.0)
    wanted = gradients(model, whole)
    monkeypatch.setattr(logprobs, "CHUNK_LOGITS", 90)
    pieces = completion_logprobs(model, PROMPTS, COMPLETIONS, 1.0)
    torch.testing.assert_close(pieces, whole)
    for one, other in zip(gradients(model, pieces), wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_probabilities_of_all_completions_add_up_to_one(tiny_model_factory):
    small = tiny_model_factory(vocab=4, seed=5)
    every = [list(tokens) for tokens in itertools.product(range(4), repeat=3)]
    with torch.no_grad():
        total = completion_logprobs(small, [[2, 3]], [every], 1.3).exp().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-5)


def test_scores_are_those_the_samples_were_drawn_by(model):
    request = GenerationRequest(5, Decoding(temperature=0.8, max_new_tokens=10), StopTokens((1,), 0), 11)
    drawn = generate(model, PROMPTS, request)
    found = completion_logprobs(model, PROMPTS, [[one.token_ids for one in group] for group in drawn], 0.8)
    torch.testing.assert_close(
        found, torch.tensor([[one.logprob for one in group] for group in drawn]), atol=1e-4, rtol=0
    )


def test_prompt_and_padding_are_not_scored_and_nothing_is_zero(model):
    found = completion_logprobs(model, [[3], [3]], [[[], [4]], [[4], [4, 5, 6]]], 1.0)
    assert found.requires_grad
    assert found[0, 0].item() == 0.0
    torch.testing.assert_close(found[0, 1], found[1, 0])


def test_all_empty_completions_hang_on_the_graph(model):
    found = completion_logprobs(model, [[3, 4]], [[[], []]], 1.0)
    assert found.tolist() == [[0.0, 0.0]]
    found.sum().backward()


def test_a_soft_cap_on_the_logits_is_scored_as_it_is_sampled():
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=30,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        final_logit_softcapping=0.5,
        initializer_range=0.5,
    )
    capped = Gemma2ForCausalLM(config).eval()
    drawn = generate(capped, PROMPTS, GenerationRequest(3, Decoding(max_new_tokens=8), StopTokens((1,), 0), 1))
    found = completion_logprobs(capped, PROMPTS, [[one.token_ids for one in group] for group in drawn], 1.0)
    torch.testing.assert_close(
        found, torch.tensor([[one.logprob for one in group] for group in drawn]), atol=1e-4, rtol=0
    )
