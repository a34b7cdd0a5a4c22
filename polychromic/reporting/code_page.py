"""report.html of a code run: one page that needs nothing, from the folder's ``code.json``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polychromic.code.nouns import Amounts, BestOfN, BestOfNResult, Choice, CodeResult, RunCost, Summary, read_result
from polychromic.records.jsonl import write_bytes
from polychromic.records.rows import read_noun
from polychromic.reporting.page import environment, shown, style

COUNTS = (("Outcomes", "outcomes"), ("Extraction", "rules"))
MOST_FAILING = 500
"""Failing problems of one run that the page names; all are in ``code.json``."""


def write_code_report(folder: str | Path) -> Path:
    """The path of ``report.html`` in the folder of a code run, or of foreign programs that were judged.

    Raises:
        MissingResourceError: the folder has no ``code.json``.
    """
    folder = Path(folder)
    result = read_result(folder)
    table = result if isinstance(result, CodeResult) else CodeResult(task=result.task, experiments=())
    runs: list[Any] = [*table.done, *([result] if table is not result else [])]
    best = {item.name: _best_of_n(folder, item.name) for item in runs}
    page = (
        environment(shown, autoescape=True)
        .get_template("code.html.jinja")
        .render(
            result=result,
            table=table,
            sandbox={"level": "unknown", "judge": "split", **result.sandbox},
            runs=runs,
            ks=sorted({int(k) for item in runs for k in item.pass_at_k}),
            categories=column_names(runs, "categories"),
            counts=[(title, key, column_names(runs, key)) for title, key in COUNTS],
            best={name: entries for name, entries in best.items() if entries},
            amounts=amounts,
            most=MOST_FAILING,
            style=style(),
        )
    )
    write_bytes(folder / "report.html", [page.encode("utf-8")])
    return folder / "report.html"


def column_names(runs: Sequence[Summary], key: str) -> list[str]:
    """The names that the runs' tables ``key`` (such as ``outcomes``) have, in order of first appearance."""
    return list(dict.fromkeys(name for item in runs for name in getattr(item, key)))


def amounts(choice: Choice, item: Summary) -> Amounts:
    """What a passing answer takes when a scorer chooses it among N samples that cost what ``item``'s did."""
    cost = getattr(item, "cost", None) or RunCost()
    each = (cost.seconds, cost.tokens, cost.dollars)
    return Amounts(*(None if total is None else total / item.samples * choice.cost_per_pass for total in each))


def _best_of_n(folder: Path, name: str) -> tuple[BestOfN, ...]:
    """What best-of-N found on the run, where it was asked."""
    for path in (folder / name / "best_of_n.json", folder / "best_of_n.json"):
        if path.exists():
            return read_noun(path, BestOfNResult).entries
    return ()
