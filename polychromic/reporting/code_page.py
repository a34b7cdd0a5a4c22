"""report.html of a code run: one page that needs nothing, from the folder's ``code.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polychromic.records.jsonl import read_json, write_bytes
from polychromic.reporting.page import environment, shown, style

SHOWN: Mapping[str, Any] = {"categories": {}, "failing": [], "absent": 0, "cost": None}
"""What a run of before had no account of."""
MOST_FAILING = 500
"""Failing problems of one run that the page names; all are in ``code.json``."""


def write_code_report(folder: str | Path) -> Path:
    """The path of ``report.html`` in the folder of a code run, or of foreign programs that were judged.

    Raises:
        MissingResourceError: the folder has no ``code.json``.
    """
    folder = Path(folder)
    result = read_json(folder / "code.json")
    runs = [{**SHOWN, **item} for item in result.get("experiments", [_foreign(result)]) if "failed" not in item]
    best = {item["name"]: _best_of_n(folder, item["name"]) for item in runs}
    page = (
        environment(shown, autoescape=True)
        .get_template("code.html.jinja")
        .render(
            task=result["task"],
            sandbox={"level": "unknown", "judge": "split"} | result.get("sandbox", {}),
            gold=result.get("gold") or {"checked": 0, "failed": {}},
            bad_rows=result.get("bad_rows", 0),
            bad_places=result.get("bad_places", ()),
            pairs=result.get("pairs", ()),
            regressions=result.get("regressions", ()),
            runs=runs,
            failed=[item for item in result.get("experiments", ()) if "failed" in item],
            ks=sorted({int(k) for item in runs for k in item["pass_at_k"]}),
            categories=_names(runs, "categories"),
            counts=[
                (title, key, _names(runs, key)) for title, key in (("Outcomes", "outcomes"), ("Extraction", "rules"))
            ],
            best={name: entries for name, entries in best.items() if entries},
            most=MOST_FAILING,
            style=style(),
        )
    )
    write_bytes(folder / "report.html", [page.encode("utf-8")])
    return folder / "report.html"


def _foreign(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result on a file of programs as a run of its own."""
    return {"name": result.get("model", ""), "settings": {}, **result}


def _names(runs: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(name for item in runs for name in item.get(key) or ()))


def _best_of_n(folder: Path, name: str) -> list[dict[str, Any]]:
    """What best-of-N found on the run, where it was asked."""
    for path in (folder / name / "best_of_n.json", folder / "best_of_n.json"):
        if path.exists():
            return list(read_json(path)["entries"])
    return []
