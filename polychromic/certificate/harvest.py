"""The harvest on the toy, by enumeration: its first step, what its steps do, where they rest, and four mistakes.

The M-step is taken whole: the distribution over the toy's outcomes that maximises the credit-weighted likelihood, which
is proportional to the credit that an outcome is expected to have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from polychromic.certificate import toy
from polychromic.certificate.lines import Line, above, below
from polychromic.core.nouns import Labels
from polychromic.objective.credit import SetSize, group_credit
from polychromic.objective.surrogate import diversity_surrogate

SAMPLES = 3
STEPS = 60
VERDICTS = [toy.verdict_of(outcome) for outcome in toy.OUTCOMES]
ANSWERS = sorted({verdict.answer for verdict in VERDICTS if verdict.answer is not None})
Chances = NDArray[np.float64]


def credits_of(outcomes: Sequence[int], set_size: SetSize) -> Chances:
    """The credit of each of these outcomes, right ones labelled with their answers."""
    found = [VERDICTS[outcome] for outcome in outcomes]
    labels = Labels(tuple(verdict.answer for verdict in found))
    return group_credit(labels, [float(verdict.passed) for verdict in found], set_size).values


def answer_mass(chances: Chances) -> Chances:
    """The probability of each right answer, whatever text it comes in."""
    return np.array(
        [sum(p for p, v in zip(chances, VERDICTS, strict=True) if v.answer == answer) for answer in ANSWERS]
    )


def value(chances: Chances, k: int) -> float:
    """``E[f]`` for sets of ``k``: the expected number of different right answers over k."""
    return float(np.sum(1.0 - (1.0 - answer_mass(chances)) ** k)) / k


def m_step(chances: Chances, set_size: SetSize, weigh: str = "credit", samples: int = SAMPLES) -> Chances:
    """The outcomes' probabilities after one M-step; ``weigh`` names a mistake in the place of credit."""
    sets = toy.Multisets(samples)
    odds = sets.log_prob(torch.log(torch.tensor(chances))).exp().numpy()
    weights = np.zeros(len(toy.OUTCOMES))
    for members, chance in zip(sets.members, odds, strict=True):
        credits_ = {
            "credit": lambda m=members: credits_of(m, set_size),
            "duplicates not divided": lambda m=members: credits_of(m, 1),
            "wrong answers kept": lambda m=members: np.ones(len(m)),
        }[weigh]()
        np.add.at(weights, list(members), chance * credits_)
    return weights / weights.sum()


def first_step_error(set_size: SetSize, shift: int = 0) -> float:
    """Relative distance of the harvest's first step from the exact gradient; ``shift`` gives credit to neighbours."""
    theta = toy.parameters(1)
    logq = toy.log_probs(theta)
    right = torch.stack([sum_of(logq, answer) for answer in ANSWERS])
    sizes = range(1, SAMPLES + 1) if set_size == "shapley" else [set_size]
    exact = sum(((1.0 - (1.0 - right) ** k).sum() / k for k in sizes), torch.zeros(())) / len(sizes)
    (wanted,) = torch.autograd.grad(exact, theta, retain_graph=True)
    sets = toy.Multisets(SAMPLES)
    weights = np.stack([np.roll(credits_of(members, set_size), shift) for members in sets.members]) / SAMPLES
    odds = sets.log_prob(logq).exp().detach()
    scalar = diversity_surrogate(torch.tensor(weights) * odds[:, None] * len(sets.members), logq[sets.index])
    (found,) = torch.autograd.grad(scalar, theta)
    return float((found - wanted).norm() / wanted.norm())


def sum_of(logq: torch.Tensor, answer: str) -> torch.Tensor:
    """The probability of an answer, with gradient."""
    return logq[[verdict.answer == answer for verdict in VERDICTS]].exp().sum()


def worst_loss(set_size: SetSize, weigh: str = "credit", policies: int = 40) -> float:
    """The most that one M-step loses of ``E[f]``, over random policies and set sizes 1 to 8."""
    rng, worst = np.random.default_rng(7), -math.inf
    for _ in range(policies):
        before = rng.dirichlet(np.full(len(toy.OUTCOMES), 0.3)) * 0.999 + 0.001 / len(toy.OUTCOMES)
        after = m_step(before, set_size, weigh)
        worst = max(worst, *(value(before, k) - value(after, k) for k in range(1, 9)))
    return worst


def loss_near_certainty(set_size: SetSize, samples: int = 5) -> float:
    """What one M-step loses of ``E[f]`` at k = ``samples`` where one answer has nearly all the probability."""
    chances = np.full(len(toy.OUTCOMES), 1e-6)
    one, other = (next(i for i, v in enumerate(VERDICTS) if v.answer == answer) for answer in ANSWERS[:2])
    chances[[one, other]] = 0.95, 0.05
    chances /= chances.sum()
    return value(chances, samples) - value(m_step(chances, set_size, samples=samples), samples)


def unevenness(set_size: SetSize, weigh: str = "credit") -> float:
    """How far answers are from equal shares where the M-steps come to rest; the objective is greatest at 0."""
    chances = toy.log_probs(toy.parameters(2)).exp().detach().numpy()
    for _ in range(STEPS):
        chances = m_step(chances, set_size, weigh)
    mass = answer_mass(chances)
    return float(np.abs(mass - 1.0 / len(ANSWERS)).max())


def harvest_lines() -> list[Line]:
    """The harvest's claims, and the mistakes that must be seen."""
    claims, seen = "harvest", "harvest: mistakes"
    worst = max(first_step_error(size) for size in (1, 2, SAMPLES, "shapley"))
    undivided = unevenness("shapley", "duplicates not divided")
    kept = unevenness("shapley", "wrong answers kept")
    return [
        below(claims, "its first step is the gradient of the objective, every set size", worst, 1e-10),
        below(claims, "an M-step with Shapley credit lowers E[f] of no set size", worst_loss("shapley"), 1e-12),
        below(claims, "Shapley rests where all answers are alike, at the greatest E[f]", unevenness("shapley"), 1e-6),
        above(seen, "duplicates not divided by their number: it rests uneven", undivided, 0.05),
        above(seen, "wrong answers kept: it rests uneven", kept, 0.05),
        above(seen, "another sample's credit: no gradient", first_step_error("shapley", 1), 0.05),
        above(seen, "one large set size: an M-step can lower E[f]", loss_near_certainty(5), 0.01),
    ]
