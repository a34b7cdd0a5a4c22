"""The credit as verl's and prime-rl's advantage, by the signatures that these packages document."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from polychromic import VerlAdvantage, answer_code, credit, prime_rl_advantage
from polychromic.core.errors import InputError

LABELS = ["a", "a", "b", None, "c", "c"]
PROMPTS = np.array(["p", "q", "p", "p", "q", "p"], dtype=object)  # not side by side, as verl balances batches


def batch(labels=LABELS):
    """Rewards on the last token of each response, as verl's reward managers put them, and the responses' masks."""
    mask = torch.tensor([[1, 1, 1, 0]] * len(labels))
    rewards = torch.zeros(len(labels), 4)
    rewards[:, 2] = torch.tensor([answer_code(label) for label in labels])
    return rewards, mask


def test_a_code_names_an_answer_exactly_in_32_bits():
    codes = [answer_code(i) for i in range(2000)]
    assert len(set(codes)) == 2000
    assert all(code == int(code) and 1 <= code < 2**24 for code in codes)
    assert torch.tensor(codes, dtype=torch.float32).tolist() == codes
    assert answer_code(None) == 0.0
    assert answer_code("a") == answer_code("a")


@pytest.mark.parametrize("baseline", ["nothing", "leave_one_out"])
def test_verl_gets_each_groups_credit_on_every_token(baseline):
    rewards, mask = batch()
    advantages, returns = VerlAdvantage(baseline=baseline)(
        token_level_rewards=rewards, response_mask=mask, index=PROMPTS, config=None
    )
    wanted = np.zeros(6)
    for name in ("p", "q"):
        places = np.flatnonzero(name == PROMPTS)
        wanted[places] = credit([LABELS[place] for place in places], baseline=baseline)
    torch.testing.assert_close(advantages, torch.tensor(wanted, dtype=torch.float32)[:, None] * mask)
    assert returns is advantages
    assert advantages.dtype == rewards.dtype
    assert not advantages[:, 3].any()


def test_a_reward_with_something_added_is_refused():
    rewards, mask = batch()
    rewards[0, 0] = -0.25
    with pytest.raises(InputError, match="is no answer_code; is something added"):
        VerlAdvantage()(rewards, mask, PROMPTS)


def test_prime_rl_gets_its_own_outputs_with_one_credit_for_each_rollout(monkeypatch, tmp_path):
    module = types.ModuleType("prime_rl_stand_in")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    @dataclass
    class AdvantageInputs:
        rollouts: list

    @dataclass
    class AdvantageOutputs:
        advantages: list

    for cls in (AdvantageInputs, AdvantageOutputs):
        cls.__module__ = module.__name__
        setattr(module, cls.__name__, cls)
    inputs = AdvantageInputs([{"reward": float(label is not None), "answer": label} for label in LABELS])
    path = tmp_path / "mine.py"
    path.write_text("def label(rollout):\n    return rollout['answer'] if rollout['reward'] else None\n")
    found = prime_rl_advantage(inputs, label=f"{path}:label")
    assert type(found) is AdvantageOutputs
    assert found.advantages == credit(LABELS, baseline="leave_one_out").tolist()
    assert prime_rl_advantage(inputs, lambda rollout: None, baseline="nothing").advantages == [0.0] * 6


def test_the_real_verl_takes_it():
    algorithms = pytest.importorskip("verl.trainer.ppo.core_algos")
    estimator = algorithms.register_adv_est("polychromic")(VerlAdvantage())
    assert algorithms.get_adv_estimator_fn("polychromic") is estimator
