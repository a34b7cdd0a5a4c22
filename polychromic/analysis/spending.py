"""What a project folder's work came to in dollars: the accounts of its trainings and evaluations, added up."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from pathlib import Path

from polychromic.analysis.cost import Cost, Prices
from polychromic.core.errors import BudgetError
from polychromic.core.nouns import Bill
from polychromic.records.costs import TimingRow, accounts_in
from polychromic.records.evaluation import EvaluationFolder

BY_TOKENS = "server"
"""The device of samples that are paid by their tokens, where their price is known."""


def cost_of(row: TimingRow, prices: Prices) -> Cost:
    """A row's cost, at the price that is written in it before these."""
    hourly = prices.per_hour if row.price_per_hour is None else row.price_per_hour
    tokens = math.nan if row.tokens is None else sum(row.tokens)
    paid = prices.per_million_tokens if row.device == BY_TOKENS and row.stage == "sample" else None
    return Cost(row.stage, tokens, row.seconds, row.devices, hourly, paid)


def dollars(rows: Iterable[TimingRow], prices: Prices) -> float:
    """What the rows came to, a served model's at its bill; NaN where the price of one is not known, 0 for none."""
    return math.fsum(_billed(row.bill) if row.bill else cost_of(row, prices).dollars for row in rows)


def _billed(bill: Bill) -> float:
    return math.nan if bill.dollars is None else bill.dollars


def dollars_below(root: str | Path, prices: Prices) -> float:
    """What all trainings and evaluations below a folder came to so far; NaN where the price of a row is not known.

    Raises:
        RecordError: a row of an account is wrong.
    """
    return math.fsum(dollars(rows, prices_in(folder, prices)) for folder, rows in accounts_in(root).items())


def prices_in(folder: Path, prices: Prices) -> Prices:
    """The prices that an evaluation's folder was given, else these."""
    known = EvaluationFolder(folder).record()
    return Prices(
        prices.per_hour if known.price_per_hour is None else known.price_per_hour,
        prices.per_million_tokens if known.price_per_million_tokens is None else known.price_per_million_tokens,
    )


def refuse_overspent(root: str | Path, price_per_hour: float | None, budget: float | None) -> None:
    """Nothing while the work below ``root`` has cost less than the budget; warns where no price is known.

    Raises:
        BudgetError: the budget is spent.
    """
    if budget is None:
        return
    if price_per_hour is None:
        warnings.warn("tracking.budget: no price is known, so nothing stops; set tracking.price_per_hour", stacklevel=2)
        return
    spent = dollars_below(root, Prices(price_per_hour))
    if spent >= budget:
        raise BudgetError(f"tracking.budget: {spent:.2f} of {budget:g} dollars are spent in {root}; raise it to go on")
