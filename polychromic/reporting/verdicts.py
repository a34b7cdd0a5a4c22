"""What the page says first: the base where it is better, the best verdict, and the decision matrix as a table."""

from __future__ import annotations

import math
from dataclasses import dataclass

from polychromic.analysis import against_base
from polychromic.analysis.matrix import MET
from polychromic.analysis.nouns import LEVELS, MatrixLine, VariantVerdict
from polychromic.analysis.record import Comparison
from polychromic.analysis.seeds import family
from polychromic.reporting import markdown
from polychromic.reporting.tables import DASH, percent

NOTHING = "Scores of one model; nothing to compare it with."


def judged(comparison: Comparison) -> list[VariantVerdict]:
    """The verdicts to read: on methods where there are several training seeds, else on the models themselves."""
    methods = {verdict.model for verdict in comparison.methods}
    single = [verdict for verdict in comparison.verdicts if family(verdict.model) not in methods]
    return [*comparison.methods, *single]


def opening(comparison: Comparison) -> tuple[str, str]:
    """What stands first and what follows it: the base where it beats the best variant, and that one's verdict.

    Of equal verdicts that of the largest gain. The second is empty where the base is not better.
    """
    gains = {(row.b, row.metric): row.relative for row in (*comparison.from_baseline(), *comparison.seeds)}

    def rank(verdict: VariantVerdict) -> tuple[int, float]:
        gain = max((gains.get((verdict.model, metric), 0.0) for metric in verdict.metrics[:1]), default=0.0)
        return LEVELS.index(verdict.level), -gain if math.isfinite(gain) else 0.0

    titles = {signature: facts.title for signature, facts in comparison.metrics.items()}
    verdicts = sorted(judged(comparison), key=rank)
    best = verdicts[0] if verdicts else None
    base = against_base.opening(comparison.bases, best.model if best else "", titles)
    beside = next((each.sentence for each in comparison.bases), NOTHING)
    said = [each for each in (base, best.sentence if best else "") if each] or [beside]
    return said[0], " ".join(said[1:])


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """What one verdict's line says: the change with its interval, what was found, and "better", "worse" or ""."""

    change: str
    found: str
    mark: str


@dataclass(frozen=True, slots=True)
class MatrixTable:
    """The decision matrix: a row's metric, direction and bands as text, and a cell for each of ``models``."""

    models: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[MatrixCell, ...]], ...]

    @property
    def odd(self) -> bool:
        """Whether some interval and Holm's p seem to contradict each other."""
        return any("†" in cell.found for _, cells in self.rows for cell in cells)


BANDS = ("metric", "better", "strong", "moderate", "tolerated loss")


def matrix(comparison: Comparison) -> MatrixTable:
    """The matrix of every verdict to read; empty without one."""
    verdicts = [verdict for verdict in judged(comparison) if verdict.matrix]
    lines = zip(*(verdict.matrix for verdict in verdicts), strict=True)
    rows = tuple((_bands(several[0]), tuple(map(_cell, several))) for several in lines)
    return MatrixTable(tuple(verdict.model for verdict in verdicts), rows)


def _bands(line: MatrixLine) -> tuple[str, ...]:
    way = "more" if line.direction > 0 else "less" if line.direction < 0 else DASH
    losses = [f"{share:.0%}" for share in (line.strong_loss, line.tolerated_loss) if share is not None]
    gains = [DASH if share is None else f"from {share:.0%}" for share in (line.strong, line.moderate)]
    return (line.title, way, *gains, " / ".join(losses) or DASH)


def _cell(line: MatrixLine) -> MatrixCell:
    low, high = line.interval
    span = f" [{percent(low)} to {percent(high)}]" if math.isfinite(low + high) else ""
    mark = "better" if line.found.startswith(MET) else "worse" if line.found.startswith("not met") else ""
    change = f"{percent(line.gain)}{span}" if math.isfinite(line.gain) else ""
    return MatrixCell(change, line.found, mark)


def matrix_rows(table: MatrixTable) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of the table as text."""
    heading = [*BANDS, *table.models]
    rows = [[*bands, *(f"{each.change} {each.found}".strip() for each in cells)] for bands, cells in table.rows]
    return heading, rows


def matrix_markdown(table: MatrixTable) -> markdown.Markdown:
    """The table in Markdown; empty without rows."""
    return markdown.table(*matrix_rows(table)) if table.rows else markdown.Markdown()
