"""The section on routing: what each policy came to, as rows of text."""

from __future__ import annotations

import math
from pathlib import Path

from polychromic.analysis.nouns import Interval
from polychromic.analysis.routing import Routing, RoutingRow
from polychromic.records.rows import read_noun
from polychromic.reporting.tables import DASH

ROUTING = "routing.json"


def read(folder: Path) -> Routing | None:
    """The folder's routing, None where ``polychromic route`` was not called."""
    path = folder / ROUTING
    return read_noun(path, Routing) if path.exists() else None


def routing_table(found: Routing) -> tuple[list[str], list[list[str]]]:
    """Heading and cells: rate and price with intervals, against the best single model, and what was learned."""
    heading = ["policy", "right", "dollars a prompt", "against the best single model", "learned"]
    return heading, [_cells(row) for row in found.rows]


def _cells(row: RoutingRow) -> list[str]:
    if row.reason:
        return [row.policy, DASH, DASH, DASH, row.reason]
    right = f"{row.rate:.1%}{_span(row.rate_interval, '.1%')}"
    dollars = f"{row.dollars:.3g}{_span(row.dollars_interval, '.3g')}"
    return [row.policy, right, dollars, f"{row.gain:+.1%}{_span(row.gain_interval, '+.1%')}", row.learned or DASH]


def _span(interval: Interval, form: str) -> str:
    low, high = interval
    return f" [{low:{form}}, {high:{form}}]" if math.isfinite(low + high) else ""
