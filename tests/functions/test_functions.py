"""The plain functions are the house's own formulas, need no torch, and serve TRL's GRPO and RLOO."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

import polychromic
from polychromic.core.errors import InputError, UnsoundObjectiveError


def test_credit_of_labels_is_what_an_enumeration_of_sets_gives():
    labels, n, k = ["a", "a", "b", None, "c"], 5, 3
    wanted = []
    for i in range(n):
        gains = []
        for others in itertools.combinations([j for j in range(n) if j != i], k - 1):
            held = {labels[j] for j in others} - {None}
            gains.append(labels[i] is not None and labels[i] not in held)
        wanted.append(np.mean(gains))
    np.testing.assert_allclose(polychromic.credit(labels, k=k), wanted, atol=1e-12)
    assert polychromic.credit(labels).tolist() == [0.5, 0.5, 1.0, 0.0, 1.0]
    assert polychromic.credit(labels, [1, 0, 1, 0, 0], k=1).tolist() == [1, 0, 1, 0, 0]


def test_credit_of_distances_is_twice_the_mean_distance_to_the_others():
    points = np.array([0.0, 0.1, 0.7, 1.0])
    distances = np.abs(points[:, None] - points)
    found = polychromic.credit(distances=distances, k=4)
    np.testing.assert_allclose(found, 2 * distances.sum(axis=1) / 3)
    rest = polychromic.credit(distances=distances, k=4, baseline="leave_one_out")
    without = [2 * np.delete(np.delete(distances, i, 0), i, 1).sum() / 6 for i in range(4)]
    np.testing.assert_allclose(found - rest, without)


def test_wrong_calls_are_one_line():
    with pytest.raises(InputError, match="labels or distances"):
        polychromic.credit()
    with pytest.raises(InputError, match="shape"):
        polychromic.credit(distances=[0.0, 1.0])
    with pytest.raises(UnsoundObjectiveError, match="between 1 and"):
        polychromic.credit(["a", "b"], k=3)
    with pytest.raises(InputError, match="groups of 2"):
        polychromic.CreditReward(lambda prompt, completion: None, 2)(["p", "q"], ["a", "b"])
    with pytest.raises(AttributeError, match="no attribute"):
        polychromic.nothing  # noqa: B018


def test_the_measures():
    assert polychromic.pass_at_k([True, False, False, False], 2) == pytest.approx(0.5)
    assert math.isnan(polychromic.pass_at_k([True], 2))
    assert polychromic.distinct_correct_at_k(["a", "a", None, "b"], 2) == pytest.approx(
        np.mean([len({x, y} - {None}) for x, y in itertools.combinations(["a", "a", None, "b"], 2)])
    )
    assert polychromic.distinct_n(["a b", "a b"], 2) == 0.5
    assert polychromic.self_bleu(["a b c d e", "a b c d e"]) == pytest.approx(1.0)
    assert polychromic.semantic_diversity([[2.0, 0.0], [0.0, 3.0]]) == pytest.approx(1.0)
    assert polychromic.vendi_score(np.eye(3)) == pytest.approx(3.0)


@pytest.mark.long
def test_they_need_no_torch():
    code = (
        "import sys, polychromic as p\n"
        "print(p.credit(['a', 'b', 'a']).tolist(), p.self_bleu(['a b', 'b c']), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[0.5, 1.0, 0.5]")
    assert done.stdout.endswith("False\n")


ANSWERS = ("a", "a", "b", "c", None)


def expected_gradient(advantage, n=4):
    """The expected policy gradient on five outcomes, all sets enumerated, under ``advantage(credits)``."""
    theta = torch.tensor([0.8, -0.1, 0.3, -0.6, 0.4], dtype=torch.float64, requires_grad=True)
    logs = torch.log_softmax(theta, 0)
    total = torch.zeros((), dtype=torch.float64)
    for outcomes in itertools.product(range(5), repeat=n):
        chance = logs[list(outcomes)].sum().exp().detach()
        weights = torch.tensor(advantage(polychromic.credit([ANSWERS[i] for i in outcomes])) / n)
        total = total + chance * (weights * logs[list(outcomes)]).sum()
    (gradient,) = torch.autograd.grad(total, theta)
    return gradient


def test_what_a_group_mean_does_to_the_gradient():
    exact = expected_gradient(lambda credits_: credits_)

    def size_and_cosine(advantage):
        found = expected_gradient(advantage)
        return float(found.norm() / exact.norm()), float(found @ exact / found.norm() / exact.norm())

    rloo = size_and_cosine(lambda s: s - (s.sum() - s) / 3)
    grpo = size_and_cosine(lambda s: s - s.mean())
    scaled = size_and_cosine(lambda s: (s - s.mean()) / (s.std() + 1e-4))
    assert grpo[0] == pytest.approx(0.75 * rloo[0])
    assert grpo[1] == pytest.approx(rloo[1])
    assert 0.9 < rloo[1] < 0.9999  # bent, not turned round
    assert rloo[0] != pytest.approx(1.0, abs=0.02)
    assert scaled[1] < rloo[1]


@pytest.mark.long
def test_trl_trains_with_it(tmp_path):
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    from polychromic.core.nouns import Completion
    from polychromic.tasks.countdown import Countdown, base_path

    task = Countdown(train_size=8)
    asked = {prompt.content: prompt for prompt in task.prompts("train")}
    seen = []

    def label(prompt, completion, target, **columns):
        assert target == asked[prompt].payload["target"]
        seen.append(task.verify(asked[prompt], Completion(completion)).answer)
        return seen[-1]

    reward = polychromic.CreditReward(label, num_generations=4)
    rows = [{"prompt": text, "target": prompt.payload["target"]} for text, prompt in asked.items()]
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(base_path(), dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(base_path()),
        reward_funcs=reward,
        train_dataset=Dataset.from_list(rows),
        peft_config=LoraConfig(target_modules="all-linear"),
        args=GRPOConfig(
            str(tmp_path),
            max_steps=2,
            per_device_train_batch_size=8,
            num_generations=4,
            max_completion_length=8,
            scale_rewards="none",
            loss_type="dr_grpo",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to=[],
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
        ),
    )
    trainer.train()
    logged = [row for row in trainer.state.log_history if "rewards/credit_shapley/mean" in row]
    assert len(logged) == 2
    right = [answer for answer in seen if answer is not None]
    assert right
    total = sum(len({a for a in seen[start : start + 4] if a is not None}) for start in range(0, len(seen), 4))
    mean = np.mean([row["rewards/credit_shapley/mean"] for row in logged])
    assert mean == pytest.approx(total / len(seen), abs=1e-6)
