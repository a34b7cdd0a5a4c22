"""Section 1: the estimator's expectation, over every set there is, against autograd of the exact objective."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from polychromic.certificate import shelf, toy
from polychromic.certificate.lines import Line, below
from polychromic.core.nouns import Evidence, SampleSet, SetFunction, Verdict
from polychromic.core.protocols import Form, Gate, Reward
from polychromic.objective import baseline, surrogate
from polychromic.objective.credit import SetSize
from polychromic.objective.diversity_objective import DiversityObjective
from polychromic.rewards.mixture import as_set_function
from polychromic.settings.schema import Kind

TOLERANCE = 1e-10
FLOOR = 1e-3
TEMPERATURE = 1.3
SAMPLES = 3


class Remembered:
    """A reward whose evidence, and its set function's values, are computed once for each sample set."""

    def __init__(self, reward: Reward) -> None:
        self._reward = reward
        self.form, self.needs = reward.form, reward.needs
        self._known: dict[int, tuple[SampleSet, Evidence]] = {}

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Evidence:
        """The reward's own evidence."""
        if id(samples) not in self._known:
            evidence = self._reward.evidence(samples, verdicts)
            if isinstance(evidence, SetFunction):
                evidence = _remember_values(evidence)
            self._known[id(samples)] = (samples, evidence)
        return self._known[id(samples)][1]


def _remember_values(evidence: SetFunction) -> SetFunction:
    known: dict[tuple[tuple[int, ...], int], float] = {}

    def value(members: Sequence[int], size: int) -> float:
        key = (tuple(members), size)
        if key not in known:
            known[key] = evidence.value(members, size)
        return known[key]

    return dataclasses.replace(evidence, value=value)


def worth(reward: Reward, gate: Gate, sets: toy.Multisets) -> Tensor:
    """``f`` of every set, from its definition: the value of its valid samples, the size counting all; shape [m]."""
    values = []
    for samples, verdicts in zip(sets.sets, sets.verdicts, strict=True):
        function = as_set_function(reward.evidence(samples, verdicts))
        valid = [i for i, ok in enumerate(gate.validity(samples, verdicts)) if ok]
        values.append(function.value(valid, sets.n))
    return torch.tensor(values, dtype=torch.float64)


def exact_gradient(theta: Tensor, reward: Reward, gate: Gate, sizes: Sequence[int]) -> Tensor:
    """Autograd of the mean over ``sizes`` of ``E[f(y_1..y_k)]``."""
    logq = toy.log_probs(theta, TEMPERATURE)
    total = torch.zeros((), dtype=torch.float64)
    for k in sizes:
        sets = toy.Multisets(k)
        total = total + (sets.log_prob(logq).exp() * worth(reward, gate, sets)).sum() / len(sizes)
    (gradient,) = torch.autograd.grad(total, theta)
    return gradient


def expected_estimate(theta: Tensor, sets: toy.Multisets, advantages: np.ndarray) -> Tensor:
    """Gradient of the production surrogate in expectation over all sets, each weighted with its probability."""
    logq = toy.log_probs(theta, TEMPERATURE)
    chance = sets.log_prob(logq).exp().detach()
    weighted = torch.tensor(advantages) * chance[:, None] * len(sets.sets)
    scalar = surrogate.diversity_surrogate(weighted, logq[sets.index])
    (gradient,) = torch.autograd.grad(scalar, theta)
    return gradient


def relative_error(estimate: Tensor, exact: Tensor) -> float:
    """Length of the difference over the length of the exact gradient, which counts as ``FLOOR`` where it vanishes."""
    return float((estimate - exact).norm() / max(float(exact.norm()), FLOOR))


def with_past(objective: DiversityObjective) -> DiversityObjective:
    """The objective after batches that gave its baseline coefficients away from their start."""
    rng = np.random.default_rng(0)
    reference = rng.random(40)
    objective.baseline.observe(baseline.batch_moments(0.2 + 0.6 * reference + 0.1 * rng.random(40), reference))
    return objective


def set_sizes(form: Form, n: int) -> dict[SetSize, list[int]]:
    """Every set size that evidence of this form allows, with the sizes it averages."""
    lone = [] if form == "pairs" else [1]
    sizes: dict[SetSize, list[int]] = {k: [k] for k in [*lone, *range(2, n + 1)]}
    return sizes | {"shapley": list(range(1, n + 1))}


def reward_errors(entry: Kind, sets: toy.Multisets) -> dict[tuple[str, SetSize, str], float]:
    """Relative error of the expected gradient for every gate, set size and baseline of one reward.

    Infinite where the evidence is not of the form that the reward states.
    """
    theta, reward = toy.parameters(1), Remembered(shelf.make_reward(entry))
    honest = all(
        shelf.form_of(reward.evidence(samples, verdicts)) == reward.form
        for samples, verdicts in zip(sets.sets, sets.verdicts, strict=True)
    )
    if not honest:
        return {("any", "shapley", "any"): math.inf}
    errors: dict[tuple[str, SetSize, str], float] = {}
    for gate_entry in shelf.entries("gates"):
        gate = shelf.make_gate(gate_entry)
        for set_size, sizes in set_sizes(reward.form, sets.n).items():
            exact = exact_gradient(theta, reward, gate, sizes)
            for kind in baseline.KINDS:
                objective = with_past(DiversityObjective(reward, gate, set_size, kind))
                advantages = objective.advantages(sets.sets, sets.verdicts).advantages
                estimate = expected_estimate(theta, sets, advantages)
                errors[shelf.named(gate_entry), set_size, kind] = relative_error(estimate, exact)
    return errors


def exact_lines(more: Sequence[Kind] = ()) -> list[Line]:
    """One line for each reward: the worst of all gates, set sizes and baselines."""
    sets = toy.Multisets(SAMPLES)
    lines = []
    for entry in shelf.rewards(more):
        errors = reward_errors(entry, sets)
        claim = f"{shelf.named(entry)}: E[estimate] = gradient, {len(errors)} settings"
        lines.append(below("enumeration", claim, max(errors.values()), TOLERANCE))
    return lines
