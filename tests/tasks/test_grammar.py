import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.efficacy.exact import answer_logprobs, exact_figures
from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Prompt, Status
from polychromic.core.protocols import Task
from polychromic.tasks.grammar import (
    CLASSES,
    Grammar,
    answers_of,
    build_base,
    prompts_of,
)

POOLS = ("pretraining", "train", "validation", "test")


@pytest.fixture(scope="module")
def base():
    return build_base(steps=120)


def test_answers_are_the_product_of_the_classes():
    assert answers_of("AED:") == ("alj", "alk", "amj", "amk", "anj", "ank", "blj", "blk", "bmj", "bmk", "bnj", "bnk")
    for prompt in prompts_of("test"):
        answers = Grammar().answers(prompt)
        assert 12 <= len(answers) <= 24
        assert len(set(answers)) == len(answers) == math.prod(len(CLASSES[name]) for name in prompt.payload["classes"])


def test_pools_are_disjoint_and_splits_come_from_their_own():
    for a, b in itertools.combinations([{prompt.id for prompt in prompts_of(pool)} for pool in POOLS], 2):
        assert a
        assert not a & b
    for split in ("train", "validation", "test"):
        for seed in (0, 1):
            assert set(Grammar(seed=seed).prompts(split)) <= set(prompts_of(split))
    assert Grammar(seed=0).prompts("test") != Grammar(seed=1).prompts("test")


def test_demonstrations_are_right_and_skewed():
    task = Grammar(demonstrations=400)
    ranks = []
    for example in task.examples("validation"):
        assert task.verify(example.prompt, Completion(example.demonstration)).answer == example.demonstration
        ranks.append(task.answers(example.prompt).index(example.demonstration))
    first, second = np.mean(np.array(ranks) == 0), np.mean(np.array(ranks) == 1)
    assert first / second == pytest.approx(2**1.5, rel=0.1)
    assert np.mean([task.shares(prompt)[0] for prompt in task.prompts("validation")]) == pytest.approx(first, abs=0.02)


@given(st.text(), st.booleans())
def test_only_the_answers_pass(text, finished):
    task, prompt = Grammar(), Prompt("p", "AED:", {"classes": ["A", "E", "D"]})
    verdict = task.verify(prompt, Completion(text, finished=finished))
    assert verdict.passed == (finished and text in answers_of("AED:"))


def test_right_wrong_and_foreign():
    task, prompt = Grammar(), Prompt("p", "AED:", {"classes": ["A", "E", "D"]})
    assert task.verify(prompt, Completion("bnk")).answer == "bnk"
    assert task.verify(prompt, Completion("bnk", finished=False)).status is Status.FAILED
    for text in ("", "bn", "bnkk", "nbk", "bnk ", "BNK"):
        assert task.verify(prompt, Completion(text)).status is Status.FAILED
    assert task.verify(Prompt("p", "AED:"), Completion("bnk")).status is Status.ABSENT
    assert isinstance(task, Task)


def test_wrong_splits_and_sizes_are_refused():
    with pytest.raises(InputError, match="no split 'dev'"):
        Grammar().prompts("dev")
    with pytest.raises(InputError, match="test_size is 9999; allowed: 1 to"):
        Grammar(test_size=9999).prompts("test")


def test_the_figures_of_a_hand_computed_policy():
    found = exact_figures(np.log([0.5, 0.25]), [0.75, 0.25], k=2)
    assert found.validity == pytest.approx(0.75)
    assert found.coverage == pytest.approx((0.75 + 0.4375) / 2)
    assert found.collision == pytest.approx((4 + 1) / 9)
    assert found.divergence == pytest.approx(0.75 * math.log(1.5))


@given(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=24), st.floats(0.1, 1.0), st.integers(1, 64))
def test_the_figures_keep_their_bounds(weights, mass, k):
    shares = np.array(weights) / np.sum(weights)
    found = exact_figures(np.log(shares * mass), shares, k)
    assert found.validity == pytest.approx(mass)
    assert found.divergence == pytest.approx(-math.log(mass), abs=1e-9)
    assert 1 / len(weights) - 1e-9 <= found.collision <= 1 + 1e-9
    assert 0 <= found.coverage <= min(1.0, k / len(weights)) + 1e-9
    assert found.coverage <= exact_figures(np.log(shares * mass), shares, k + 1).coverage + 1e-12


def test_a_policy_without_a_right_answer_has_no_collision():
    found = exact_figures([-math.inf, -math.inf], [0.5, 0.5], k=4)
    assert (found.validity, found.coverage, found.divergence) == (0.0, 0.0, math.inf)
    assert math.isnan(found.collision)


@pytest.mark.parametrize("logprobs", [[0.0, 0.0], [[0.0]], [0.0]])
def test_impossible_probabilities_are_refused(logprobs):
    with pytest.raises(InputError):
        exact_figures(logprobs, [0.5, 0.5], 1)


@pytest.mark.long
def test_the_base_writes_all_answers_and_the_sums_are_those_of_plain_forwards(base):
    model, tokenizer = base
    task = Grammar(test_size=20)
    figures = []
    for prompt in task.prompts("test"):
        answers = task.answers(prompt)
        found = answer_logprobs(model, tokenizer, prompt, answers)
        figures.append(exact_figures(found, task.shares(prompt), k=16))
    ids = tokenizer(prompt.content + answers[3])["input_ids"] + [tokenizer.eos_token_id]
    with torch.no_grad():
        chances = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].double(), -1)
    by_hand = sum(
        float(chances[place - 1, ids[place]]) for place in range(len(tokenizer(prompt.content)["input_ids"]), len(ids))
    )
    assert found[3] == pytest.approx(by_hand, abs=1e-4)
    assert np.mean([one.validity for one in figures]) > 0.5
    assert np.mean([one.collision for one in figures]) < 0.2
