"""Section 4: how noisy the estimator is, exactly, against the best baseline there can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from polychromic.certificate import shelf, toy
from polychromic.certificate.lines import Line, below
from polychromic.core.protocols import Form
from polychromic.objective import baseline
from polychromic.objective.credit import Credit, SetSize
from polychromic.objective.diversity_objective import DiversityObjective
from polychromic.settings import catalog
from polychromic.settings.schema import Kind

PROMPTS = 6
SAMPLES = 4
SPREADS = (0.3, 0.6, 0.9, 1.2, 1.5, 1.8)
"""The toy prompts differ in how peaked their policies are."""
PASTS = 4
LIMITS: dict[Form, float] = {"labels": 1.1, "pairs": 1.1, "set function": 1.2}
"""A set function's reference, the others' mean share, says less about a sample than those in closed form."""

Case = tuple[Kind, Kind, SetSize]


def cases() -> list[Case]:
    """Reward, gate and set size of every line: labels of right answers at three sizes, all else as whole sets."""
    found: list[Case] = []
    for entry in shelf.rewards():
        form = shelf.make_reward(entry).form
        if form == "labels":
            found += [(entry, shelf.PASSED_COUNT, size) for size in (2, SAMPLES, "shapley")]
        else:
            found += [(entry, gate, SAMPLES) for gate in (shelf.COUNT_ALL, shelf.PASSED_COUNT)[: 1 + (form == "pairs")]]
    return found


@dataclass(frozen=True)
class Population:
    """Every set under several prompts: its chance [p, m], the outcomes' scores [p, outcome, d], the credits [m, n]."""

    sets: toy.Multisets
    chance: NDArray[np.float64]
    outcome_chance: NDArray[np.float64]
    scores: NDArray[np.float64]
    values: NDArray[np.float64]
    reference: NDArray[np.float64]

    @property
    def members(self) -> NDArray[np.int64]:
        """Outcome indices of every set, [m, n]."""
        return np.array(self.sets.members)

    def trace_variance(self, advantages: NDArray[np.float64]) -> float:
        """Trace of the estimator's covariance, mean over the prompts; advantages [m, n], or [p, m, n]."""
        wide = np.broadcast_to(advantages, (len(self.chance), *self.values.shape))
        gradients = np.einsum("pmn,pmnd->pmd", wide, self.scores[:, self.members])
        mean = np.einsum("pm,pmd->pd", self.chance, gradients)
        second = np.einsum("pm,pmd->p", self.chance, gradients**2)
        return float(np.mean(second - (mean**2).sum(axis=1)))


def population(credits_: Sequence[Credit], sets: toy.Multisets, thetas: Sequence[torch.Tensor]) -> Population:
    """The population of these policies under these credits."""
    chance, single, scores = [], [], []
    for theta in thetas:
        logq = toy.log_probs(theta)
        chance.append(sets.log_prob(logq).exp().detach().numpy())
        single.append(logq.exp().detach().numpy())
        rows = [torch.autograd.grad(one, theta, retain_graph=True)[0] for one in logq]
        scores.append(torch.stack(rows).numpy())
    values, reference = np.array([c.values for c in credits_]), np.array([c.reference for c in credits_])
    return Population(sets, np.array(chance), np.array(single), np.array(scores), values, reference)


def oracle(people: Population) -> NDArray[np.float64]:
    """``E[s_i | the others]`` of every sample of every set under every prompt, [p, m, n]: not to be had in training."""
    row_of = {members: row for row, members in enumerate(people.sets.members)}
    out = np.zeros((len(people.chance), *people.values.shape))
    for row, members in enumerate(people.sets.members):
        for i in range(people.sets.n):
            others = members[:i] + members[i + 1 :]
            for outcome, chance in enumerate(people.outcome_chance.T):
                other = tuple(sorted((*others, outcome)))
                out[:, row, i] += chance * people.values[row_of[other], other.index(outcome)]
    return out


def learnt(people: Population, kind: baseline.BaselineKind, batches: int = 200, seed: int = 0) -> baseline.Baseline:
    """A baseline after this many past batches, each of one set of every prompt."""
    rng = np.random.default_rng(seed)
    out = baseline.Baseline(kind)
    drawn = [rng.choice(len(chance), batches, p=chance / chance.sum()) for chance in people.chance]
    for rows in np.stack(drawn, axis=1):
        out.observe(baseline.batch_moments(people.values[rows], people.reference[rows]))
    return out


def case(reward: Kind, gate: Kind, set_size: SetSize) -> Population:
    """The population of one reward, gate and set size."""
    objective = DiversityObjective(shelf.make_reward(reward), shelf.make_gate(gate), set_size)
    sets = toy.Multisets(SAMPLES)
    found = [one.credit for one in objective.credits(sets.sets, sets.verdicts)]
    thetas = [toy.parameters(10 + p, spread) for p, spread in enumerate(SPREADS)]
    return population(found, sets, thetas)


def variances(people: Population) -> dict[str, float]:
    """Trace variance under every kind of baseline (mean over several pasts), and under the oracle."""
    out: dict[str, float] = {}
    for kind in baseline.KINDS:
        pasts = [learnt(people, kind, seed=seed).predict(people.reference) for seed in range(PASTS)]
        out[kind] = float(np.mean([people.trace_variance((people.values - past) / SAMPLES) for past in pasts]))
    out["oracle"] = people.trace_variance((people.values - oracle(people)) / SAMPLES)
    return out


def variance_lines() -> list[Line]:
    """One line for each case: the control variate's variance over the oracle's."""
    lines = []
    for reward, gate, set_size in cases():
        found = variances(case(reward, gate, set_size))
        limit = LIMITS[shelf.make_reward(reward).form]
        kind = catalog.split(gate)[0]
        claim = f"{shelf.named(reward)}, gate {kind}, set size {set_size}: control variate / oracle"
        lines.append(below("variance", claim, found["control_variate"] / found["oracle"], limit))
    return lines
