"""A comparison's tables as LaTeX and CSV and its figures as PDF: what a paper takes over."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polychromic.analysis.record import Comparison, read_comparison
from polychromic.core.escaping import one_line
from polychromic.records.evaluation import Folder, opened
from polychromic.records.jsonl import to_jsonable, write_bytes
from polychromic.reporting import costs, figures, palette, runs, tables

FORMATS = ("html", "md", "latex", "csv", "pdf")
Table = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Heading and rows."""

SPENT = (
    *("model", "samples", "passed", "tokens", "device_seconds", "wall_seconds", "multiplier"),
    *("device_seconds_per_pass", "tokens_per_pass", "dollars", "dollars_per_pass"),
)
_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "[": "{[}",  # behind the end of a row it would be an option of that
    "*": "{*}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "†": r"\dag{}",
    "<": "$<$",
    ">": "$>$",
    "±": r"$\pm$",
    "λ": r"$\lambda$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "→": r"$\to$",
}
LONGEST, LABEL = 16, 26
"""Characters of a cell that is not broken into lines, and of one of the first column."""
FIRST, OTHERS = 0.28, 0.56
"""Of the line's width: the first column, and all others together, where they are broken."""
_SPECIAL = re.compile("|".join(map(re.escape, _LATEX)))


def number_tables(folder: Folder) -> dict[str, Table]:
    """Scores, differences, verdicts and (where seconds were written down) cost, in full precision; None for no number.

    Raises:
        MissingResourceError: the folder has no ``comparison.json``.
    """
    folder = opened(folder)
    comparison = read_comparison(folder.comparison)
    titles = {signature: facts.title for signature, facts in comparison.metrics.items()}
    scores = [
        [row.model, row.temperature, titles[row.signature], row.score, *row.interval, row.prompts]
        for row in comparison.scores
    ]
    heading = (
        *("metric", "a", "b", "temperature", "score_a", "score_b", "difference", "low", "high"),
        *("p", "p_holm", "minimum_detectable_effect"),
    )
    differences = [
        [
            *(titles[row.metric], row.a, row.b, row.temperature, row.score_a, row.score_b, row.difference),
            *(*row.interval, row.p, row.p_holm, row.minimum_detectable_effect),
        ]
        for row in comparison.differences
    ]
    verdicts = [[row.model, row.level, row.sentence] for row in comparison.verdicts]
    account = costs.evaluation_cost(folder, comparison.baseline)
    spent = [[getattr(row, key) for key in SPENT] for row in (account.models if account else ())]
    found: dict[str, Table] = {
        "scores": (("model", "temperature", "metric", "score", "low", "high", "prompts"), scores),
        "differences": (heading, differences),
        "verdicts": (("model", "level", "sentence"), verdicts),
        **({"cost": (SPENT, spent)} if spent else {}),
    }
    return {name: (head, [to_jsonable(row) for row in rows]) for name, (head, rows) in found.items()}


def write_csv(folder: Folder) -> list[Path]:
    """The paths of ``tables/NAME.csv``; an empty cell is a number that there is not. Raises as ``number_tables``."""
    place, written = opened(folder).path / "tables", []
    for name, (heading, rows) in number_tables(folder).items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([heading, *rows])
        written.append(_kept(place / f"{name}.csv", text.getvalue()))
    return written


def write_latex(folder: Folder) -> list[Path]:
    r"""The paths of ``tables/NAME.tex``, each a ``tabular`` for the package booktabs, to be taken in by ``\input``.

    Raises:
        MissingResourceError: the folder has no ``comparison.json``.
    """
    folder = opened(folder)
    comparison = read_comparison(folder.comparison)
    account = costs.evaluation_cost(folder, comparison.baseline)
    found: dict[str, Table] = {
        "headline": _headline(comparison),
        "returns": tables.returns_table(comparison),
        "cost": tables.sampling_table(account.models if account else (), comparison.baseline),
    }
    place = folder.path / "tables"
    return [_kept(place / f"{name}.tex", latex(*table)) for name, table in found.items() if table[1]]


def _headline(comparison: Comparison) -> Table:
    """Scores over their intervals, and a star for a difference from the baseline beyond doubt."""
    shown = tables.headline(comparison)
    heading = ["model", *(each for name, _ in shown.columns for each in (name, Small("95% interval")))]
    rows = [
        [model, *(each for cell in cells for each in (_starred(cell), Small(tables.bounds(cell.interval))))]
        for model, cells in shown.rows
    ]
    return heading, rows


def _starred(cell: tables.ScoreCell) -> str:
    return tables.number(cell.value) + ("*" if cell.mark in ("better", "worse") else "")


class Small(str):
    """A cell in small print."""


def latex(heading: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    r"""A ``tabular`` of booktabs, turned so that it fits a page: a column for each row, a line for each heading.

    Every cell is escaped. What is long is broken into lines; of three or four columns with usual names no line is
    wider than ``\linewidth``.
    """
    turned = list(zip(heading, *rows, strict=True))
    first = any(len(str(line[0])) > LABEL for line in turned)
    others = any(len(str(cell)) > LONGEST for line in turned for cell in line[1:])
    share = rf"p{{{OTHERS / max(1, len(rows)):.2f}\linewidth}}" if others else "r"
    columns = (rf"p{{{FIRST}\linewidth}}" if first else "l") + share * len(rows)
    broken = [first, *[others] * len(rows)]
    head, *lines = [" & ".join(map(_cell, line, broken)) + r" \tabularnewline" for line in turned]
    opened = rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}"
    return "\n".join([opened, r"\toprule", head, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}", ""])


def _cell(value: Any, broken: bool) -> str:
    said = (r"\scriptsize " if isinstance(value, Small) else "") + escaped(value)
    return rf"\raggedright {said}" if broken else said


def escaped(value: Any) -> str:
    """The value as LaTeX in one line: it is read as it was written, and starts no command."""
    return _SPECIAL.sub(lambda found: _LATEX[found[0]], one_line(str(value)))


def write_pdf(folder: Folder, trained: Mapping[str, Path]) -> list[Path]:
    """The paths of ``figures/NAME.pdf``, drawn anew; ``trained`` maps model names to their runs' folders.

    Raises:
        MissingResourceError: the folder has no ``comparison.json``.
    """
    folder = opened(folder)
    comparison = read_comparison(folder.comparison)
    colours = palette.model_colours(comparison.models, comparison.baseline, comparison.settings.base)
    weights = {name: weight for name, run in trained.items() if (weight := runs.weight(run)) is not None}
    return [each.write_pdf(folder.path / "figures") for each in figures.draw(comparison, colours, trained, weights)]


def _kept(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, [text.encode()])
    return path
