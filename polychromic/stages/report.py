"""comparison.json and its rows -> report.html, report.md and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from polychromic.records.evaluation import Folder
from polychromic.reporting.exports import number_tables, write_csv, write_latex, write_pdf
from polychromic.reporting.page import Extras, write_report
from polychromic.settings.schema import TrackingSection


def run(folder: Folder, runs: Mapping[str, str | Path] | None = None, extras: Extras | None = None) -> Path:
    """The path of ``report.html``; ``runs`` maps model names to their training runs' folders, for curves and cost.

    Raises:
        MissingResourceError: the folder has no ``comparison.json``.
    """
    given = extras or Extras()
    named = {name: Path(path) for name, path in (runs or {}).items()}
    return write_report(folder, given if not named else Extras(named, given.lambdas, given.cost, given.title))


def export(folder: Folder, form: str, runs: Mapping[str, str | Path] | None = None) -> list[Path]:
    """What was written in a form of ``reporting.exports.FORMATS``: pages, tables or figures.

    Raises:
        MissingResourceError: the folder has no ``comparison.json``.
    """
    if form == "latex":
        return write_latex(folder)
    if form == "csv":
        return write_csv(folder)
    if form == "pdf":
        return write_pdf(folder, {name: Path(path) for name, path in (runs or {}).items()})
    page = run(folder, runs)
    return [page if form == "html" else page.with_suffix(".md")]


def publish(folder: str | Path, section: TrackingSection) -> str:
    """Sends the report's tables and figures to W&B; how it went: "online", "offline", "disabled" or "failed".

    No prompts or completions are sent: the tables, the figures, comparison.json and report.md.

    Raises:
        MissingResourceError: the folder has no ``comparison.json``.
    """
    from polychromic.training.tracking import Published, publish

    folder = Path(folder)
    content = Published(
        name=f"comparison-{folder.resolve().parent.name}-{folder.resolve().name}",
        tables=number_tables(folder),
        images={path.stem: path for path in sorted((folder / "figures").glob("*.png"))},
        files=[path for path in (folder / "comparison.json", folder / "report.md") if path.exists()],
    )
    return publish(section, folder, content)
