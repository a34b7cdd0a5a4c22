"""comparison.json and its rows -> report.html, report.md and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from polychromic.analysis.record import read_comparison
from polychromic.records.evaluation import Folder
from polychromic.records.jsonl import to_jsonable
from polychromic.reporting.costs import evaluation_cost
from polychromic.reporting.page import Extras, write_report
from polychromic.settings.schema import TrackingSection

SPENT = (
    *("model", "samples", "passed", "tokens", "device_seconds", "wall_seconds", "multiplier"),
    *("device_seconds_per_pass", "tokens_per_pass", "dollars", "dollars_per_pass"),
)
"""What of the account goes to W&B."""


def run(folder: Folder, runs: Mapping[str, str | Path] | None = None, extras: Extras | None = None) -> Path:
    """The path of ``report.html``; ``runs`` maps model names to their training runs' folders, for curves and cost.

    Raises:
        MissingResourceError: the folder has no ``comparison.json``.
    """
    given = extras or Extras()
    named = {name: Path(path) for name, path in (runs or {}).items()}
    return write_report(folder, given if not named else Extras(named, given.lambdas, given.cost, given.title))


def publish(folder: str | Path, section: TrackingSection) -> str:
    """Sends the report's tables and figures to W&B; how it went: "online", "offline", "disabled" or "failed".

    No prompts or completions are sent: the tables, the figures, comparison.json and report.md.

    Raises:
        MissingResourceError: the folder has no ``comparison.json``.
    """
    from polychromic.training.tracking import Published, publish

    folder = Path(folder)
    comparison = read_comparison(folder / "comparison.json")
    titles = {signature: facts.title for signature, facts in comparison.metrics.items()}
    scores = [
        to_jsonable([row.model, row.temperature, titles[row.signature], row.score, *row.interval, row.prompts])
        for row in comparison.scores
    ]
    heading = (
        *("metric", "a", "b", "temperature", "score_a", "score_b", "difference", "low", "high"),
        *("p", "p_holm", "minimum_detectable_effect"),
    )
    differences = [
        to_jsonable(
            [
                *(titles[row.metric], row.a, row.b, row.temperature, row.score_a, row.score_b, row.difference),
                *(*row.interval, row.p, row.p_holm, row.minimum_detectable_effect),
            ]
        )
        for row in comparison.differences
    ]
    verdicts = [[row.model, row.level, row.sentence] for row in comparison.verdicts]
    baseline = comparison.baseline
    account = evaluation_cost(folder, baseline)
    spent = [[to_jsonable(getattr(row, key)) for key in SPENT] for row in (account.models if account else ())]
    content = Published(
        name=f"comparison-{folder.resolve().parent.name}-{folder.resolve().name}",
        tables={
            "scores": (("model", "temperature", "metric", "score", "low", "high", "prompts"), scores),
            "differences": (heading, differences),
            "verdicts": (("model", "level", "sentence"), verdicts),
            **({"cost": (SPENT, spent)} if spent else {}),
        },
        images={path.stem: path for path in sorted((folder / "figures").glob("*.png"))},
        files=[path for path in (folder / "comparison.json", folder / "report.md") if path.exists()],
    )
    return publish(section, folder, content)
