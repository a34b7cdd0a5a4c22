"""The parts of a comparison, rows of ``comparison.json``. Numbers that do not exist are NaN, with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from polychromic.core.errors import InputError
from polychromic.core.facts import Role
from polychromic.records.rows import FloatOrNaN

Interval = tuple[FloatOrNaN, FloatOrNaN]
"""The ends of a 95 % confidence interval; both NaN when there is none."""
STRONG, MODERATE, WEAK = "strong", "moderate", "weak"
NO_GAIN, UNRESOLVED, WORSE = "no useful gain", "not resolvable", "worse"
LEVELS = (STRONG, MODERATE, WEAK, NO_GAIN, UNRESOLVED, WORSE)
"""What a verdict can be, the best first."""
NO_INTERVAL: Interval = (float("nan"), float("nan"))


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One metric of one model at one temperature, over its valid prompts."""

    model: str
    temperature: float
    signature: str
    score: FloatOrNaN
    interval: Interval
    prompts: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Two one-sided tests: ``p`` for "within the margin both ways", ``not_worse_p`` for "not below minus margin"."""

    margin: float
    p: FloatOrNaN
    not_worse_p: FloatOrNaN


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Score of ``b`` minus score of ``a`` for one metric at one temperature, paired by prompt.

    ``p`` is two-sided, ``p_holm`` corrected for the ``family`` of differences tested together;
    ``minimum_detectable_effect`` is the smallest true difference that this many prompts would have shown with 80 %
    power in such a family, from a ``standard_error`` with ``freedom`` degrees. ``relative`` is the difference as a
    share of a's score, positive when b is better. ``title``, ``role``, ``direction`` and ``headline`` are the metric's
    facts; ``asked`` are the prompts both models were asked, of which ``prompts`` could be compared. Between methods,
    each trained with several seeds, ``seeds`` says how many of a and of b; ``a`` and ``b`` are then their names.
    """

    metric: str
    title: str
    role: Role
    direction: int
    headline: int
    a: str
    b: str
    temperature: float
    score_a: FloatOrNaN
    score_b: FloatOrNaN
    difference: FloatOrNaN
    interval: Interval
    standard_error: FloatOrNaN = float("nan")
    freedom: FloatOrNaN = float("nan")
    relative: FloatOrNaN = float("nan")
    p: FloatOrNaN = float("nan")
    p_holm: FloatOrNaN = float("nan")
    family: int = 0
    smallest_p: float = 0.0
    minimum_detectable_effect: FloatOrNaN = float("nan")
    prompts: int = 0
    asked: int = 0
    discordant: int = 0
    test: str = ""
    equivalence: Equivalence | None = None
    seeds: tuple[int, int] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MatrixLine:
    """A row of the decision matrix and what was found, all as shares of the score of ``a``, more being better for b.

    ``metric`` is the signature that stands in the row, empty where none was measured. ``level`` is that of a row which
    asks for a gain, ``kept`` that of one which tolerates a loss: met, not met or not resolvable. ``prompts_needed`` is
    about how many prompts would show a moderate gain.
    """

    metric: str
    title: str
    direction: int
    strong: float | None
    moderate: float | None
    strong_loss: float | None
    tolerated_loss: float | None
    gain: FloatOrNaN = float("nan")
    interval: Interval = NO_INTERVAL
    level: str = ""
    kept: str = ""
    found: str = ""
    said: str = ""
    prompts_needed: int | None = None


@dataclass(frozen=True, slots=True)
class AgainstBase:
    """What a trained model is beside its untrained base: ``better`` is "base", "model" or "" where neither clearly is.

    It speaks of the metric that leads the verdict, ``metric``; the sentence also of the others.
    """

    model: str
    base: str
    metric: str
    better: str
    sentence: str
    score: FloatOrNaN
    base_score: FloatOrNaN


@dataclass(frozen=True, slots=True)
class VariantVerdict:
    """What the differences say about one variant: a level, one sentence, and the reasoning, a sentence each.

    ``metrics`` are the signatures it rests on, the decisive diversity metric first; ``matrix`` is the table it was
    read from, ``following`` what to do next, in one line.
    """

    model: str
    baseline: str
    temperature: float
    level: str
    sentence: str
    reasoning: tuple[str, ...]
    metrics: tuple[str, ...]
    matrix: tuple[MatrixLine, ...] = ()
    following: str = ""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise InputError(f"level: expected one of {', '.join(LEVELS)}")


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """A model's quality and diversity at one temperature."""

    temperature: float
    quality: float
    quality_interval: Interval
    diversity: float
    diversity_interval: Interval


@dataclass(frozen=True, slots=True)
class FrontierCurve:
    """A model's points, and the area they dominate."""

    points: tuple[FrontierPoint, ...]
    hypervolume: FloatOrNaN
    hypervolume_interval: Interval


@dataclass(frozen=True, slots=True)
class Matched:
    """Mean diversity of b minus that of a over the qualities that both reach."""

    a: str
    b: str
    quality_range: tuple[float, float]
    difference: FloatOrNaN
    interval: Interval
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TemperatureAnswer:
    """Whether a, at another temperature, is as diverse as b is at ``temperature``, at b's quality."""

    a: str
    b: str
    temperature: float
    answer: str
    sentence: str
    difference: FloatOrNaN = float("nan")
    interval: Interval = NO_INTERVAL


@dataclass(frozen=True, slots=True)
class Frontier:
    """Quality against diversity over the temperatures: signatures of both, each model's curve, and who buys what.

    Without curves there is a ``reason``; ``reference`` is the point hypervolumes are measured from.
    """

    quality: str = ""
    diversity: str = ""
    reference: tuple[float, float] = (0.0, 0.0)
    models: Mapping[str, FrontierCurve] = field(default_factory=dict)
    matched: tuple[Matched, ...] = ()
    swept: tuple[TemperatureAnswer, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Collapse:
    """The k beyond which pass@k gains less than ``bound``: None when it gains more at each of ``samples``."""

    model: str
    collapse: int | None
    samples: int
    bound: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Diversity gained for each unit of quality lost; infinite, NaN in the file, when the gain was free."""

    model: str
    gain: FloatOrNaN
    loss: FloatOrNaN
    efficiency: FloatOrNaN
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Returns:
    """Where samples stop paying, and what diversity cost in quality, a row a model."""

    collapse: tuple[Collapse, ...] = ()
    efficiency: tuple[Efficiency, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleSplit:
    """How much of the uncertainty of a pass@1 difference more samples, or more prompts, would remove."""

    a: str
    b: str
    temperature: float
    between: float
    within: float
    prompts: int
    samples: int
    within_share: FloatOrNaN
    advice: str


@dataclass(frozen=True, slots=True)
class Flag:
    """A sentence to read before believing a number; ``level`` is "warning" or "note"."""

    kind: str
    level: str
    text: str
    model: str = ""
    temperature: float | None = None
