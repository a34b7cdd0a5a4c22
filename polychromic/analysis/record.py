"""``comparison.json`` as a noun: what was compared, how, and everything that was found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from polychromic.analysis.nouns import (
    AgainstBase,
    Difference,
    Flag,
    Frontier,
    Returns,
    SampleSplit,
    ScoreRow,
    VariantVerdict,
)
from polychromic.analysis.resampling import Plan
from polychromic.core.errors import InputError, RecordError
from polychromic.core.facts import MetricFacts
from polychromic.records.rows import read_noun
from polychromic.settings.thresholds import Thresholds

BASELINE_PAIRS, ALL_PAIRS = "baseline", "all"


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """What is compared with what, and how.

    ``base`` is the untrained model, ``bases`` the one of each model that has another. ``temperature`` is the one
    verdicts speak about; None asks for 1.0, or the middle one. ``pairs`` is "baseline" for differences from baseline
    and base, "all" for those of every two models, which are then one family for Holm.
    """

    baseline: str
    base: str | None = None
    plan: Plan = field(default_factory=Plan)
    thresholds: Thresholds = field(default_factory=Thresholds)
    temperature: float | None = None
    pairs: str = BASELINE_PAIRS
    bases: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pairs not in (BASELINE_PAIRS, ALL_PAIRS):
            raise InputError(f"pairs: {BASELINE_PAIRS} and {ALL_PAIRS} are allowed")

    @property
    def untrained(self) -> frozenset[str]:
        """The models that are a base."""
        return frozenset(filter(None, (self.base, *self.bases.values())))

    def base_of(self, model: str) -> str | None:
        """The untrained model that a model was trained from, as far as it is known; a base has none."""
        return None if model in self.untrained else self.bases.get(model, self.base)

    def variants(self, models: Iterable[str]) -> list[str]:
        """The models that are neither the baseline nor a base."""
        return [model for model in models if model != self.baseline and model not in self.untrained]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The content of ``comparison.json``.

    ``temperature`` is the one verdicts speak about; ``metrics`` says what each signature means, under a title that no
    other has; ``prompts`` counts those of all models together. ``verdicts`` speak of models, ``methods`` of variants
    that were trained with several seeds, on the differences in ``seeds``.
    """

    settings: CompareSettings
    temperature: float
    prompts: int
    models: tuple[str, ...]
    metrics: Mapping[str, MetricFacts]
    scores: tuple[ScoreRow, ...]
    differences: tuple[Difference, ...]
    frontier: Frontier
    verdicts: tuple[VariantVerdict, ...]
    returns: Returns
    spread: tuple[SampleSplit, ...] = ()
    bases: tuple[AgainstBase, ...] = ()
    seeds: tuple[Difference, ...] = ()
    methods: tuple[VariantVerdict, ...] = ()
    flags: tuple[Flag, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses rows about models and metrics that nothing is said of.

        Raises:
            InputError: there are such rows.
        """
        frontier = self.frontier
        models = {self.settings.baseline, *frontier.models, *(row.model for row in self.scores)}
        models |= {row.model for row in self.verdicts}
        models |= {name for row in self.differences for name in (row.a, row.b)}
        metrics = {row.signature for row in self.scores} | {frontier.quality, frontier.diversity} - {""}
        metrics |= {row.metric for row in self.differences} | {row.metric for row in self.seeds}
        for what, named, known in (("models", models, self.models), ("metrics", metrics, self.metrics)):
            if unknown := named - set(known):
                raise InputError(f"{what}: {len(unknown)} have rows and are not among them")
        if frontier.models and not (frontier.quality and frontier.diversity):
            raise InputError("frontier: it has curves and does not say of what")

    @property
    def baseline(self) -> str:
        """The model the others are compared with."""
        return self.settings.baseline

    def variants(self) -> list[str]:
        """The models that are neither baseline nor base."""
        return self.settings.variants(self.models)

    def from_baseline(self) -> list[Difference]:
        """The differences from the baseline at the temperature that verdicts speak about."""
        return [each for each in self.differences if (each.a, each.temperature) == (self.baseline, self.temperature)]


def read_comparison(path: str | Path) -> Comparison:
    """The comparison that a file holds.

    Raises:
        MissingResourceError: there is no such file.
        RecordError: the file is damaged, or of an older version.
    """
    try:
        return read_noun(path, Comparison)
    except RecordError as error:
        raise RecordError(f"{error}; `polychromic compare {Path(path).parent}` writes it anew") from None
