"""Section 2: known mistakes, each of which must move the expected gradient so far that the check above sees it.

The set value is the mean pairwise distance of the toy's completions (semantic reward, no gate), the policy is sampled
at T = 0.9.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polychromic.certificate import exact, shelf, toy
from polychromic.certificate.lines import Line, above, below
from polychromic.core.nouns import Labels
from polychromic.diversity.kernels import clusters
from polychromic.objective import diversity_objective, surrogate
from polychromic.objective.baseline import BaselineKind
from polychromic.objective.credit import group_credit
from polychromic.settings.schema import Kind

SECTION = "negative controls"
DETECTED = 0.01
"""Relative error from which a mistake counts as detected; the right estimator stays below 1e-10."""
SAMPLES = 4
TEMPERATURE = 0.9
NUCLEUS = 0.9
DRIFT = 0.3
"""Standard deviation of the step between the policy that drew replayed samples and the present one."""

LINKED = 0.4
"""Cosine distance up to which the toy's texts are one cluster: "red" then links two that are far apart."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Bench:
    """A policy, all its sets of four samples, their values and their right advantages."""

    seed: int = 2
    reward: Kind = "semantic"
    baseline: BaselineKind = "leave_one_out"

    @cached_property
    def theta(self) -> Tensor:
        """The policy."""
        return toy.parameters(self.seed)

    @cached_property
    def sets(self) -> toy.Multisets:
        """All sets."""
        return toy.Multisets(SAMPLES)

    @cached_property
    def objective(self) -> diversity_objective.DiversityObjective:
        """The objective under test."""
        reward, gate = exact.Remembered(shelf.make_reward(self.reward)), shelf.make_gate(shelf.COUNT_ALL)
        return diversity_objective.DiversityObjective(reward, gate, SAMPLES, self.baseline)

    @cached_property
    def advantages(self) -> Matrix:
        """The right advantages, [m, n]."""
        return self.objective.advantages(self.sets.sets, self.sets.verdicts).advantages

    @cached_property
    def values(self) -> Matrix:
        """The value of each set, [m]."""
        return exact.worth(self.objective.reward, self.objective.gate, self.sets).numpy()

    @cached_property
    def exact(self) -> Tensor:
        """Autograd of the exact expectation at the sampling temperature."""
        return self.exact_under(toy.log_probs(self.theta, TEMPERATURE))

    def exact_under(self, logq: Tensor) -> Tensor:
        """Autograd of the exact expectation under a distribution of the outcomes."""
        total = (self.sets.log_prob(logq).exp() * torch.tensor(self.values)).sum()
        return torch.autograd.grad(total, self.theta, retain_graph=True)[0]

    def expected(self, advantages: Matrix | Tensor, scored: Tensor, drawn: Tensor | None = None) -> Tensor:
        """Expected gradient of the surrogate: outcomes ``drawn`` with one log-probability, ``scored`` with another."""
        chance = self.sets.log_prob(scored if drawn is None else drawn).exp().detach()
        weighted = torch.as_tensor(advantages) * chance[:, None] * len(self.sets.sets)
        scalar = surrogate.diversity_surrogate(weighted, scored[self.sets.index])
        return torch.autograd.grad(scalar, self.theta, retain_graph=True)[0]

    def error(self, estimate: Tensor) -> float:
        """Relative error of an expected gradient."""
        return exact.relative_error(estimate, self.exact)

    @property
    def logq(self) -> Tensor:
        """Log-probability of every outcome at the sampling temperature."""
        return toy.log_probs(self.theta, TEMPERATURE)


def measured_value_subtracted(bench: Bench) -> float:
    """The predecessor: the diversity as a number. The total's gradient minus the demonstration's is the estimate."""
    demonstration = -bench.logq[1]
    total = demonstration - float(bench.values.mean())
    with_term, without = (torch.autograd.grad(x, bench.theta, retain_graph=True)[0] for x in (total, demonstration))
    return bench.error(without - with_term)


def shared_reward_centred(bench: Bench) -> float:
    """GRPO, RLOO: every sample gets the set's value, minus the mean of the set."""
    shared = np.repeat(bench.values[:, None], SAMPLES, axis=1)
    return bench.error(bench.expected(shared - shared.mean(axis=1, keepdims=True), bench.logq))


def credit_recentred(bench: Bench) -> float:
    """Leave-one-out credit of Distinct-n, minus its own mean over the set."""
    bench = Bench(bench.seed, {"kind": "lexical", "statistic": "distinct"}, "none")
    return bench.error(bench.expected(bench.advantages - bench.advantages.mean(axis=1, keepdims=True), bench.logq))


def credit_standardised(bench: Bench) -> float:
    """Credit over its standard deviation in the set."""
    spread = bench.advantages.std(axis=1, keepdims=True)
    return bench.error(bench.expected(bench.advantages / (spread + 1e-6), bench.logq))


def mean_token_log_prob(bench: Bench) -> float:
    """The mean instead of the sum over a completion's tokens, scaled back by the mean length."""
    lengths = torch.tensor([float(len(outcome)) for outcome in toy.OUTCOMES], dtype=torch.float64)
    mean_length = float((bench.logq.exp() * lengths).sum().detach())
    scored = bench.logq / lengths * mean_length
    return bench.error(bench.expected(bench.advantages, scored, drawn=bench.logq))


def other_temperature(bench: Bench) -> float:
    """Drawn at T = 0.9, differentiated at T = 1."""
    return bench.error(bench.expected(bench.advantages, toy.log_probs(bench.theta), drawn=bench.logq))


def nucleus(bench: Bench, temperature: float = 1.0) -> float:
    """Drawn with top_p = 0.9, differentiated as if untruncated at T = 1; the truth is the truncated distribution's."""
    table = toy.token_log_probs(bench.theta, temperature)
    kept = torch.zeros_like(table, dtype=torch.bool)
    for state, row in enumerate(table.exp().detach()):
        order = torch.argsort(row, descending=True)
        before = torch.cumsum(row[order], dim=0) - row[order]
        kept[state, order[before < NUCLEUS]] = True
    drawn = toy.sequence_log_probs(torch.log_softmax(torch.where(kept, table, torch.tensor(-1e9)), dim=-1))
    estimate = bench.expected(bench.advantages, toy.log_probs(bench.theta), drawn=drawn)
    return exact.relative_error(estimate, bench.exact_under(drawn))


def _replayed(bench: Bench, whole_product: bool) -> float:
    step = torch.tensor(np.random.default_rng(7).normal(0.0, DRIFT, toy.PARAMETERS))
    old = toy.log_probs((bench.theta + step).detach(), TEMPERATURE)
    ratio = (bench.logq - old).detach()[bench.sets.index]
    weight = (ratio.sum(dim=1, keepdim=True) if whole_product else ratio).exp()
    return bench.error(bench.expected(torch.tensor(bench.advantages) * weight, bench.logq, drawn=old))


def own_ratio_replay(bench: Bench) -> float:
    """Old samples, each term weighted with its own sample's probability ratio (PPO)."""
    return _replayed(bench, whole_product=False)


def all_ratios_replay(bench: Bench) -> float:
    """Old samples, each term weighted with the product of the ratios of all samples of the set: exact, but noisy."""
    return _replayed(bench, whole_product=True)


def undivided_accumulation(bench: Bench) -> float:
    """The surrogates of two micro-batches added up without dividing by their number."""
    scored = bench.logq[bench.sets.index]
    weighted = torch.tensor(bench.advantages)
    half = len(scored) // 2
    parts = [surrogate.diversity_surrogate(weighted[start:][:half], scored[start:][:half]) for start in (0, half)]
    whole = surrogate.diversity_surrogate(weighted[: 2 * half], scored[: 2 * half])
    grads = [torch.autograd.grad(x, bench.theta, retain_graph=True)[0] for x in (parts[0] + parts[1], whole)]
    return exact.relative_error(grads[0], grads[1])


def labels_of_the_whole_set(bench: Bench) -> float:
    """Clusters of the whole set taken as if they were labels: one sample can join the clusters of two others."""
    clustered = Bench(bench.seed, {"kind": "clusters", "threshold": LINKED})
    rows = []
    for samples in clustered.sets.sets:
        labels = clusters(toy.ToyEmbedder().embed(samples.texts), LINKED)
        rows.append(group_credit(Labels(tuple(labels.tolist())), [1.0] * SAMPLES, SAMPLES).values / SAMPLES)
    return clustered.error(clustered.expected(np.array(rows), clustered.logq))


MISTAKES: dict[str, Callable[[Bench], float]] = {
    "the measured diversity subtracted as a number": measured_value_subtracted,
    "one reward shared by the set, centred by the set": shared_reward_centred,
    "leave-one-out credit centred again by the set": credit_recentred,
    "credit divided by the set's standard deviation": credit_standardised,
    "mean-token instead of summed log-probability": mean_token_log_prob,
    "drawn at T=0.9, differentiated at T=1": other_temperature,
    "drawn with top_p=0.9, differentiated without": nucleus,
    "drawn at T=0.9 top_p=0.9, differentiated at T=1": functools.partial(nucleus, temperature=TEMPERATURE),
    "old samples with their own ratios": own_ratio_replay,
    "clusters of the whole set taken for labels": labels_of_the_whole_set,
    "micro-batches added without dividing": undivided_accumulation,
}


def control_lines() -> list[Line]:
    """The right estimator and the exact replay must stay exact; every mistake must be detected."""
    bench = Bench()
    right = bench.error(bench.expected(bench.advantages, bench.logq))
    lines = [
        below(SECTION, "no mistake", right, exact.TOLERANCE),
        below(SECTION, "old samples with the product of all ratios: exact", all_ratios_replay(bench), exact.TOLERANCE),
    ]
    return lines + [above(SECTION, f"detected: {name}", find(bench), DETECTED) for name, find in MISTAKES.items()]
