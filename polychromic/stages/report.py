"""comparison.json and its rows -> report.html, report.md and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from polychromic.analysis.record import Comparison, read_comparison
from polychromic.core.digests import file_digest
from polychromic.records.artefacts import RunFolder
from polychromic.records.evaluation import EvaluationFolder, Folder, opened
from polychromic.records.jsonl import to_jsonable, write_json
from polychromic.reporting.exports import number_tables, write_csv, write_latex, write_pdf
from polychromic.reporting.page import Extras, write_report
from polychromic.reporting.runs import weight
from polychromic.settings.load import load_settings
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


def publish(
    folder: str | Path, section: TrackingSection, runs: Mapping[str, Path] | None = None, group: str = ""
) -> str:
    """Sends the report's tables and figures to W&B; how it went: "online", "offline", "disabled" or "failed".

    No prompts or completions are sent: settings, scores, tables and figures, comparison.json and report.md. ``runs``
    tells the lambda of each model.

    Raises:
        MissingResourceError: the folder has no ``comparison.json``.
    """
    from polychromic.training.tracking import Published, publish

    folder, comparison = Path(folder), read_comparison(Path(folder) / "comparison.json")
    lambdas = {model: weight(run) for model, run in (runs or {}).items()}
    content = Published(
        name=f"comparison-{folder.resolve().parent.name}-{folder.resolve().name}",
        config={
            "comparison": to_jsonable(comparison.settings) | {"temperature": comparison.temperature},
            "models": list(comparison.models),
            "lambda": {model: value for model, value in lambdas.items() if value is not None},
            "evaluation": dict(opened(folder).record().pins),
        },
        scalars=scalars(comparison),
        tables=number_tables(folder),
        images={path.stem: path for path in sorted((folder / "figures").glob("*.png"))},
        files=[path for path in (folder / "comparison.json", folder / "report.md") if path.exists()],
    )
    return publish(section, folder, content, group)


def publish_new(folder: EvaluationFolder, runs: Mapping[str, Path], config: str | Path | None = None) -> str:
    """As ``publish`` where a configuration's ``tracking`` says so, else the first run's; none of both: "disabled".

    A comparison that was sent is not sent again: "sent before".
    """
    record, made = folder.record(), file_digest(folder.comparison)
    if record.stages.get("wandb") == made:
        return "sent before"
    known = [RunFolder(run).resolved for run in runs.values()]
    source = config or next((path for path in known if path.exists()), None)
    if source is None:
        return "disabled"
    settings = load_settings(source)
    how = publish(folder.path, settings.tracking, runs, settings.experiment.group)
    if how in ("online", "offline"):
        write_json(folder.record_file, replace(record, stages={**record.stages, "wandb": made}))
    return how


def scalars(comparison: Comparison) -> dict[str, float | str]:
    """Scores at the temperature of the verdicts, ``eval/METRIC/MODEL``, and the verdicts' levels, for a dashboard."""
    scores = [row for row in comparison.scores if row.temperature == comparison.temperature]
    found: dict[str, float | str] = {
        f"eval/{comparison.metrics[row.signature].title}/{row.model}": row.score
        for row in scores
        if math.isfinite(row.score)
    }
    return found | {f"verdict/{verdict.model}": verdict.level for verdict in comparison.verdicts}
