"""The nouns of the house: Message Prompt Example Completion Decoding SampleSet Verdict Measurement Comparison.

All are frozen and hold plain Python values, so they can be hashed, compared, written to JSON and sent to another
process. The central one is the SampleSet: training rewards it, evaluation measures it.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from polychromic.core.errors import InputError

NO_PAYLOAD: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a completion answers.

    ``id`` is unique within a task and stable across runs: comparisons are paired by it. ``content`` is plain text
    (continued as it stands) or a conversation (rendered through the chat template). ``payload`` belongs to the task.
    """

    id: str
    content: str | tuple[Message, ...]
    payload: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and its demonstration: the text the policy should learn to write (without end-of-sequence token)."""

    prompt: Prompt
    demonstration: str


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer.

    ``text`` is what is measured, judged and rewarded; ``thought`` is what a reasoning model wrote before it.
    ``token_ids`` includes the end-of-sequence token when one was drawn, and no padding; it is empty for foreign
    samples. ``finished`` is False when the answer was cut off at the token limit. ``logprob`` is the summed natural
    log-probability of ``token_ids`` under the distribution that drew them (``<= 0``), if the engine gave it.
    ``counted`` is how many tokens were drawn, where an engine says that without giving them, and ``read`` how many of
    the prompt it read for this completion (0 where it read them for another one of the same request).
    """

    text: str
    token_ids: tuple[int, ...] = ()
    finished: bool = True
    logprob: float | None = None
    thought: str = ""
    counted: int | None = field(default=None, compare=False)
    read: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Decoding:
    """How tokens were drawn. The defaults draw from the policy itself: no truncation, no penalty.

    ``constraint`` names what the text was made to follow, such as a JSON schema; empty for free text.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 128
    constraint: str = ""

    @property
    def truncated(self) -> bool:
        """Whether some tokens could not be drawn, so that log-probabilities are not those of the policy."""
        return self.top_p < 1.0 or self.top_k > 0 or self.constraint != ""

    def under(self, schema: Mapping[str, Any] | None) -> Decoding:
        """The same for text that must follow a JSON schema, which is named by its hash; unchanged for None."""
        if schema is None:
            return self
        digest = hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()
        return replace(self, constraint=f"json_schema:{digest[:12]}")


@dataclass(frozen=True, slots=True)
class SampleSet:
    """All completions (at least one) of one prompt under one policy and one decoding."""

    prompt: Prompt
    completions: tuple[Completion, ...]
    decoding: Decoding
    policy: str = ""

    def __post_init__(self) -> None:
        if not self.completions:
            raise InputError(f"prompt {self.prompt.id!r}: a sample set needs at least one completion")

    @property
    def texts(self) -> tuple[str, ...]:
        """The completions' texts, in sample order."""
        return tuple(completion.text for completion in self.completions)


class Status(enum.StrEnum):
    """What a checker found. ABSENT means that it could not judge: never a pass, never a fail."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A checker's finding on one completion.

    ``answer`` is the canonical form of a valid answer (equal strings = the same answer), None when there is none.
    """

    status: Status
    detail: str = ""
    answer: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the completion is right."""
        return self.status is Status.PASSED


@dataclass(frozen=True, slots=True)
class Bill:
    """What a served model took for its work: requests, tokens, and dollars where a price is known, else None.

    Tokens are None where the server does not say them.
    """

    requests: int
    tokens_read: int | None
    tokens_written: int | None
    dollars: float | None = None

    @property
    def sentence(self) -> str:
        """Such as "12 requests, 3,400 tokens read, 120 written, 0.02 dollars"; what is not known is left out."""
        known = [f"{self.requests:,} requests"]
        if self.tokens_read is not None and self.tokens_written is not None:
            known.append(f"{self.tokens_read:,} tokens read, {self.tokens_written:,} written")
        return ", ".join([*known, f"{self.dollars:.2f} dollars"] if self.dollars is not None else known)


CORPUS_LEVEL = "is one number for all prompts together, which stands with the first"
"""The reason of the other prompts, where a metric is a number about all of them."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One metric on one prompt: the score of many prompts is ``sum(numerator) / sum(denominator)``.

    A per-prompt mean has denominator 1. A value that could not be computed has NaN for both and a ``reason``.
    ``detail`` holds the counts the number was made of, for tracing.
    """

    prompt_id: str
    signature: str
    numerator: float
    denominator: float = 1.0
    reason: str = ""
    detail: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def value(self) -> float:
        """This prompt's own score, NaN when it could not be computed."""
        return self.numerator / self.denominator if self.denominator else float("nan")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Score of ``b`` minus score of ``a`` for one metric, paired by prompt.

    ``interval`` is the 95 % confidence interval of the difference, ``p`` the two-sided p-value (``p_holm`` corrected
    for the family of comparisons), ``minimum_detectable_effect`` the smallest true difference that this many prompts
    would have shown with 80 % power.
    """

    metric: str
    a: str
    b: str
    score_a: float
    score_b: float
    difference: float
    interval: tuple[float, float]
    p: float
    minimum_detectable_effect: float
    prompts: int
    test: str = ""
    p_holm: float = float("nan")
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """Evidence of a reward: each completion's answer or cluster, None for a completion that has none."""

    values: tuple[Hashable | None, ...]


@dataclass(frozen=True, slots=True)
class Distances:
    """Evidence of a reward: symmetric pairwise distances in [0, 1], zero diagonal, shape [n, n]."""

    rows: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class SetFunction:
    """Evidence of a reward: ``value(members, size)`` in [0, 1], the worth of a set of ``size`` samples.

    ``members`` are the indices of its valid samples; the others count towards ``size`` but add nothing.
    """

    value: Callable[[Sequence[int], int], float]
    size: int


Evidence = Labels | Distances | SetFunction
