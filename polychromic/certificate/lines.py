"""The lines of the certificate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One claim: what was checked, the figure, the bound it had to keep (such as ``< 1e-10``), and whether it did."""

    section: str
    claim: str
    figure: float
    bound: str
    passed: bool


def below(section: str, claim: str, figure: float, limit: float) -> Line:
    """A line that holds while the figure stays under ``limit``; NaN fails."""
    return Line(section, claim, figure, f"< {limit:g}", figure < limit)


def above(section: str, claim: str, figure: float, limit: float) -> Line:
    """A line that holds while the figure exceeds ``limit``: a mistake that must be detected; NaN fails."""
    return Line(section, claim, figure, f"> {limit:g}", figure > limit)


def zero(section: str, claim: str, figure: float) -> Line:
    """A line that holds when the figure is exactly 0."""
    return Line(section, claim, figure, "= 0", figure == 0.0)
