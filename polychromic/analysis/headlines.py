"""Which of the measured metrics a verdict rests on, and what tells those apart that share a name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from polychromic.core.facts import MetricFacts, Role

PASS_AT_K = "pass_at_k"
"""The kind whose curve over k says how far more samples reach."""


def names(facts: Iterable[MetricFacts]) -> dict[str, str]:
    """A name for each signature; those that would share one carry the options that tell them apart."""
    titled: dict[str, list[MetricFacts]] = {}
    for each in facts:
        titled.setdefault(each.title, []).append(each)
    return {
        each.signature: f"{title} ({_apart(each, group)})" if group[1:] else title
        for title, group in titled.items()
        for each in group
    }


def _apart(facts: MetricFacts, others: Sequence[MetricFacts]) -> str:
    apart = [
        f"{name} {value}"
        for name, value in facts.options.items()
        if any(other.options.get(name) != value for other in others)
    ]
    return ", ".join(apart) or facts.signature


def pass_at_ks(facts: Iterable[MetricFacts]) -> list[MetricFacts]:
    """The pass@k among the metrics, by rising k."""
    return sorted((each for each in facts if each.kind == PASS_AT_K), key=lambda each: each.k)


def primary_diversity(facts: Iterable[MetricFacts]) -> MetricFacts | None:
    """The diversity metric a verdict rests on: the best-ranked headline, at its largest k; None if there is none."""
    return min(_leading(facts, Role.DIVERSITY), key=lambda each: (each.headline, -each.k, each.signature), default=None)


def primary_quality(facts: Iterable[MetricFacts]) -> MetricFacts | None:
    """The quality metric that caps a verdict: the best-ranked headline, at its smallest k; None if there is none."""
    return min(_leading(facts, Role.QUALITY), key=lambda each: (each.headline, each.k, each.signature), default=None)


def _leading(facts: Iterable[MetricFacts], role: Role) -> list[MetricFacts]:
    """The headlines of a role, or all of it where none is one; a metric without direction or intervals is left out."""
    found = [each for each in facts if each.role == role and not each.whole and each.direction]
    return [each for each in found if each.headline] or found
