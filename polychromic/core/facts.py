"""What a metric says of itself, filled in for one signature: all that comparing and reporting know about it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from polychromic.core.errors import InputError

CORPUS = "corpus"


class Role(enum.StrEnum):
    """What a metric measures: a verdict rests on diversity, and a loss of quality caps it."""

    QUALITY = "quality"
    DIVERSITY = "diversity"
    LENGTH = "length"
    OTHER = "other"


@runtime_checkable
class Meaning(Protocol):
    """What a metric's numbers mean: of the class, the same for all its options."""

    title: ClassVar[str]
    """What a table calls it, options of the signature in braces, such as ``Distinct-{n}``."""
    role: ClassVar[Role]
    """Quality, diversity, length, or other, which has no say in a verdict; its string will do."""
    direction: ClassVar[int]
    """1: more is better (for diversity: more diverse), -1: less is, 0: neither."""
    headline: ClassVar[int]
    """Its place among the few numbers that a report starts with, from 1; 0 when it is none of them."""


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """One measured metric, understood.

    ``direction`` is 1 (more is better), -1 (less is better) or 0 (neither); ``headline`` is the rank among the metrics
    that people look at first, from 1; 0 for the others. ``subject`` is what there is more of where a diversity metric
    rises, such as "different right answers"; empty: the texts are more diverse.
    """

    signature: str
    kind: str
    title: str
    role: Role
    direction: int
    headline: int = 0
    options: Mapping[str, str] = field(default_factory=dict, compare=False)
    subject: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.direction not in (-1, 0, 1):
            raise InputError(f"direction: -1, 0 and 1 are allowed, not {self.direction!r:.20}")

    @classmethod
    def of(cls, metric: Meaning | type[Meaning], signature: str) -> MetricFacts:
        """The facts of a metric under this signature; ``{option}`` in its title is the signature's value.

        A metric over all prompts together is no headline: it has no interval.
        """
        kind, options = read_signature(signature)
        title = metric.title.format_map(_Options(options))
        subject = getattr(metric, "subject", "").format_map(_Options(options))
        headline = 0 if options.get("scope") == CORPUS else metric.headline
        return cls(signature, kind, title, Role(metric.role), metric.direction, headline, options, subject)

    @property
    def whole(self) -> bool:
        """Whether it compares the completions of all prompts with each other, so that prompts are not independent."""
        return self.options.get("scope") == CORPUS

    @property
    def k(self) -> int:
        """The number of samples the metric looks at, 0 if the signature does not say."""
        found = self.options.get("k", "")
        return int(found) if found.isdigit() else 0


class _Options(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "?"


def write_signature(kind: str, **options: Any) -> str:
    """``kind|option:value|...``; whole floats lose their point, None reads ``common``."""
    parts = [kind]
    for name, value in options.items():
        shown = "common" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        parts.append(f"{name}:{shown.replace('|', '/')}")
    return "|".join(parts)


def read_signature(signature: str) -> tuple[str, dict[str, str]]:
    """The kind and the options of a signature."""
    kind, *rest = signature.split("|")
    return kind, {name: value for name, _, value in (part.partition(":") for part in rest)}
