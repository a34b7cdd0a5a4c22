"""sample, verify, measure, compare and report in one go: the one stage that calls the others.

What is done is not done again: samples and verdicts are extended by what is missing, and a later stage runs only when
what it reads has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polychromic.analysis import controls
from polychromic.analysis.cost import UNKNOWN, Prices
from polychromic.analysis.spending import Budget
from polychromic.core.digests import file_digest
from polychromic.core.errors import InputError
from polychromic.core.nouns import Example, Prompt
from polychromic.core.protocols import BilledTask, Crew, Progress, Task, no_progress
from polychromic.records.artefacts import RunFolder, git_revision, signature, versions
from polychromic.records.costs import billed, timed
from polychromic.records.evaluation import EvaluationFolder, EvaluationRecord, Folder, opened
from polychromic.records.jsonl import write_json
from polychromic.records.measurements import facts_path
from polychromic.records.rows import read_noun
from polychromic.settings import catalog
from polychromic.settings.content import code_digest
from polychromic.settings.outside import digests
from polychromic.settings.schema import EvaluationSection
from polychromic.stages.identity import adapter_digest, checkers
from polychromic.stages.manifest import PRICES, Manifest
from polychromic.stages.models import NamedModel, bases_of, by_base, one_base, one_precision

if TYPE_CHECKING:
    from polychromic.stages import sample

AUDIT = "audit.json"
COMPARISON_FORM = 3
"""Raised when comparison.json changes its form, so that a folder made before is compared anew."""
AUDITED_PROMPTS = 50
"""Right answers that are spoilt to try the checker, before a run is paid for."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Which models are evaluated and how; ``baseline`` is the one the others are compared with (None: guessed).

    ``prices`` are for the account; None leaves the one that the folder knows. ``budget`` is in dollars, for all below
    the folder around the evaluation's. ``trust`` says how far the task's checker is believed. A ``crew`` draws
    and judges, where there is one.
    """

    models: Sequence[NamedModel]
    section: EvaluationSection
    seed: int = 0
    baseline: str | None = None
    prices: Prices = UNKNOWN
    budget: float | None = None
    trust: controls.Trust = controls.USUAL
    crew: Crew | None = None


def run(evaluation: Evaluation, out: Folder, progress: Progress = no_progress) -> Path:
    """The path of ``report.html``, with all that leads to it in the folder ``out``.

    Raises:
        InputError: no task is given, or the folder holds an evaluation of other settings or other weights.
        MissingResourceError: a model, or the encoder, is not to be had.
        BudgetError: the budget is spent before all is drawn and judged; what was done is kept.
    """
    folder = opened(out)
    task = _task(evaluation)
    _refuse_missing_encoder(evaluation)
    manifest = _open(evaluation, task, folder)
    _audit(evaluation, task, manifest)
    _sample(evaluation, task, folder, progress)
    if task.judges:
        _verify(evaluation, task, folder, progress)
    _measure(evaluation, task, folder, progress)
    _compare(evaluation, folder, manifest, progress)
    return _report(evaluation, folder, manifest, progress)


def audit(evaluation: Evaluation, out: Folder) -> list[str]:
    """What is wrong with the task's checker, a sentence each: the step before anything is sampled.

    Raises what ``run`` raises.
    """
    task, folder = _task(evaluation), opened(out)
    _audit(evaluation, task, _open(evaluation, task, folder))
    path = folder.path / AUDIT
    return list(read_noun(path, controls.Audit).warnings) if path.exists() else []


def draw(evaluation: Evaluation, out: Folder, progress: Progress = no_progress) -> Path:
    """The path of ``samples.jsonl``, the first step of ``run``; raises what ``run`` raises."""
    task, folder = _task(evaluation), opened(out)
    _open(evaluation, task, folder)
    _sample(evaluation, task, folder, progress)
    return folder.samples


def draw_share(evaluation: Evaluation, out: Folder) -> None:
    """What every rank but the first does of ``run`` or ``draw``: its share of the samples."""
    _sample(evaluation, _task(evaluation), opened(out), no_progress)


def forecast(evaluation: Evaluation, out: Folder) -> sample.Forecast:
    """What sampling will take, before it starts; raises what ``run`` raises."""
    from polychromic.stages import sample

    plan = sample.SamplePlan(evaluation.section, evaluation.seed)
    return sample.forecast(evaluation.models, _prompts(evaluation, _task(evaluation)), plan, out)


def _prompts(evaluation: Evaluation, task: Task) -> Sequence[Prompt]:
    return task.prompts(evaluation.section.split)[: evaluation.section.max_prompts]


def _task(evaluation: Evaluation) -> Task:
    if evaluation.section.task is None:
        raise InputError("--task: is missing, in the configuration too (evaluation.task); the prompts come from a task")
    task: Task = catalog.build("tasks", evaluation.section.task)
    return task


def _open(evaluation: Evaluation, task: Task, folder: EvaluationFolder) -> Manifest:
    _refuse_vanished(evaluation, task, folder)
    metrics = [catalog.outline("metrics", metric) for metric in evaluation.section.metrics or ()]
    present = EvaluationRecord(
        pins=_pins(evaluation),
        weights={model.name: adapter_digest(model) for model in evaluation.models},
        metric_files=digests(metrics),
        versions=versions(),
        git_revision=git_revision(),
        price_per_hour=evaluation.prices.per_hour,
        price_per_million_tokens=evaluation.prices.per_million_tokens,
        price_per_million_prompt_tokens=evaluation.prices.per_million_prompt_tokens,
    )
    manifest = Manifest(folder, present)
    manifest.open()
    return manifest


def _pins(evaluation: Evaluation) -> dict[str, Any]:
    """What must not change from one call to the next in the same folder."""
    section = evaluation.section
    groups = by_base(evaluation.models)
    bases = [one_base(several) for several in groups]
    options = [base.chat_template_kwargs for base in bases]
    precisions = [dict(one_precision(several) or {}) for several in groups]
    return (
        ({"format": bases[0].format} if bases[0].format else {})
        | ({"chat_template_kwargs": options if groups[1:] else options[0]} if any(options) else {})
        | ({"quantization": precisions if groups[1:] else precisions[0]} if any(precisions) else {})
        | {
            "base": [base.name_or_path for base in bases] if groups[1:] else bases[0].name_or_path,
            "task": section.task,
            "split": section.split,
            "max_new_tokens": section.max_new_tokens,
            "seed": evaluation.seed,
        }
    )


def _digest_of(path: Path) -> str:
    """The digest of a file that may not be there, empty then."""
    return file_digest(path) if path.exists() else ""


def _audit(evaluation: Evaluation, task: Task, manifest: Manifest) -> None:
    """The audit of the task's checker, which proves itself by it.

    Raises:
        InputError: the checker is at fault, and is not trusted all the same.
    """
    from polychromic.stages import audit as auditor

    section, path = evaluation.section, manifest.folder.path / AUDIT
    if not task.judges:
        return
    form = one_base(by_base(evaluation.models)[0]).format
    auditing = auditor.Auditing(section.split, AUDITED_PROMPTS, section.n, evaluation.seed, format=form)
    judge = signature(checkers(task, task.prompts(section.split)[:AUDITED_PROMPTS]))
    inputs = {"judge": judge, "split": section.split, "k": section.n, "versions": versions(), "format": form}
    if path.exists() and controls.faults(read_noun(path, controls.Audit).rates, evaluation.trust):
        path.unlink()  # what was at fault may have been put right
    with billed(manifest.folder.path, task):
        manifest.once("audit", inputs, [path], lambda: write_json(path, auditor.run(task, None, auditing)))
    said = controls.faults(read_noun(path, controls.Audit).rates, evaluation.trust)
    if said and not evaluation.trust.anyway:
        raise InputError(f"evaluation.task: {task.name} {said}; put it right, or go on with --trust-judge")
    manifest.note(trusted=f"{task.name} {said}; it was trusted all the same" if said else "")


def _sample(evaluation: Evaluation, task: Task, folder: EvaluationFolder, progress: Progress) -> None:
    from polychromic.stages import sample

    plan = sample.SamplePlan(evaluation.section, evaluation.seed, evaluation.crew)
    sample.run(evaluation.models, _prompts(evaluation, task), plan, folder, _paid(evaluation, folder, progress))


def _paid(evaluation: Evaluation, folder: EvaluationFolder, progress: Progress) -> Progress:
    """The progress of work that costs money: what it is told of is kept, so there it may end for the budget's sake."""
    budget = Budget(evaluation.budget, folder.path.parent, evaluation.prices)

    def told(work: str, done: int, total: int) -> None:
        progress(work, done, total)
        if done < total:
            budget.refuse_overspent(f"{work}: {done} of {total} are done and kept; ")

    return told


def _refuse_vanished(evaluation: Evaluation, task: Task, folder: EvaluationFolder) -> None:
    """Raises InputError when the folder holds samples of prompts that the task no longer has."""
    there = {prompt.id for prompt in task.prompts(evaluation.section.split)}
    gone = {stored.samples.prompt.id for stored in folder.sets()} - there
    if gone:
        raise InputError(
            f"{folder.samples}: holds samples of {len(gone)} prompts that the task no longer has "
            f"(such as {min(gone)}); choose another --out"
        )


def _verify(evaluation: Evaluation, task: Task, folder: EvaluationFolder, progress: Progress) -> None:
    from polychromic.stages import verify

    paid = _paid(evaluation, folder, progress) if isinstance(task, BilledTask) else progress
    judges = verify.elsewhere(evaluation.crew, evaluation.section.task, task)
    verify.run(folder, task, paid, evaluation.section.split, judges)


def _refuse_missing_encoder(evaluation: Evaluation) -> None:
    """Finds out before the samples are drawn; the encoder itself is loaded when its first text comes."""
    from polychromic.stages import measure

    measure.open_embedder(evaluation.section.encoder)


def _measure(evaluation: Evaluation, task: Task, folder: EvaluationFolder, progress: Progress) -> None:
    from polychromic.stages import measure

    section = evaluation.section
    embedder = measure.open_embedder(section.encoder, folder.path / "embeddings")
    shown = [_demonstrations(task, split) for split in ("train", section.split)]
    measure.run(folder, measure.Measuring(section.metrics, embedder, task, *shown), progress)


def _demonstrations(task: Task, split: str) -> Sequence[Example]:
    """The demonstrations of a split, if the task has any: those of "train" are what the models were shown."""
    try:
        return task.examples(split)
    except InputError:
        return ()


def _compare(evaluation: Evaluation, folder: EvaluationFolder, manifest: Manifest, progress: Progress) -> None:
    from polychromic.analysis.record import CompareSettings
    from polychromic.analysis.resampling import Plan
    from polychromic.stages import compare

    section, bases = evaluation.section, bases_of(evaluation.models)
    inputs = {
        "form": COMPARISON_FORM,
        "measurements": [file_digest(folder.measurements), file_digest(facts_path(folder.measurements))],
        "verdicts": _digest_of(folder.verdicts),
        "code": code_digest(compare.run),
        "baseline": evaluation.baseline,
        "bases": bases,
        "resamples": section.bootstrap_resamples,
        "thresholds": section.thresholds.model_dump(mode="json"),
        "versions": versions(),
    }
    own = next((base for base in bases.values() if base != evaluation.baseline), None)
    plan = Plan(section.bootstrap_resamples, evaluation.seed)
    settings = CompareSettings("", own, plan, section.thresholds, bases=bases)

    def work() -> None:
        progress("compare", 0, 1)
        with timed(folder.path, "compare"):
            compare.run(folder, evaluation.baseline, None, settings)
        progress("compare", 1, 1)

    manifest.once("compare", inputs, [folder.comparison], work)


def _report(evaluation: Evaluation, folder: EvaluationFolder, manifest: Manifest, progress: Progress) -> Path:
    from polychromic.stages import report

    page = folder.path / "report.html"
    runs = {model.name: str(model.adapter) for model in evaluation.models if model.adapter and model.scale == 1.0}
    inputs = {
        "comparison": file_digest(folder.comparison),
        "samples": [_digest_of(folder.samples), _digest_of(folder.verdicts), _digest_of(folder.path / AUDIT)],
        "runs": {name: [run, _digest_of(RunFolder(Path(run)).metrics)] for name, run in runs.items()},
        "code": code_digest(report.run),
        "routing": _digest_of(folder.path / "routing.json"),
        **{name: getattr(folder.record(), name) for name in PRICES},
        "versions": versions(),
    }

    def work() -> None:
        progress("report", 0, 1)
        report.run(folder, runs)
        progress("report", 1, 1)

    manifest.once("report", inputs, [page, folder.path / "report.md"], work)
    return page
