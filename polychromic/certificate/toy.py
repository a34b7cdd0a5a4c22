"""A language model small enough to enumerate: two words, at most two of them, seven outcomes, float64.

Its logits come from a small network over the words before, so that the parameters are shared between positions as in
a real model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Status, Verdict

WORDS = ("red", "blue")
END = 2
LIMIT = 2
"""Words at which a completion is cut off."""

Outcome = tuple[int, ...]
OUTCOMES: tuple[Outcome, ...] = ((END,), (0, END), (1, END), (0, 0), (0, 1), (1, 0), (1, 1))
HIDDEN = 3
STATES = 1 + len(WORDS)
PARAMETERS = STATES * HIDDEN + HIDDEN * (len(WORDS) + 1) + len(WORDS) + 1


def parameters(seed: int, spread: float = 0.8) -> Float[Tensor, " parameters"]:
    """A policy's parameters: normal numbers of this standard deviation, with gradient."""
    return torch.tensor(np.random.default_rng(seed).normal(0.0, spread, PARAMETERS), requires_grad=True)


def token_log_probs(theta: Float[Tensor, " parameters"], temperature: float = 1.0) -> Float[Tensor, "state token"]:
    """Log-probabilities of the next token after: nothing, red, blue."""
    first = STATES * HIDDEN
    second = first + HIDDEN * (len(WORDS) + 1)
    embedding = theta[:first].reshape(STATES, HIDDEN)
    head = theta[first:second].reshape(HIDDEN, len(WORDS) + 1)
    return torch.log_softmax((torch.tanh(embedding) @ head + theta[second:]) / temperature, dim=-1)


def log_probs(theta: Float[Tensor, " parameters"], temperature: float = 1.0) -> Float[Tensor, " outcome"]:
    """Log-probability of every outcome: the sum over its tokens, the end included; their exponentials sum to 1."""
    return sequence_log_probs(token_log_probs(theta, temperature))


def sequence_log_probs(table: Float[Tensor, "state token"]) -> Float[Tensor, " outcome"]:
    """Sums of a table of next-token log-probabilities along every outcome."""
    out = []
    for outcome in OUTCOMES:
        states = (0, *(token + 1 for token in outcome[:-1]))
        out.append(torch.stack([table[state, token] for state, token in zip(states, outcome, strict=True)]).sum())
    return torch.stack(out)


def text_of(outcome: Outcome) -> str:
    """The words of an outcome."""
    return " ".join(WORDS[token] for token in outcome if token != END)


def verdict_of(outcome: Outcome) -> Verdict:
    """The toy task: empty and "blue blue" are wrong; the order of the words does not matter."""
    words = sorted(token for token in outcome if token != END)
    if not words or words == [1, 1]:
        return Verdict(Status.FAILED)
    return Verdict(Status.PASSED, answer=" ".join(WORDS[word] for word in words))


@dataclass(frozen=True)
class ToyEmbedder:
    """Fixed unit vectors in three dimensions, one for each text the toy can write.

    Two are near-duplicates, and "red" lies between two that are far apart.
    """

    name: str = "toy"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Rows of length 1, shape [len(texts), 3]."""
        table = np.random.default_rng(5).normal(size=(len(OUTCOMES), 3))
        table /= np.linalg.norm(table, axis=1, keepdims=True)
        table[1] = table[2] + table[4]
        table[5] = table[4] + 0.1 * table[0]
        table /= np.linalg.norm(table, axis=1, keepdims=True)
        known = {text_of(outcome): row for outcome, row in zip(OUTCOMES, table, strict=True)}
        return np.array([known[text] for text in texts])

    def cut(self, texts: Sequence[str]) -> int:
        """0: it reads all of a text."""
        return 0


def reference_scores(samples: SampleSet) -> list[float]:
    """A stand-in for the reference model's log-likelihood per token: shorter is likelier, red likelier than blue."""
    return [-0.5 - 0.4 * text.count("blue") - 0.1 * len(text.split()) for text in samples.texts]


def sample_set(outcomes: Sequence[int], temperature: float = 1.0) -> SampleSet:
    """The sample set of these outcomes' indices; outcomes that did not end by themselves are unfinished."""
    completions = tuple(
        Completion(text_of(OUTCOMES[i]), OUTCOMES[i], finished=OUTCOMES[i][-1] == END) for i in outcomes
    )
    return SampleSet(Prompt("toy", "say"), completions, Decoding(temperature=temperature, max_new_tokens=LIMIT))


@dataclass(frozen=True)
class Multisets:
    """All sets of ``n`` outcomes without regard to order, as sample sets with their verdicts."""

    n: int
    members: tuple[tuple[int, ...], ...] = field(init=False)
    sets: tuple[SampleSet, ...] = field(init=False)
    verdicts: tuple[tuple[Verdict, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        members = tuple(itertools.combinations_with_replacement(range(len(OUTCOMES)), self.n))
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "sets", tuple(sample_set(m) for m in members))
        object.__setattr__(self, "verdicts", tuple(tuple(verdict_of(OUTCOMES[i]) for i in m) for m in members))

    @property
    def index(self) -> Tensor:
        """Outcome indices, shape [m, n]."""
        return torch.tensor(self.members)

    def log_prob(self, logq: Float[Tensor, " outcome"]) -> Float[Tensor, " m"]:
        """Log-probability of each multiset under independent draws, orders counted."""
        orders = [math.factorial(self.n) // math.prod(math.factorial(m.count(i)) for i in set(m)) for m in self.members]
        return logq[self.index].sum(dim=1) + torch.log(torch.tensor(orders, dtype=torch.float64))
