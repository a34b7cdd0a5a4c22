"""Section 3: what must not change the result, and where the junk threshold lies."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from polychromic.certificate import exact, shelf, toy
from polychromic.certificate.lines import Line, below, zero
from polychromic.core.nouns import Distances, Evidence, Labels
from polychromic.objective import diversity_objective, surrogate
from polychromic.objective.credit import SetSize, group_credit
from polychromic.settings.schema import Kind

SECTION = "invariances"
SAMPLES = 4
ROUNDING = 1e-12
RARE = 1e-5
"""Probability of the junk answer whose gain or loss is watched."""


def _objective(reward: Kind) -> diversity_objective.DiversityObjective:
    gate = shelf.make_gate(shelf.COUNT_ALL)
    made = diversity_objective.DiversityObjective(shelf.make_reward(reward), gate, SAMPLES)
    return exact.with_past(made)


def _draw(rng: np.random.Generator, sets: int) -> list[tuple[int, ...]]:
    return [tuple(row) for row in rng.integers(0, len(toy.OUTCOMES), (sets, SAMPLES)).tolist()]


def _advantages(
    objective: diversity_objective.DiversityObjective, outcomes: list[tuple[int, ...]]
) -> NDArray[np.float64]:
    verdicts = [[toy.verdict_of(toy.OUTCOMES[i]) for i in one] for one in outcomes]
    return objective.advantages([toy.sample_set(one) for one in outcomes], verdicts).advantages


def permutation(rewards: Sequence[Kind]) -> float:
    """Largest change of an advantage when the samples of its set change places."""
    worst = 0.0
    for name in rewards:
        rng = np.random.default_rng(0)
        outcomes = _draw(rng, 12)
        order = rng.permutation(SAMPLES)
        moved = [tuple(one[i] for i in order) for one in outcomes]
        before = _advantages(_objective(name), outcomes)
        after = _advantages(_objective(name), moved)
        worst = max(worst, float(np.abs(after - before[:, order]).max()))
    return worst


def other_prompts() -> float:
    """Largest change of a set's advantages when the other sets of its batch are exchanged."""
    rng = np.random.default_rng(1)
    own, one, two = _draw(rng, 1), _draw(rng, 5), _draw(rng, 9)
    alone = _advantages(_objective("semantic"), own)
    batches = [_advantages(_objective("semantic"), own + others)[:1] for others in (one, two)]
    return max(float(np.abs(batch - alone).max()) for batch in batches)


def own_sample(rewards: Sequence[Kind]) -> float:
    """Largest change of what is subtracted from a sample's credit when that sample is exchanged."""
    worst = 0.0
    for name in rewards:
        for others in _draw(np.random.default_rng(2), 10):
            variants = [(outcome, *others[1:]) for outcome in range(len(toy.OUTCOMES))]
            objective = _objective(name)
            verdicts = [[toy.verdict_of(toy.OUTCOMES[i]) for i in one] for one in variants]
            found = objective.credits([toy.sample_set(one) for one in variants], verdicts)
            values = np.array([one.credit.values[0] for one in found])
            subtracted = values - SAMPLES * _advantages(objective, variants)[:, 0]
            worst = max(worst, float(np.ptp(subtracted)))
    return worst


def micro_batches() -> float:
    """Relative change of the surrogate's gradient when eight prompts come as 1, 2, 4 or 8 micro-batches."""
    theta = toy.parameters(1)
    outcomes = _draw(np.random.default_rng(3), 8)
    weights = torch.tensor(_advantages(_objective("semantic"), outcomes))
    index = torch.tensor(outcomes)
    found = []
    for parts in (1, 2, 4, 8):
        total = torch.zeros((), dtype=torch.float64)
        for rows in torch.arange(8).chunk(parts):
            scored = toy.log_probs(theta)[index[rows]]
            total = total + surrogate.diversity_surrogate(weights[rows], scored) / parts
        found.append(torch.autograd.grad(total, theta)[0])
    return max(exact.relative_error(one, found[0]) for one in found)


def resumed() -> float:
    """Largest change of an advantage when the objective's state goes through JSON between two batches."""
    rng = np.random.default_rng(4)
    first, second = _draw(rng, 6), _draw(rng, 6)
    one, two = _objective("semantic"), _objective("semantic")
    _advantages(one, first)
    _advantages(two, first)
    fresh = diversity_objective.DiversityObjective(two.reward, two.gate, SAMPLES)
    fresh.load_state_dict(json.loads(json.dumps(two.state_dict())))
    return float(np.abs(_advantages(one, second) - _advantages(fresh, second)).max())


def _evidence(labels: tuple[int, ...], pairwise: bool) -> Evidence:
    if not pairwise:
        return Labels(labels)
    return Distances(tuple(tuple(float(a != b) for b in labels) for a in labels))


def junk_threshold(pairwise: bool, set_size: SetSize, samples: int = 3) -> float:
    """Relative difference between the lambda_eff at which rare junk starts to gain, and ``1 / (2 C)``.

    The policy equals the data (three answers) but for a rare junk answer; both gradients with respect to the junk's
    logit come from the production credit, ``C`` is the expected ``similarity`` it reports.
    """
    shares = np.array([0.6, 0.25, 0.15])
    chance = torch.tensor(np.append(shares * (1 - RARE), RARE))
    logits = torch.log(chance).requires_grad_()
    logq = torch.log_softmax(logits, dim=0)
    tuples = list(itertools.product(range(4), repeat=samples))
    weights = torch.stack([chance[list(one)].prod() for one in tuples])
    credits_ = [group_credit(_evidence(one, pairwise), [1.0] * samples, set_size) for one in tuples]
    advantages = torch.tensor(np.array([credit.values for credit in credits_]) / samples) * weights[:, None]
    scalar = surrogate.diversity_surrogate(advantages * len(tuples), logq[torch.tensor(tuples)])
    demonstration = -(torch.tensor(shares) * logq[:3]).sum()
    gain, loss = (torch.autograd.grad(x, logits, retain_graph=True)[0][3] for x in (scalar, demonstration))
    similarity = sum(float(w) * credit.similarity for w, credit in zip(weights, credits_, strict=True))
    predicted = 1.0 / diversity_objective.off_support_gain(1.0, similarity)
    return abs(float(loss / gain) / predicted - 1.0)


def invariance_lines(more: Sequence[Kind] = ()) -> list[Line]:
    """One line for each invariance, and the threshold for pairs and for answers."""
    rewards = shelf.rewards(more)
    lines = [
        below(SECTION, "order of the samples, all rewards", permutation(rewards), ROUNDING),
        below(SECTION, "advantages do not see the batch's other prompts", other_prompts(), ROUNDING),
        below(SECTION, "what is subtracted does not see its own sample", own_sample(rewards), ROUNDING),
        below(SECTION, "1, 2, 4 and 8 micro-batches", micro_batches(), ROUNDING),
        zero(SECTION, "state through a checkpoint", resumed()),
    ]
    thresholds: tuple[tuple[str, bool, SetSize], ...] = (
        ("pairs", True, 2),
        ("answers, set size 2", False, 2),
        ("answers, set size 3", False, 3),
        ("answers, Shapley", False, "shapley"),
    )
    for name, pairwise, set_size in thresholds:
        figure = junk_threshold(pairwise, set_size)
        lines.append(below("units", f"junk gains from lambda_eff = 1/(2C) on: {name}", figure, 1e-3))
    return lines
