"""What a project folder's work came to in dollars: the accounts of its trainings and evaluations, added up."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

from polychromic.analysis.cost import UNKNOWN, Cost, Prices
from polychromic.core.errors import BudgetError
from polychromic.records.artefacts import RunFolder
from polychromic.records.costs import TimingRow, accounts_in
from polychromic.records.evaluation import EvaluationFolder
from polychromic.settings.prices import price_per_hour
from polychromic.settings.schema import TrackingSection

BY_TOKENS = "server"
"""The device of samples that are paid by their tokens, where their price is known."""
OWNERS = ("run.json", "evaluation.json")
"""The files that make a folder a training or an evaluation, to which the accounts in it belong."""
WARNED_AT = 0.8
"""Of a budget."""
READING = 0.05
"""Of its time that work spends at most on reading accounts to find out whether its budget is spent."""


def prices_of(tracking: TrackingSection, per_hour: float | None = None) -> Prices:
    """The configuration's prices; the hour's is ``per_hour`` if it is given, and the environment's if nobody says."""
    hourly = price_per_hour(tracking.price_per_hour if per_hour is None else per_hour)
    return Prices(hourly, tracking.price_per_million_tokens, tracking.price_per_million_prompt_tokens)


def cost_of(row: TimingRow, prices: Prices) -> Cost:
    """A row's cost, at the price that is written in it before these."""
    tokens, read = (math.nan if each is None else each for each in (_drawn(row), row.tokens_read))
    if row.device == BY_TOKENS and row.stage == "sample" and prices.per_million_tokens is not None:
        return Cost(row.stage, tokens, row.seconds, row.devices, prices, read)
    hourly = prices.per_hour if row.price_per_hour is None else row.price_per_hour
    return Cost(row.stage, tokens, row.seconds, row.devices, Prices(hourly))


def _drawn(row: TimingRow) -> int | None:
    return None if row.tokens is None else sum(row.tokens)


def dollars_of(row: TimingRow, prices: Prices) -> float:
    """What the row came to, a served model's at its bill; NaN where its price is not known."""
    if row.bill is None:
        return cost_of(row, prices).dollars
    return math.nan if row.bill.dollars is None else row.bill.dollars


def dollars(rows: Iterable[TimingRow], prices: Prices) -> float:
    """What the rows came to; NaN where the price of one is not known, 0 for none."""
    return math.fsum(dollars_of(row, prices) for row in rows)


def rows_of(folder: Path) -> list[TimingRow]:
    """All accounts in a folder, but for those of trainings and evaluations further down.

    A run's are those of its training, its judge and its pools; of a run that is older than accounts the seconds of its
    ``run.json``.

    Raises:
        RecordError: a row of an account is wrong.
    """
    others = {path.parent for name in OWNERS for path in folder.rglob(name)} - {folder}
    accounts = accounts_in(folder).items()
    rows = [row for place, own in accounts if others.isdisjoint({place, *place.parents}) for row in own]
    seconds = None if rows else RunFolder(folder).record().seconds
    return rows if seconds is None else [TimingRow("train", seconds, 0.0)]


def prices_in(folder: Path, prices: Prices) -> Prices:
    """The prices that an evaluation's folder was given, else these."""
    known = EvaluationFolder(folder).record()
    return Prices(
        prices.per_hour if known.price_per_hour is None else known.price_per_hour,
        prices.per_million_tokens if known.price_per_million_tokens is None else known.price_per_million_tokens,
        prices.per_million_prompt_tokens
        if known.price_per_million_prompt_tokens is None
        else known.price_per_million_prompt_tokens,
    )


class Budget:
    """So many dollars for all trainings and evaluations below ``root``; None is no limit.

    Work whose price is not known does not count, which is said once.
    """

    def __init__(self, limit: float | None, root: str | Path, prices: Prices) -> None:
        self.limit, self.root, self.prices = limit, Path(root), prices
        self._said: set[str] = set()
        self._next = -math.inf
        if limit is not None and prices == UNKNOWN:
            self._say("no price is known, so nothing stops; set tracking.price_per_hour")

    def spent(self) -> float:
        """Dollars that are known to be spent below the root by now; 0 where nothing can stop.

        Raises:
            RecordError: a row of an account is wrong.
        """
        if self.limit is None or self.prices == UNKNOWN:
            return 0.0
        each = [
            dollars_of(row, prices)
            for folder, rows in accounts_in(self.root).items()
            for prices in [prices_in(folder, self.prices)]
            for row in rows
        ]
        known = [one for one in each if math.isfinite(one)]
        if len(known) < len(each):
            self._say(f"the price of some work in {self.root} is not known, so that it does not count")
        return math.fsum(known)

    def warn(self, spent: float) -> None:
        """Says once that most of the budget is spent, when it is."""
        if self.limit is not None and spent >= WARNED_AT * self.limit:
            self._say(f"{spent:.2f} of {self.limit:g} dollars are spent", "most")

    def refuse_overspent(self, kept: str = "") -> None:
        """Nothing while there is something left, and while the last look was a moment ago; ``kept`` says what is safe.

        Raises:
            BudgetError: the budget is spent.
        """
        start = time.monotonic()
        if self.limit is None or start < self._next:
            return
        spent = self.spent()
        self._next = time.monotonic() + (time.monotonic() - start) / READING
        if spent >= self.limit:
            said = f"{spent:.2f} of {self.limit:g} dollars are spent in {self.root}"
            raise BudgetError(f"tracking.budget: {said}; {kept}raise it to go on")
        self.warn(spent)

    def _say(self, text: str, about: str = "") -> None:
        if (about or text) not in self._said:
            self._said.add(about or text)
            warnings.warn(f"tracking.budget: {text}", stacklevel=3)
