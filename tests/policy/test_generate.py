"""Sampling: the distribution is the policy's own, exactly, and nothing else moves."""

import itertools
import math
from collections import Counter

import pytest
import torch
from scipy import stats

from polychromic.core.errors import InputError, NumericalError
from polychromic.core.nouns import Decoding
from polychromic.policy.generate import GenerationRequest, StopTokens, generate, truncated

pytestmark = pytest.mark.quick

PROMPTS = [[3, 4, 5, 6, 7], [8, 9], [10, 11, 12]]
ENDS = StopTokens((1,), 0)


@pytest.fixture(scope="module")
def model(tiny_model_factory):
    return tiny_model_factory(lora=True)


@pytest.fixture(scope="module")
def small(tiny_model_factory):
    """Four tokens, so that everything can be enumerated."""
    return tiny_model_factory(vocab=4, seed=3)


def request(n=4, seed=7, ends=ENDS, **decoding):
    return GenerationRequest(n, Decoding(**({"max_new_tokens": 12} | decoding)), ends, seed)


def exact_logprob(model, prompt, tokens, temperature=1.0):
    """An independent way: one unpadded row without a cache, full logits."""
    ids = torch.tensor([list(prompt) + list(tokens)])
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits[0].double() / temperature
    rows = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    return float(sum(row[token] for row, token in zip(rows, tokens, strict=True)))


def test_greedy_equals_transformers_generate(model):
    width = max(map(len, PROMPTS))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in PROMPTS])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in PROMPTS])
    theirs = model.generate(
        input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=12, eos_token_id=[1], pad_token_id=0
    )[:, width:].tolist()
    ours = generate(model, PROMPTS, request(1, temperature=0.0))
    for (one,), row in zip(ours, theirs, strict=True):
        assert list(one.token_ids) == row[: len(one.token_ids)]
        assert set(row[len(one.token_ids) :]) <= {0}


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
def test_the_log_probability_is_that_of_the_distribution_drawn_from(model, temperature):
    for prompt, draws in zip(PROMPTS, generate(model, PROMPTS, request(temperature=temperature)), strict=True):
        for one in draws:
            assert one.logprob == pytest.approx(exact_logprob(model, prompt, one.token_ids, temperature), abs=1e-4)


def test_frequencies_are_the_exact_sequence_probabilities(small):
    prompt, n, longest = [2, 3, 2], 4000, 3
    found = Counter(one.token_ids for one in generate(small, [prompt], request(n, max_new_tokens=longest))[0])
    every = [
        tokens
        for length in range(1, longest + 1)
        for tokens in itertools.product(range(4), repeat=length)
        if 1 not in tokens[:-1] and (tokens[-1] == 1 or length == longest)
    ]
    expected = [n * math.exp(exact_logprob(small, prompt, tokens)) for tokens in every]
    assert sum(expected) == pytest.approx(n, rel=1e-4)
    assert set(found) <= set(every)
    seen = [found[tokens] for tokens in every]
    rare = [place for place, value in enumerate(expected) if value < 5]
    kept = [place for place in range(len(every)) if place not in rare]
    observed = [seen[place] for place in kept] + [sum(seen[place] for place in rare)] * bool(rare)
    wanted = [expected[place] for place in kept] + [sum(expected[place] for place in rare)] * bool(rare)
    total = sum(observed) / sum(wanted)
    assert stats.chisquare(observed, [value * total for value in wanted]).pvalue > 1e-4


def test_samples_of_a_prompt_are_independent(small):
    """Neighbouring rows of one set agree no more often than chance, and sets of equal prompts differ."""
    first, second = generate(small, [[2, 3], [2, 3]], request(2000, max_new_tokens=1))
    share = Counter(one.token_ids for one in first)
    chance = sum((count / 2000) ** 2 for count in share.values())
    for left, right in ((first[:-1], first[1:]), (first, second)):
        same = sum(a.token_ids == b.token_ids for a, b in zip(left, right, strict=True)) / len(left)
        assert abs(same - chance) < 5 * math.sqrt(chance * (1 - chance) / len(left))


def test_padding_and_company_do_not_change_a_prompt(model):
    together = generate(model, PROMPTS, request(1, temperature=0.0))
    alone = [generate(model, [prompt], request(1, temperature=0.0))[0] for prompt in PROMPTS]
    assert [group[0].token_ids for group in together] == [group[0].token_ids for group in alone]


def test_the_seed_decides_and_global_randomness_is_untouched(model):
    before = torch.random.get_rng_state()
    first = generate(model, PROMPTS, request())
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(17)
    assert generate(model, PROMPTS, request()) == first
    assert generate(model, PROMPTS, request(seed=8)) != first


def test_ends_after_the_first_of_several_end_tokens_and_keeps_it(model):
    ends = StopTokens((1, 5, 9), 1)  # the padding token is an end token, too
    seen = [one for group in generate(model, PROMPTS, request(40, ends=ends)) for one in group]
    assert {one.token_ids[-1] for one in seen if one.finished} == {1, 5, 9}
    for one in seen:
        assert not set(one.token_ids[:-1]) & {1, 5, 9}
        assert one.finished == (one.token_ids[-1] in (1, 5, 9))
        assert one.finished or len(one.token_ids) == 12


def test_what_is_cut_off_is_flagged(model):
    seen = [one for group in generate(model, PROMPTS, request(20, max_new_tokens=1)) for one in group]
    assert {len(one.token_ids) for one in seen} == {1}
    assert {one.finished for one in seen} == {True, False} or not any(one.finished for one in seen)


def test_the_models_own_generation_settings_have_no_say(model):
    plain = generate(model, PROMPTS, request(30))
    config = model.generation_config
    before = (config.top_k, config.top_p, config.temperature)
    try:
        config.top_k, config.top_p, config.temperature = 1, 0.1, 0.01
        assert generate(model, PROMPTS, request(30)) == plain
    finally:
        config.top_k, config.top_p, config.temperature = before


def test_truncation_for_evaluation_keeps_what_it_says():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    assert torch.isfinite(truncated(logits, Decoding(top_k=2))).tolist() == [[True, True, False, False]]
    assert torch.isfinite(truncated(logits, Decoding(top_p=0.75))).tolist() == [[True, True, False, False]]
    assert torch.isfinite(truncated(logits, Decoding(top_p=0.01))).tolist() == [[True, False, False, False]]
    assert torch.equal(truncated(logits, Decoding()), logits)


def test_no_prompts_no_draws(model):
    assert generate(model, [], request()) == []


def test_refuses_prompts_it_cannot_answer(model):
    with pytest.raises(InputError, match="prompt 1 of the batch has no tokens"):
        generate(model, [[3], []], request())
    with pytest.raises(InputError, match="has 96 tokens; the model's context holds 96"):
        generate(model, [[3] * 96], request())


def test_stops_at_the_models_context(model):
    (only,) = generate(model, [[3] * 90], request(8, max_new_tokens=50))
    assert all(len(one.token_ids) <= 7 for one in only)
    assert any(not one.finished for one in only)


def test_logits_that_are_no_numbers_are_refused(tiny_model_factory):
    broken = tiny_model_factory()
    with torch.no_grad():
        broken.model.norm.weight[0] = torch.nan
    with pytest.raises(NumericalError):
        generate(broken, PROMPTS, request())
