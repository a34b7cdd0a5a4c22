"""``polychromic compare``: models against a baseline, paired by prompt, from a folder or from anyone's files."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polychromic.cli.console import json_option, progress_bars, show, table

if TYPE_CHECKING:
    from polychromic.analysis.nouns import Difference
    from polychromic.analysis.record import Comparison

SHOWN = ("metric", "temperature", "a", "b", "difference", "interval", "p (Holm)", "MDE", "prompts")


@click.command("compare")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--baseline", help="The model the others are compared with (files: the first; folder: sft, baseline).")
@click.option("--base", help="The untrained model, if it was sampled (default: base).")
@click.option(
    "--pairs", default="baseline", show_default=True, type=click.Choice(["baseline", "all"]), help="Compared."
)
@click.option("--resamples", default=10_000, show_default=True, help="Bootstrap and permutation resamples.")
@click.option("--seed", default=0, show_default=True)
@click.option("--temperature", type=float, help="The temperature verdicts speak about.")
@click.option("--metric", "metrics", multiple=True, help="For samples: a kind, or {kind: NAME, option: value}.")
@click.option("--encoder", help="For samples: an encoder's folder or hub name, hashing, or none.")
@click.option("--out", type=click.Path(file_okay=False), help="Keep everything, with a report, in this folder.")
@json_option
def command(paths: tuple[str, ...], out: str | None, as_json: bool, **options: Any) -> None:
    """Compare the models of a FOLDER with measurements, or of two or more FILES.

    Files hold measurements, or samples: ours, logs of inspect (.eval, .json), lm-evaluation-harness (--log_samples),
    lighteval (.parquet), evalplus (_eval_results.json) and NoveltyBench, or anyone's JSONL with prompt_id or task_id,
    text or completion, and optionally passed, answer and score; or bare verdicts without a text. Differences are paired
    by prompt.
    """
    from polychromic.analysis.record import CompareSettings, read_comparison
    from polychromic.analysis.resampling import Plan
    from polychromic.stages import compare, report

    plan = Plan(options["resamples"], options["seed"])
    settings = CompareSettings("", plan=plan, temperature=options["temperature"], pairs=options["pairs"])
    with ExitStack() as stack:
        folder, first = _folder(paths, out or stack.enter_context(tempfile.TemporaryDirectory()), options)
        written = compare.run(folder, options["baseline"] or first, options["base"], settings)
        comparison = read_comparison(written)
        lines = describe(comparison)
        if first is None or out:
            lines.append(str(report.run(folder) if out else written))
        show(comparison, as_json, lines)


def _folder(paths: tuple[str, ...], place: str, options: Mapping[str, Any]) -> tuple[Path, str | None]:
    """The evaluation folder to compare in, and the first file's model (None for a folder that was given)."""
    from polychromic.settings.yaml_lines import COMMAND_LINE, read_value
    from polychromic.stages import compare, measure

    if len(paths) == 1 and Path(paths[0]).is_dir():
        return Path(paths[0]), None
    folders = [path for path in paths if Path(path).is_dir()]
    if folders or len(paths) == 1:
        raise click.UsageError("give one FOLDER, or two or more FILES")
    files: dict[str, str | Path] = dict(zip(_names(paths), paths, strict=True))
    first = next(iter(files))
    if all(compare.is_measurements(path) for path in paths):
        return compare.merge(files, place), first
    folder = measure.adopt(files, place)
    kinds = [read_value(text, COMMAND_LINE) for text in options["metrics"]] or None
    with progress_bars() as progress:
        measuring = measure.Measuring(kinds, measure.open_embedder(options["encoder"]))
        measure.run(folder, measuring, progress)
    return folder, first


def _names(paths: tuple[str, ...]) -> list[str]:
    """A name for each file: its stem, with its folder where stems are equal, with a number where those are too."""
    stems = [Path(path).stem for path in paths]
    if len(set(stems)) < len(stems):
        stems = [f"{Path(path).resolve().parent.name}/{Path(path).stem}" for path in paths]
    return [stem if stems.count(stem) == 1 else f"{stem} {i + 1}" for i, stem in enumerate(stems)]


def describe(comparison: Comparison) -> list[str]:
    """The base, verdicts with their reasoning, the matrix and the differences as tables, and the flags."""
    from polychromic.analysis.record import ALL_PAIRS
    from polychromic.reporting.tables import detectable
    from polychromic.reporting.verdicts import judged, matrix, matrix_rows

    said = [each.sentence for each in comparison.bases]
    said += [""] if said else []
    for verdict in judged(comparison):
        said += [f"{verdict.level.upper()}: {verdict.sentence}", f"  next: {verdict.following}"]
        said += [f"  {reason}" for reason in verdict.reasoning] + [""]
    decided = matrix(comparison)
    said += [*table(*matrix_rows(decided)), ""] if decided.rows else []
    every = comparison.settings.pairs == ALL_PAIRS
    rows = [_row(row, comparison) for row in comparison.differences if every or row.a == comparison.baseline]
    said += [*table(SHOWN, rows), "", f"MDE: {detectable(comparison)}", ""] if rows else []
    return said + [f"{flag.level}: {flag.text}" for flag in comparison.flags]


def _row(row: Difference, comparison: Comparison) -> list[str]:
    low, high = row.interval
    ends = "-" if math.isnan(low + high) else f"{low:+.4g} to {high:+.4g}"
    values = [_number(each) for each in (row.score_a, row.score_b, row.difference)]
    tail = [_number(row.p_holm), _number(row.minimum_detectable_effect), str(row.prompts)]
    return [f"{comparison.metrics[row.metric].title}, {row.b} - {row.a}", f"{row.temperature:g}", *values, ends, *tail]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"
