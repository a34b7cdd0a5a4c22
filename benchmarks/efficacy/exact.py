"""What a policy does on a prompt of the grammar, from the chances of all its answers: no sampling noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polychromic.core.errors import InputError
from polychromic.core.nouns import Prompt


@dataclass(frozen=True, slots=True)
class ExactFigures:
    """What a policy does on one prompt, without sampling.

    ``validity``: chance of a right answer. ``coverage``: expected share of all answers among k samples. ``collision``:
    chance that two right samples are the same answer. ``divergence``: KL(demonstrations || policy) in nats.
    """

    validity: float
    coverage: float
    collision: float
    divergence: float


def exact_figures(logprobs: ArrayLike, shares: ArrayLike, k: int) -> ExactFigures:
    """The figures of one prompt from the answers' log-probabilities, ``shares`` of demonstrations, and ``k`` samples.

    Both arrays have shape [answers]. ``coverage = mean_a 1 - (1 - p_a)^k``; ``collision = sum_a (p_a / sum p)^2``, NaN
    when no answer has any chance; ``divergence`` is infinite when a demonstrated answer has none.

    Raises:
        InputError: the shapes differ, the chances sum to more than 1, or k is below 1.
    """
    log_p, wanted = np.asarray(logprobs, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    if log_p.shape != wanted.shape or log_p.ndim != 1 or k < 1:
        raise InputError(f"exact figures need two arrays [answers] and k >= 1, not {log_p.shape}, {wanted.shape}, {k}")
    chance = np.exp(log_p)
    validity = float(chance.sum())
    if validity > 1.0 + 1e-6:
        raise InputError(f"the answers' probabilities sum to {validity:.6f}: are they of different texts?")
    shown = wanted > 0
    return ExactFigures(
        validity=validity,
        coverage=float(np.mean(-np.expm1(k * np.log1p(-np.minimum(chance, 1.0 - 1e-15))))),
        collision=float(((chance / validity) ** 2).sum()) if validity > 0 else math.nan,
        divergence=float((wanted[shown] * (np.log(wanted[shown]) - log_p[shown])).sum()),
    )


def answer_logprobs(
    model: Any, tokenizer: Any, prompt: Prompt, answers: Sequence[str], temperature: float = 1.0
) -> NDArray[np.float64]:
    """The natural log-probability of each answer and its end token at ``temperature``, shape [answers].

    An answer counts in its usual tokenisation only; with one token for each letter there is no other.
    """
    import torch

    from polychromic.policy.logprobs import completion_logprobs
    from polychromic.policy.render import prompt_ids
    from polychromic.policy.sampling_mode import sampling_mode

    ids = [[*tokenizer(answer)["input_ids"], tokenizer.eos_token_id] for answer in answers]
    with sampling_mode(model), torch.no_grad():
        found = completion_logprobs(model, [prompt_ids(tokenizer, prompt)], [ids], temperature)
    return np.asarray(found[0].double().cpu().numpy())
