"""``polychromic measure``: every metric on samples, ours or anyone's."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polychromic.cli.console import json_option, progress_bars, show, table

if TYPE_CHECKING:
    from polychromic.stages.measure import Score

ENCODER_HELP = "Encoder: a folder, a hub name, hashing (no model) or none. Default: the installed all-MiniLM-L6-v2."


@click.command()
@click.argument("path", type=click.Path())
@click.option("--metric", "metrics", multiple=True, help="A kind, or {kind: NAME, option: value}; may be repeated.")
@click.option("--encoder", help=ENCODER_HELP)
@click.option("--model", help="The model's name, for generations that do not name one. Default: the file's name.")
@json_option
def command(path: str, metrics: tuple[str, ...], encoder: str | None, model: str | None, as_json: bool) -> None:
    """Measure PATH: an evaluation folder, or a JSONL file of generations.

    A folder gets a measurements.jsonl. A file has rows with prompt_id or task_id, text or completion (one, or a list of
    all samples), and optionally passed, answer, score, temperature and model; it is only read.
    """
    from polychromic.records.measurements import read_measurements
    from polychromic.settings.yaml_lines import COMMAND_LINE, read_value
    from polychromic.stages import measure

    kinds = [read_value(text, COMMAND_LINE) for text in metrics] or None
    is_folder = Path(path).is_dir()
    with progress_bars() as progress, tempfile.TemporaryDirectory(prefix="polychromic-") as scratch:
        vectors = Path(path) / "embeddings" if is_folder else Path(scratch)
        measuring = measure.Measuring(kinds, measure.open_embedder(encoder, vectors))
        if is_folder:
            written = measure.run(path, measuring, progress)
            scores = measure.scores(read_measurements(written))
        else:
            sets, verdicts = measure.read_any(path, model)
            pinned = measure.pinned_metrics(sets, bool(verdicts), measuring)
            scores = measure.scores(measure.measure(sets, verdicts, pinned, progress))
    result: dict[str, Any] = {"metrics": [asdict(score) for score in scores]}
    lines = _lines(scores)
    if is_folder:
        result["measurements"] = str(written)
        lines.append(str(written))
    show(result, as_json, lines)


def _lines(scores: list[Score]) -> list[str]:
    lines: list[str] = []
    for model, temperature in dict.fromkeys((score.model, score.temperature) for score in scores):
        rows = [score for score in scores if (score.model, score.temperature) == (model, temperature)]
        shown = [[score.signature, _number(score), str(score.prompts), _why(score)] for score in rows]
        lines += [
            f"{model} at temperature {temperature:g}",
            *table(["metric", "score", "prompts", "without"], shown),
            "",
        ]
    return lines


def _number(score: Score) -> str:
    return f"{score.score:.4g}" if score.prompts else "-"


def _why(score: Score) -> str:
    return f"{score.missing}: {score.reason}" if score.missing else ""
