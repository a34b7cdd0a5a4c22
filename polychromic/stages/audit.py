"""A task's checker against answers it must refuse, and an evaluation folder's headroom -> audit.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.analysis import controls, flags
from polychromic.analysis.table import known_facts, read_table
from polychromic.core.errors import InputError
from polychromic.core.nouns import Prompt
from polychromic.core.protocols import Task, verdicts_on
from polychromic.policy.chat import Format, in_format
from polychromic.records.evaluation import EvaluationFolder, Folder, opened
from polychromic.records.jsonl import write_json
from polychromic.records.measurements import MeasurementRow
from polychromic.records.rows import read_nouns
from polychromic.records.samples import StoredSet
from polychromic.records.verdicts import verdicts_of
from polychromic.tasks._rows import Rows

MANY_IDENTICAL = 0.5  # above this share of prompts with identical candidates, best-of-N is not worth its price


@dataclass(frozen=True, slots=True)
class Auditing:
    """How much to audit: right answers tried, from which split and seed, and the k at which damage is stated.

    ``format`` is that of the prompts a judge is shown.
    """

    split: str = "test"
    prompts: int = 200
    k: int = 10
    seed: int = 0
    baseline: str | None = None
    format: Format | None = None


def run(task: Task | None, folder: Folder | None = None, auditing: Auditing | None = None) -> controls.Audit:
    """The audit of a task's checker, and of an evaluation folder's samples if one is given.

    Right answers are the task's demonstrations, or what its rows say is right; a task without any is audited with
    samples that passed, or, without samples either, with the empty answer and the prompt's echo only. With a folder
    ``audit.json`` is written into it.

    Raises:
        InputError: neither a task nor a folder is given.
        RecordError: a row of the folder is wrong.
    """
    if task is None and folder is None:
        raise InputError("audit: give a task, a folder of samples, or both")
    auditing = auditing or Auditing()
    folder = None if folder is None else opened(folder)
    sets = () if folder is None else folder.sets()
    rates, notes = ([], []) if task is None else _rates(task, sets, folder, auditing)
    warnings = controls.warnings(rates, auditing.k)
    identical = _identical(sets)
    for name, share in identical.items():
        if share > MANY_IDENTICAL:
            warnings.append(
                f"{name}: {share:.0%} of the prompts have identical candidates: best-of-N cannot pay there."
            )
    warnings += _headroom(folder, auditing.baseline)
    found = controls.Audit(task.name if task else "", tuple(rates), tuple(warnings), identical, tuple(notes))
    if folder is not None:
        write_json(folder.path / "audit.json", found)
    return found


def _rates(
    task: Task, sets: Sequence[StoredSet], folder: EvaluationFolder | None, auditing: Auditing
) -> tuple[list[controls.Rate], list[str]]:
    golds = _right_answers(task, auditing.split)
    notes = []
    if not golds and sets and folder is not None:
        golds = _passed(sets, folder)
        notes.append("The task has no demonstrations: samples that passed stand in for right answers.")
    if golds:
        made = controls.controls(controls.spread(golds, auditing.prompts), auditing.seed)
    else:
        notes.append("There is no right answer to spoil: only the empty answer and the prompt's echo were tried.")
        prompts = task.prompts(auditing.split)[: auditing.prompts]
        made = [control for prompt in prompts for control in _bare(prompt)]
    asked = in_format([each.prompt for each in made], auditing.format)
    verdicts = verdicts_on(task, asked, [each.completion for each in made])
    return controls.rates(made, verdicts), notes


def _right_answers(task: Task, split: str) -> list[tuple[Prompt, str]]:
    """The demonstrations, else the texts that a judge over rows makes of the column that knows the right answer."""
    try:
        return [(example.prompt, example.demonstration) for example in task.examples(split)]
    except InputError:  # the task has none for this split
        if not isinstance(task, Rows):
            return []
    golds = [(prompt, task.gold(prompt)) for prompt in task.prompts(split)]
    return [(prompt, text) for prompt, text in golds if text is not None]


def _bare(prompt: Prompt) -> list[controls.Control]:
    echo = controls.Control(controls.ECHO, prompt, controls.content_text(prompt))
    return [controls.Control(controls.EMPTY, prompt, ""), echo]


def _passed(sets: Sequence[StoredSet], folder: EvaluationFolder) -> list[tuple[Prompt, str]]:
    verdicts = folder.judged()
    found: dict[str, tuple[Prompt, str]] = {}
    for stored in sets:
        for completion, verdict in zip(stored.samples.completions, verdicts_of(stored, verdicts), strict=True):
            if verdict.passed:
                found.setdefault(stored.samples.prompt.id, (stored.samples.prompt, completion.text))
    return list(found.values())


def _identical(sets: Sequence[StoredSet]) -> dict[str, float]:
    groups: dict[str, dict[str, tuple[str, ...]]] = {}
    for stored in sets:
        name = f"{stored.model} at temperature {stored.temperature:g}"
        groups.setdefault(name, {})[stored.samples.prompt.id] = stored.samples.texts
    shares = {name: controls.identical_share(texts) for name, texts in groups.items()}
    return {name: share for name, share in shares.items() if not math.isnan(share)}


def _headroom(folder: EvaluationFolder | None, baseline: str | None) -> list[str]:
    if folder is None or not folder.measurements.exists():
        return []
    rows = [row for _, row in read_nouns(folder.measurements, MeasurementRow)]
    table = read_table(rows, known_facts(folder.measurements, rows))
    if baseline is not None and baseline not in table.models:
        raise InputError(f"model {baseline!r} was not measured; there are {', '.join(table.models)}")
    models = [baseline] if baseline else list(table.models)
    return [flag.text for model in models for flag in flags.ceiling_flags(table, model)]
