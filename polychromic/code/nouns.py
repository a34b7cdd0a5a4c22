"""What ``code.json`` and ``best_of_n.json`` hold: runs of programs judged, what changed between them, best-of-N."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polychromic.records.jsonl import read_json
from polychromic.records.rows import FloatOrNaN, noun
from polychromic.settings.code import CodeExperiment
from polychromic.settings.section import Kind


@dataclass(frozen=True)
class PassRate:
    """pass@k over problems, in [0, 1], with its 95 % bootstrap interval; NaN with a reason when it has no value.

    ``passed`` of ``total`` samples passed (k = 1) or problems were solved at least once (k > 1).
    """

    k: int
    score: FloatOrNaN
    low: FloatOrNaN
    high: FloatOrNaN
    passed: int
    total: int
    reason: str = ""


@dataclass(frozen=True)
class Failing:
    """One problem that not every judged sample solved, with the most frequent way it failed, in one line."""

    task: str
    passed: int
    judged: int
    absent: int
    outcome: str
    detail: str


@dataclass(frozen=True)
class Amounts:
    """Seconds, tokens and dollars; None for tokens that an engine did not give, for dollars without a price."""

    seconds: float | None = None
    tokens: float | None = None
    dollars: float | None = None


@dataclass(frozen=True)
class RunCost(Amounts):
    """What sampling and verifying took in all, and for one passing sample; None where there is none."""

    per_pass: Amounts = Amounts()


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the verdicts on one run's samples add up to; ``pass_at_k`` by k as text, histograms by name."""

    tasks: int
    samples: int
    passed: int
    absent: int = 0
    pass_at_k: Mapping[str, PassRate]
    categories: Mapping[str, PassRate] = field(default_factory=dict)
    failing: tuple[Failing, ...] = ()
    outcomes: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    rules: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Holes:
    """How many structured candidates have holes, and how many holes there are in all."""

    candidates: int
    holes: int


@dataclass(frozen=True, kw_only=True)
class CodeRun(Summary):
    """An experiment that was run to its end."""

    name: str
    settings: CodeExperiment
    cost: RunCost | None = None
    holes: Holes | None = None


@dataclass(frozen=True)
class FailedRun:
    """An experiment that ended with an error."""

    name: str
    failed: str


@dataclass(frozen=True)
class Change:
    """One problem that one model solves and the other does not: first samples compared, and why it fails."""

    task: str
    gained: bool
    group: str
    outcome: str
    detail: str


@dataclass(frozen=True)
class Pair:
    """Run b against run a on the problems both answered: those that only one solves, exact McNemar p-value."""

    a: str
    b: str
    tasks: int
    gained: int
    lost: int
    p: float


@dataclass(frozen=True)
class Regression(Pair):
    """The same with how many each solves, the problems by name, and how each fails."""

    solved_a: int
    solved_b: int
    changes: tuple[Change, ...]
    failures_a: Mapping[str, int]
    failures_b: Mapping[str, int]


@dataclass(frozen=True)
class Gold:
    """How many gold programs were judged, which failed and why, and how many problems have none to be judged."""

    checked: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    without: int = 0


@dataclass(frozen=True, kw_only=True)
class Footing:
    """What results rest on: the task, the sandbox, the gold programs, and the benchmark's rows that are no problems."""

    task: str
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    gold: Gold = Gold()
    bad_rows: int = 0
    bad_places: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CodeResult(Footing):
    """Experiments on one task, each against the baseline, and every two against each other."""

    experiments: tuple[FailedRun | CodeRun, ...]
    regressions: tuple[Regression, ...] = ()
    pairs: tuple[Pair, ...] = ()

    @property
    def done(self) -> list[CodeRun]:
        """The experiments that ran."""
        return [each for each in self.experiments if isinstance(each, CodeRun)]

    @property
    def failed(self) -> list[FailedRun]:
        """The experiments that did not."""
        return [each for each in self.experiments if isinstance(each, FailedRun)]


@dataclass(frozen=True, kw_only=True)
class ForeignResult(Footing, Summary):
    """A file of programs that others drew; ``refused`` counts rows that could not be used, by reason."""

    model: str = ""
    not_attempted: int = 0
    identical: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    refused_places: tuple[str, ...] = ()
    cost: RunCost | None = None

    @property
    def name(self) -> str:
        """The model's, as that of a run."""
        return self.model


def read_result(folder: str | Path) -> CodeResult | ForeignResult:
    """What the folder's ``code.json`` holds.

    Raises:
        MissingResourceError: the folder has none.
        RecordError: it is none.
    """
    path = Path(folder) / "code.json"
    row = read_json(path)
    return noun(str(path), CodeResult, row) if "experiments" in row else noun(str(path), ForeignResult, row)


@dataclass(frozen=True)
class Claim:
    """What ``experiment.json`` says of the samples beside it: the task's entry, and how it was put."""

    task: Kind
    strategy: str = "minimal"
    post_processing: Kind = "auto"


@dataclass(frozen=True)
class Ground:
    """What N candidates of one model at one temperature hold, whatever the scorer.

    ``single`` and ``oracle`` are pass@1 and pass@N; ``all_identical`` is the share of prompts whose N candidates are
    one and the same, ``identical`` the share of the N that repeat another one. NaN where it cannot be known.
    """

    model: str
    temperature: float
    n: int
    prompts: int
    single: FloatOrNaN
    oracle: FloatOrNaN
    all_identical: FloatOrNaN
    identical: FloatOrNaN
    cost_multiplier: FloatOrNaN
    reason: str = ""


@dataclass(frozen=True)
class Choice:
    """What one scorer makes of them.

    ``selected`` is the success rate of its choices, ``gain`` that minus a single sample's with its 95 % interval,
    ``oracle_gap`` what a perfect scorer would add, ``efficiency`` the part of the possible gain that it takes.
    ``auc`` is the mean over prompts with right and wrong candidates of P(right scored above wrong), ties one half.
    ``spread`` is the mean standard deviation of the scores within a prompt. Costs are in samples a passing answer.
    """

    scorer: str
    selected: FloatOrNaN
    gain: FloatOrNaN
    low: FloatOrNaN
    high: FloatOrNaN
    oracle_gap: FloatOrNaN
    efficiency: FloatOrNaN
    auc: FloatOrNaN
    auc_prompts: int
    spread: FloatOrNaN
    cost_per_pass: FloatOrNaN
    single_cost_per_pass: FloatOrNaN
    reason: str = ""


@dataclass(frozen=True)
class BestOfN(Ground):
    """The same with every scorer's choices, the temperature from which candidates differ, and what to do."""

    choices: tuple[Choice, ...] = ()
    differs_at: float | None = None
    advice: str = ""


@dataclass(frozen=True)
class BestOfNResult:
    """``best_of_n.json``: an entry for each model, temperature and N."""

    entries: tuple[BestOfN, ...] = ()
