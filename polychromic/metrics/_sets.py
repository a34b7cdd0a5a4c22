"""What the metrics share: one measurement for each set, and the reasons why there is none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

from polychromic.core.errors import InputError
from polychromic.core.facts import write_signature
from polychromic.core.nouns import Measurement, SampleSet, Status, Verdict
from polychromic.settings.catalog import PARTS

Options = Sequence[Mapping[str, Any]]
"""The options of a metric's instances."""
Judged = Sequence[Verdict] | None
"""The verdicts on one set's completions."""
Verdicts = Sequence[Sequence[Verdict]] | None


class UnmeasurableError(InputError):
    """This set has no such number; the message is the measurement's reason."""


@dataclass(frozen=True, slots=True)
class Value:
    """One set's number before it gets its name: ``numerator / denominator``, and the counts it was made of."""

    numerator: float
    denominator: float = 1.0
    detail: Mapping[str, float] = field(default_factory=dict)


def measure_each(
    signature: str,
    sets: Sequence[SampleSet],
    verdicts: Verdicts,
    one: Callable[[SampleSet, Judged], Value],
) -> list[Measurement]:
    """``one`` applied to every set; NaN with a reason where it raises UnmeasurableError or finds no number.

    Raises InputError when the verdicts do not belong to the sets.
    """
    if verdicts is not None and [len(row) for row in verdicts] != [len(item.completions) for item in sets]:
        raise InputError("the verdicts do not match the samples: one is needed for each completion")
    out = []
    for index, item in enumerate(sets):
        try:
            value = one(item, None if verdicts is None else verdicts[index])
            if math.isnan(value.numerator) or math.isnan(value.denominator):
                raise UnmeasurableError("is not defined for this set")
        except UnmeasurableError as reason:
            nan = float("nan")
            out.append(Measurement(item.prompt.id, signature, nan, nan, str(reason), {"n": len(item.completions)}))
            continue
        detail = {"n": float(len(item.completions)), **value.detail}
        out.append(Measurement(item.prompt.id, signature, value.numerator, value.denominator, "", detail))
    return out


def modal_set_size(sets: Sequence[SampleSet]) -> int:
    """The number of completions most sets have; the smaller of two as frequent; 1 when there is no set."""
    sizes = Counter(len(item.completions) for item in sets)
    return min(sizes, key=lambda size: (-sizes[size], size), default=1)


class PerSet:
    """A metric that gives each set a number by itself: kinds add their facts, ``_options`` and ``_value``."""

    kind: ClassVar[str]
    headline: ClassVar[int] = 0
    _needs: ClassVar[tuple[str, ...]] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """What it cannot be computed without."""
        return self._needs

    @property
    def signature(self) -> str:
        """``kind|option:value|...`` with every option that changes the number."""
        return write_signature(self.kind, **self._options())

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options of its instances where an evaluation of ``n`` samples a prompt names no metrics: one as it is."""
        return ({},)

    def pinned(self, sets: Sequence[SampleSet]) -> Self:
        """The same metric with its open options fixed to what these sets have in common."""
        return self

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set, in order; NaN with a reason where there is no number."""
        metric = self.pinned(sets)
        return measure_each(metric.signature, sets, verdicts, metric._value)

    def _options(self) -> dict[str, Any]:
        """What the signature says: all options, unless a kind says otherwise."""
        own: Any = self
        return {each.name: getattr(self, each.name) for each in fields(own) if each.name not in PARTS}

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        raise NotImplementedError


@dataclass(frozen=True)
class KSamples(PerSet):
    """A metric of ``k`` completions of each set; None: as many as most sets have."""

    k: int | None = None

    def pinned(self, sets: Sequence[SampleSet]) -> Self:
        """The same metric with its k fixed to what these sets have in common."""
        return replace(self, k=modal_set_size(sets)) if self.k is None else self

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options of its instances where an evaluation of ``n`` samples a prompt names no metrics: one of all."""
        return ({"k": n},)

    @property
    def k_or_1(self) -> int:
        """The k of a pinned metric; 1 where there was no set to pin it to."""
        return 1 if self.k is None else self.k


def at_least(samples: SampleSet, k: int, *, least: int = 1) -> int:
    """The set's size; raises UnmeasurableError when it is under ``k`` or ``k`` under ``least``."""
    n = len(samples.completions)
    if k < least:
        raise UnmeasurableError(f"needs k of at least {least}, not {k}")
    if n < k:
        raise UnmeasurableError(f"needs {k} samples, there are {n}")
    return n


def first_texts(samples: SampleSet, k: int, *, least: int = 1) -> tuple[str, ...]:
    """The texts of the first ``k`` completions; raises UnmeasurableError when there are fewer."""
    at_least(samples, k, least=least)
    return samples.texts[:k]


def given_scores(samples: SampleSet) -> Any:
    """The scores of the samples that a foreign file came with, None without."""
    return samples.prompt.payload.get("scores")


def passes(verdicts: Judged) -> list[bool]:
    """Whether each completion is right; raises UnmeasurableError when one was not judged: that is no fail."""
    if verdicts is None:
        raise UnmeasurableError("there are no verdicts")
    absent = sum(verdict.status is Status.ABSENT for verdict in verdicts)
    if absent:
        raise UnmeasurableError(f"{absent} of {len(verdicts)} completions were not judged")
    return [verdict.passed for verdict in verdicts]


def right_answers(verdicts: Judged) -> list[str | None]:
    """The answer of each completion that is right, None for the others.

    Raises UnmeasurableError when a right completion has no answer, so that it cannot be told from another.
    """
    right = passes(verdicts)
    answers = [verdict.answer if ok else None for verdict, ok in zip(verdicts or (), right, strict=True)]
    _refuse_nameless(sum(right) - sum(answer is not None for answer in answers))
    return answers


def _refuse_nameless(right: int) -> None:
    if right:
        raise UnmeasurableError(f"{right} right completions have no answer to tell them apart by")


def all_answers(verdicts: Judged) -> list[str | None]:
    """The answer of each completion, right or wrong, None where there is none.

    Raises UnmeasurableError when a completion was not judged, unless its answer is known all the same, and when a right
    one has no answer: the checker does not name them, so that nothing can be counted by it.
    """
    if verdicts is None or any(verdict.status is Status.ABSENT and verdict.answer is None for verdict in verdicts):
        passes(verdicts)
    answers = [verdict.answer for verdict in verdicts or ()]
    _refuse_nameless(sum(verdict.passed and verdict.answer is None for verdict in verdicts or ()))
    return answers


def powers(n: int) -> list[int]:
    """1, 2, 4, ... below ``n``, and ``n``: the k of curves."""
    return sorted({2**i for i in range(n.bit_length()) if 2**i < n} | {n})
