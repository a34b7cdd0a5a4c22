"""One account over a project folder: planned, spent, still to spend, for each variant and for a passing answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from polychromic.analysis import spending
from polychromic.analysis.cost import Cost, Prices
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.project import plan
from polychromic.records.artefacts import RunFolder
from polychromic.records.costs import read_costs
from polychromic.records.evaluation import EvaluationFolder
from polychromic.records.logs import read_logs
from polychromic.records.rows import FloatOrNaN
from polychromic.reporting.costs import evaluation_cost
from polychromic.settings.load import load_settings
from polychromic.settings.prices import price_per_hour
from polychromic.settings.schema import Settings

JUDGING = ("verify", "judge")
NO_PRICE = "no price: give --price-per-hour, tracking.price_per_hour or POLYCHROMIC_PRICE_PER_HOUR"
NEVER_TIMED = "its time was not written down"


@dataclass(frozen=True, slots=True)
class RunAccount:
    """A training: dollars planned, spent and still to spend, and hours of its devices; NaN with a ``reason``."""

    name: str
    folder: str
    steps: int
    of_steps: int
    device_seconds: FloatOrNaN
    planned: FloatOrNaN
    spent: FloatOrNaN
    left: FloatOrNaN
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ModelAccount:
    """A model of an evaluation: dollars of its samples and its share of judging and the rest; NaN with a ``reason``.

    ``per_pass`` is what one passing answer came to: samples and judging; ``with_training`` adds what the model's
    training cost.
    """

    evaluation: str
    model: str
    samples: int
    passed: int
    sampling: FloatOrNaN
    judging: FloatOrNaN
    rest: FloatOrNaN
    per_pass: FloatOrNaN
    with_training: FloatOrNaN
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """All of a project folder, in dollars; ``budget`` is the smallest that one of its runs has.

    ``elsewhere`` is what belongs to no run and no evaluation, such as a pool that was drawn by itself.
    """

    folder: str
    runs: tuple[RunAccount, ...]
    models: tuple[ModelAccount, ...]
    training: FloatOrNaN
    evaluation: FloatOrNaN
    left: FloatOrNaN
    elsewhere: FloatOrNaN = 0.0
    budget: float | None = None

    @property
    def spent(self) -> float:
        """Dollars of training, evaluation and the rest."""
        return self.training + self.evaluation + self.elsewhere


def of_folder(
    root: str | Path, price: float | None = None, configs: Sequence[str] = (), device: str = "h100"
) -> Account:
    """The account of all runs and evaluations below ``root``; ``configs`` adds runs that have not begun.

    ``price`` of a device hour stands in where none was written down; the plan is for one ``device``.

    Raises:
        MissingResourceError: there is no such folder, or it holds neither a run nor an evaluation.
    """
    place = Path(root)
    if not place.is_dir():
        raise MissingResourceError(f"{place}: there is no such folder")
    known = price_per_hour(price)
    runs = [_run(RunFolder(path.parent), known, device) for path in sorted(place.rglob("run.json"))]
    begun = {run.folder for run in runs}
    runs += [run for config in configs if (run := _ahead(load_settings(config), known, device)).folder not in begun]
    folders = [path.parent for path in sorted(place.rglob("evaluation.json"))]
    if not runs and not folders:
        raise MissingResourceError(f"{place}: holds neither a run nor an evaluation")
    trained = {run.name: run.spent for run in runs}
    models = [row for folder in folders for row in _models(folder, trained, known)]
    evaluated = [spending.dollars(spending.rows_of(path), spending.prices_in(path, Prices(known))) for path in folders]
    owners = {str(path) for path in folders} | begun
    return Account(
        str(place),
        tuple(runs),
        tuple(models),
        math.fsum(run.spent for run in runs),
        math.fsum(evaluated),
        math.fsum(run.left for run in runs),
        0.0 if str(place) in owners else spending.dollars(spending.rows_of(place), Prices(known)),
        min((budget for path in begun if (budget := _budget(RunFolder(Path(path)))) is not None), default=None),
    )


def _budget(folder: RunFolder) -> float | None:
    return folder.record().number("tracking", "budget")


def _settings(folder: RunFolder) -> Settings | None:
    """The run's settings; None for those of another version."""
    try:
        return load_settings(folder.resolved)
    except InputError:
        return None


def _run(folder: RunFolder, price: float | None, device: str) -> RunAccount:
    """A run that has begun: what is left goes at the pace so far, or as planned before the first step."""
    record, settings = folder.record(), _settings(folder)
    own = record.number("tracking", "price_per_hour")
    prices = Prices(price if own is None else own)
    rows = spending.rows_of(folder.path)
    seconds = math.fsum(spending.cost_of(row, prices).device_seconds for row in rows)
    spent = spending.dollars(rows, prices) if rows else math.nan if record.finished else 0.0
    steps = max((log.step for log in read_logs(folder.metrics)), default=0)
    forecast = None if settings is None else plan.forecast(settings, _device(settings, device))
    planned = math.nan if forecast is None else Cost("plan", 0, forecast.total, 1, prices).dollars
    total = max(steps, forecast.steps if forecast else 0)
    ahead = spent / steps * (total - steps) if steps and rows else planned
    left = 0.0 if record.finished else ahead
    reason = NEVER_TIMED if not rows and record.finished else NO_PRICE if math.isnan(spent + left) else ""
    return RunAccount(folder.path.name, str(folder.path), steps, total, seconds, planned, spent, left, reason)


def _device(settings: Settings, device: str) -> str:
    return "cpu" if settings.training.get("use_cpu") else device


def _ahead(settings: Settings, price: float | None, device: str) -> RunAccount:
    """A run that has not begun: all of its plan is still to be spent."""
    name = settings.experiment.name
    own = Prices(price if settings.tracking.price_per_hour is None else settings.tracking.price_per_hour)
    forecast = plan.forecast(settings, _device(settings, device))
    planned = Cost("plan", 0, forecast.total, 1, own).dollars
    folder = str(Path(settings.experiment.output_root) / name)
    return RunAccount(
        name, folder, 0, forecast.steps, 0.0, planned, 0.0, planned, "" if own.per_hour is not None else NO_PRICE
    )


def _models(folder: Path, trained: dict[str, float], price: float | None) -> Iterator[ModelAccount]:
    """The models of an evaluation; judging and the rest are divided by their numbers of samples."""
    opened = EvaluationFolder(folder)
    rows, prices = read_costs(folder), spending.prices_in(folder, Prices(price))
    found = evaluation_cost(opened, "", prices)
    if found is None:
        return
    judging = spending.dollars([row for row in rows if row.stage in JUDGING], prices)
    rest = spending.dollars([row for row in rows if row.stage not in (*JUDGING, "sample")], prices)
    whole = sum(row.samples for row in found.models) or 1
    for row in found.models:
        share = row.samples / whole
        answers = row.dollars + judging * share
        passes = row.passed or math.nan
        reason = row.reason or (NO_PRICE if math.isnan(answers) else "")
        training = trained.get(row.model, 0.0)
        yield ModelAccount(
            str(folder),
            row.model,
            row.samples,
            row.passed,
            row.dollars,
            judging * share,
            rest * share,
            answers / passes,
            (answers + training) / passes,
            reason,
        )


def lines(account: Account) -> list[str]:
    """The account's sums and reasons as a person reads them; the tables are the verb's."""
    elsewhere = f", elsewhere {_dollars(account.elsewhere)}" if account.elsewhere else ""
    said = [
        f"spent: {_dollars(account.spent)} (training {_dollars(account.training)}, evaluation "
        f"{_dollars(account.evaluation)}{elsewhere}); still to spend on training: {_dollars(account.left)}"
    ]
    if account.budget is not None:
        said.append(f"budget: {account.budget:.2f}; of it left: {_dollars(account.budget - account.spent)}")
    reasons = dict.fromkeys([*(row.reason for row in account.runs), *(row.reason for row in account.models)])
    return [*said, *(f"not known: {reason}" for reason in reasons if reason)]


def _dollars(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
