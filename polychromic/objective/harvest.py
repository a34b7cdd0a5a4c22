"""The set objective in its maximum-likelihood form: samples drawn once, learnt from as often as their credit says.

Online, ``n`` samples of a prompt give ``grad E[f] ~ (1/n) sum_i s_i grad log q(y_i)`` at the policy that drew them.
Held fixed and maximised over many steps the same sum is the M-step of expectation maximisation (ReST-EM, 2312.06585)

``H(theta) = E_x (1/n) sum_i s_i log pi_theta(y_i | x)``

With Shapley credit, ``valid_i / c_i``, every *different* valid answer of a prompt weighs 1, however often it was drawn:
rejection sampling of different answers (RFT, 2308.01825). With ``k = 1`` answers weigh as often as they were drawn.

The weight of ``H`` against the demonstrations is the online term's lambda. Rows of both kinds are mixed, a share ``r``
of them harvested, in proportion to credit; the trainer's loss is then proportional to

``SFT loss - lambda * H``  with  ``lambda = r / ((1 - r) * tokens * mass)``

where ``tokens`` is the mean target tokens of a demonstration (the SFT loss is a mean over tokens) and ``mass`` the mean
over prompts of ``(1/n) sum_i s_i``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polychromic.core.errors import InputError
from polychromic.core.seeds import child_seed


def credit_mass(credits_of_prompts: Sequence[Sequence[float]]) -> float:
    """The mean over prompts of the mean credit of their samples; prompts without a valid sample count as 0.

    In [0, 1] for answers.

    Raises:
        InputError: there is no prompt, or a credit is negative or no number: a likelihood takes no such weight.
    """
    if not credits_of_prompts:
        raise InputError("a harvest needs at least one prompt")
    for credits_ in credits_of_prompts:
        if not all(0.0 <= credit < math.inf for credit in credits_):
            raise InputError(
                "a harvest takes credits of 0 or more, and this reward gave another; allowed: a reward of answers or "
                "of pairs"
            )
    return float(np.mean([np.mean(credits_) for credits_ in credits_of_prompts]))


def share_of(weight: float, tokens: float, mass: float) -> float:
    """The share of harvested rows, in [0, 1), that has the strength ``weight`` (lambda) of the online term."""
    strength = weight * tokens * mass
    return strength / (1.0 + strength)


def weight_of(share: float, tokens: float, mass: float) -> float:
    """The lambda that a share of harvested rows amounts to: the inverse of ``share_of``; infinite for 1."""
    if share == 1.0:
        return math.inf
    return share / ((1.0 - share) * tokens * mass) if mass else 0.0


def resampled(weights: Sequence[float], size: int, seed: int) -> list[int]:
    """``size`` indices, each in proportion to its weight, by systematic resampling with one random offset.

    Index ``i`` comes ``size * w_i / sum(w)`` times, rounded down or up, and so often on average.

    Raises:
        InputError: no weight is above 0.
    """
    largest = max(weights, default=0.0)
    if not largest > 0.0:
        raise InputError("a harvest without any credit has nothing to learn from")
    shares = np.asarray(weights, dtype=np.float64) / largest  # weights may be as small as numbers get
    ends = np.cumsum(shares) * (size / math.fsum(shares.tolist()))
    ends[-1] = size  # the last end is the size but for rounding
    points = np.arange(size) + np.random.default_rng(seed).random()
    return np.searchsorted(ends, points, side="right").clip(max=len(ends) - 1).tolist()


@dataclass(frozen=True, slots=True)
class Mixture:
    """Which rows a run learns from: indices of demonstrations, and of harvested completions, each as often as it says.

    ``share`` is that of the harvested ones among them.
    """

    demonstrations: tuple[int, ...]
    harvested: tuple[int, ...]

    @property
    def share(self) -> float:
        """Harvested rows over all rows."""
        return len(self.harvested) / (len(self.harvested) + len(self.demonstrations))


def mixture(demonstrations: int, weights: Sequence[float], share: float, seed: int) -> Mixture:
    """Demonstrations and harvested completions at ``share``: all of the one, the scarcer one repeated.

    ``weights`` are the completions' credits, in proportion to which they come. Repeated demonstrations come equally
    often, give or take one.

    Raises:
        InputError: ``share`` is not in (0, 1], or there is nothing to take it from.
    """
    if not 0.0 < share <= 1.0:
        raise InputError(f"the share of harvested rows must be above 0 and at most 1, not {share}")
    having = sum(weight > 0.0 for weight in weights)
    if share == 1.0:
        return Mixture((), tuple(resampled(weights, having, seed)))
    if not demonstrations:
        raise InputError("there is no demonstration to mix the harvest with; allowed: a share of 1")
    size = max(having, round(share / (1.0 - share) * demonstrations))
    beside = max(demonstrations, round((1.0 - share) / share * size))
    shown: NDArray[np.int64] = np.arange(beside) % demonstrations
    last = beside - beside % demonstrations
    rng = np.random.default_rng(child_seed(seed, "demonstrations"))
    shown[last:] = rng.choice(demonstrations, size=beside - last, replace=False)
    return Mixture(tuple(shown.tolist()), tuple(resampled(weights, size, child_seed(seed, "harvest"))))
