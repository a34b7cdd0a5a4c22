"""comparison.json and its rows -> report.html, report.md and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from polychromic.reporting.page import Extras, write_report


def run(folder: str | Path, runs: Mapping[str, str | Path] | None = None, extras: Extras | None = None) -> Path:
    """The path of ``report.html``; ``runs`` maps model names to their training runs' folders, for curves and cost.

    Raises:
        MissingResourceError: the folder has no ``comparison.json``.
    """
    given = extras or Extras()
    named = {name: Path(path) for name, path in (runs or {}).items()}
    return write_report(folder, given if not named else Extras(named, given.lambdas, given.cost, given.title))
