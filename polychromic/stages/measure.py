"""samples.jsonl and verdicts.jsonl -> measurements.jsonl: every metric on every prompt of every model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polychromic.core.digests import file_digest
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.facts import MetricFacts, Role
from polychromic.core.nouns import Example, Verdict
from polychromic.core.protocols import Embedder, Metric, Progress, Task, no_progress
from polychromic.core.thoughts import split_thought
from polychromic.metrics._sets import given_scores, modal_set_size
from polychromic.records.artefacts import signature, versions
from polychromic.records.costs import timed
from polychromic.records.evaluation import Folder, opened
from polychromic.records.foreign import is_native, read_foreign
from polychromic.records.jsonl import write_json, write_rows
from polychromic.records.measurements import (
    MeasurementsRecord,
    StoredMeasurement,
    facts_path,
    measurement_row,
    read_record,
)
from polychromic.records.samples import StoredSet, group_sets, read_sets, sample_rows
from polychromic.records.verdicts import (
    VerdictKey,
    read_verdict_rows,
    verdict_keys,
    verdict_row,
    verdicts_of,
    verdicts_on,
)
from polychromic.settings.catalog import build, kind_class, kinds
from polychromic.settings.content import code_digest, options

Kind = str | Mapping[str, Any]
ENCODE_TEXTS = 1024
"""Texts between two reports of progress."""


@dataclass(frozen=True)
class Measuring:
    """What to measure (None: every metric that applies) and what the metrics may use.

    ``demonstrations`` are those that the models were shown, ``references`` those of the prompts that are measured, both
    without the thoughts before their answers: those of samples are not measured either.
    """

    metrics: Sequence[Kind] | None = None
    embedder: Embedder | None = None
    task: Task | None = None
    demonstrations: Sequence[Example] = ()
    references: Sequence[Example] = ()

    def __post_init__(self) -> None:
        for name in ("demonstrations", "references"):
            object.__setattr__(self, name, [_answer_of(example) for example in getattr(self, name)])


def _answer_of(example: Example) -> Example:
    thought, answer = split_thought(example.demonstration)
    return replace(example, demonstration=answer) if thought else example


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one model: the ratio of sums over the prompts that have a number, and why the others have none."""

    model: str
    temperature: float
    signature: str
    score: float
    prompts: int
    missing: int
    reason: str


def default_metrics(n: int) -> list[Kind]:
    """The metrics of an evaluation of ``n`` samples a prompt that names none, headlines first."""
    named = ((kind, kind_class("metrics", kind)) for kind in kinds("metrics"))
    ranked = sorted(named, key=lambda each: (each[1].headline or math.inf, list(Role).index(each[1].role), each[0]))
    return [{"kind": kind, **options} for kind, metric in ranked for options in metric.defaults(n)]


def open_embedder(encoder: str | None, folder: str | Path | None = None) -> Embedder | None:
    """The encoder of a setting, each text encoded once; None for the setting ``none``.

    A setting is a path, a hub name, ``hashing``, ``none``, or None for the default. Vectors are kept in ``folder`` when
    one is given. The model's weights are loaded when the first text comes.

    Raises:
        MissingResourceError: the path is no folder.
    """
    from polychromic.embedding.cache import CachedEmbedder
    from polychromic.embedding.encoder import NO_ENCODER, load_encoder

    return None if encoder == NO_ENCODER else CachedEmbedder(load_encoder(encoder), folder)


def run(folder: Folder, measuring: Measuring | None = None, progress: Progress = no_progress) -> Path:
    """The path of ``measurements.jsonl`` of an evaluation folder; nothing is done when it is up to date.

    Raises:
        MissingResourceError: the folder has no samples.
        RecordError: a row is wrong.
    """
    folder, measuring = opened(folder), measuring or Measuring()
    path = folder.measurements
    if not folder.samples.exists():
        raise MissingResourceError(f"{folder.samples}: there are no samples; draw some with `polychromic sample`")
    sets, verdicts = folder.sets(), folder.judged()
    metrics = pinned_metrics(sets, bool(verdicts), measuring)
    names = [metric.signature for metric in metrics]
    made_of = signature(
        {
            "metrics": names,
            "code": code_digest(*metrics, *([measuring.task] if measuring.task else [])),
            "options": [options(metric) for metric in metrics],
            "task": options(measuring.task),
            "samples": file_digest(folder.samples),
            "verdicts": file_digest(folder.verdicts) if verdicts else "",
            "demonstrations": _shown(measuring.demonstrations),
            **({"references": _shown(measuring.references)} if measuring.references else {}),
            "versions": versions(),
        }
    )
    held = read_record(path)
    if path.exists() and held.signature == made_of and held.digest == file_digest(path):
        return path
    with timed(folder.path, "measure"):
        found = measure(sets, verdicts, metrics, progress)
    write_rows(path, map(measurement_row, found))
    facts = tuple(MetricFacts.of(metric, metric.signature) for metric in metrics)
    write_json(facts_path(path), MeasurementsRecord(facts, made_of, versions(), file_digest(path)))
    return path


def _shown(examples: Sequence[Example]) -> list[list[str]]:
    return [[example.prompt.id, example.demonstration] for example in examples]


def read_any(path: str | Path, model: str | None = None) -> tuple[list[StoredSet], dict[VerdictKey, Verdict]]:
    """The sample sets and verdicts of a file: our own ``samples.jsonl`` with its neighbour, or anyone's generations.

    Raises:
        RecordError: ``file:line: reason`` for a row that cannot be used.
        MissingResourceError: there is no such file.
    """
    if is_native(path):
        sets = read_sets(path)
        return sets, verdicts_on(sets, read_verdict_rows(Path(path).with_name("verdicts.jsonl")))
    return read_foreign(path, model or Path(path).stem)


def adopt(files: Mapping[str, str | Path], folder: str | Path) -> Path:
    """``folder``, made an evaluation folder of anyone's generations: one file for each model name.

    Raises:
        RecordError: ``file:line: reason`` for a row that cannot be used.
        InputError: two files hold a model of the same name.
    """
    sets: list[StoredSet] = []
    verdicts: dict[VerdictKey, Verdict] = {}
    for model, path in files.items():
        found, judged = read_any(path, model)
        twice = {stored.model for stored in found} & {stored.model for stored in sets}
        if twice:
            raise InputError(f"{path}: holds a model {min(twice)!r}, which another file holds too")
        sets += found
        verdicts |= judged
    folder = Path(folder)
    write_rows(folder / "samples.jsonl", (row for stored in sets for row in sample_rows(stored)))
    about = {key: one for stored in sets for key, one in zip(verdict_keys(stored), stored.digests, strict=True)}
    rows = (verdict_row(key, verdict, about.get(key, "")) for key, verdict in verdicts.items())
    write_rows(folder / "verdicts.jsonl", rows)
    return folder


def pinned_metrics(sets: Sequence[StoredSet], judged: bool, measuring: Measuring) -> list[Metric]:
    """The metrics, built and fixed to what all the sets have in common, so that models are measured alike."""
    drawn = [stored.samples for stored in sets]
    named = measuring.metrics
    parts = {
        "embedder": measuring.embedder,
        "task": measuring.task,
        "demonstrations": tuple(measuring.demonstrations) or None,
        "references": tuple(measuring.references) or None,
    }
    wanted = default_metrics(modal_set_size(drawn)) if named is None else named
    metrics: list[Metric] = [build("metrics", kind, **parts) for kind in wanted]
    if named is None and not any(text for one in drawn for text in one.texts):  # bare verdicts: no text to measure
        metrics = [metric for metric in metrics if "verifier" in metric.needs]
    if named is None and any(map(given_scores, drawn)):
        metrics.append(build("metrics", "mean_score"))
    if named is None and not judged:
        metrics = [metric for metric in metrics if "verifier" not in metric.needs]
    pinned = [metric.pinned(drawn) for metric in metrics]
    return list({metric.signature: metric for metric in pinned}.values())


def measure(
    sets: Sequence[StoredSet],
    verdicts: Mapping[VerdictKey, Verdict],
    metrics: Sequence[Metric],
    progress: Progress = no_progress,
) -> list[StoredMeasurement]:
    """One measurement for each model, temperature, metric and prompt; without any verdict the judged ones say so."""
    _encode_ahead(sets, metrics, progress)
    groups = group_sets(sets)
    found: list[StoredMeasurement] = []
    for place, ((model, temperature), group) in enumerate(groups.items()):
        drawn = [stored.samples for stored in group]
        judged = [verdicts_of(stored, verdicts) for stored in group] if verdicts else None
        for index, metric in enumerate(metrics):
            rows = metric.measure(drawn, judged)
            found += [StoredMeasurement(model, temperature, row) for row in rows]
            progress("measure", place * len(metrics) + index + 1, len(groups) * len(metrics))
    return found


def _encode_ahead(sets: Sequence[StoredSet], metrics: Sequence[Metric], progress: Progress) -> None:
    """Fills the encoder's cache, so that the slow part shows its progress; its failure is left to the metrics."""
    embedder = next((found for metric in metrics if (found := getattr(metric, "embedder", None)) is not None), None)
    if embedder is None or not hasattr(embedder, "encoded"):
        return
    texts = sorted({text for stored in sets for text in stored.samples.texts if text.strip()}, key=len, reverse=True)
    for start in range(0, len(texts), ENCODE_TEXTS):
        try:
            embedder.embed(texts[start : start + ENCODE_TEXTS])
        except (MissingResourceError, MemoryError):
            return
        progress("encode", min(start + ENCODE_TEXTS, len(texts)), len(texts))


def scores(found: Sequence[StoredMeasurement]) -> list[Score]:
    """One score for each model, temperature and signature; NaN, with the commonest reason, when no prompt has one."""
    groups: dict[tuple[str, float, str], list[StoredMeasurement]] = {}
    for stored in found:
        groups.setdefault((stored.model, stored.temperature, stored.measurement.signature), []).append(stored)
    return [_score(key, [stored.measurement for stored in group]) for key, group in groups.items()]


def _score(key: tuple[str, float, str], rows: Sequence[Any]) -> Score:
    known = [row for row in rows if not math.isnan(row.numerator)]
    reasons = [row.reason for row in rows if math.isnan(row.numerator)]
    below = math.fsum(row.denominator for row in known)
    value = math.fsum(row.numerator for row in known) / below if below else float("nan")
    reason = max(reasons, key=reasons.count) if reasons else "" if below else "the denominators sum to 0"
    return Score(*key, value, len(known), len(reasons), reason)
