"""A configuration to a trained adapter in its run folder: only wiring."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from polychromic.analysis.spending import Budget, prices_of
from polychromic.core import stopping
from polychromic.core.errors import InputError, at_fault
from polychromic.core.nouns import Example
from polychromic.core.protocols import Closing, Embedder, Progress, no_progress
from polychromic.embedding.encoder import NO_ENCODER
from polychromic.objective.soundness import (
    SoundTerm,
    Surroundings,
    is_judged,
    junk_warning,
    needs_encoder,
    refuse_few_demonstrations,
    refuse_unsound,
)
from polychromic.records.artefacts import (
    RunFolder,
    begin_part,
    finish_run,
    refuse_other_run,
    update_run,
)
from polychromic.records.costs import billed, timed
from polychromic.records.jsonl import give_usual_mode, read_json
from polychromic.records.locks import only_process
from polychromic.records.rows import to_row
from polychromic.settings import catalog
from polychromic.settings.load import identity, resolved
from polychromic.settings.schema import DataSection, Settings
from polychromic.stages import held_out, row_lengths
from polychromic.stages.arguments import lora_config, save_minutes, sft_arguments
from polychromic.stages.demonstrations import Data, Lesson, load_data, mixed, refuse_clustered_answers
from polychromic.stages.extension import changes, extensible
from polychromic.stages.models import resolve
from polychromic.stages.origin import begin, note_base, refuse_edited
from polychromic.training.launchers import refuse_drawing, refuse_untested
from polychromic.training.ranks import Ranks, joined

RANK_SECONDS = 1800.0
"""How long a rank waits for another, unless ``training.ddp_timeout`` says so."""
ROWS_A_STEP = (("per_device_train_batch_size", 8), ("gradient_accumulation_steps", 1))
"""The settings whose product is the demonstrations of a rank's step, with transformers' defaults."""
LOOKED_AT = 256
"""Demonstrations whose length is looked at before a model is loaded."""


@dataclass(frozen=True, slots=True)
class _Run:
    """All that is known of a run before its model is loaded."""

    settings: Settings
    folder: RunFolder
    term: SoundTerm
    data: Data
    embedder: Embedder | None
    ranks: Ranks
    budget: Budget


def run(
    settings: Settings, folder: str | Path | None = None, progress: Progress = no_progress, extended: Sequence[str] = ()
) -> RunFolder:
    """The run's folder with adapter, tokenizer, ``resolved.yaml``, ``run.json`` and metrics.

    A finished run is left as it is; an interrupted one continues from its newest whole checkpoint. By the settings
    named in ``extended`` the run goes on whatever they were before; the learning rate's schedule is then the new one.

    Raises:
        UnsoundObjectiveError: the settings would make the diversity gradient wrong; found before a model is loaded.
        InputError: bad data, a folder of another configuration, other data or another base, one that another process
            trains into, or checkpoints that are all damaged.
        MissingResourceError: the base model or the encoder is not to be had.
        NumericalError: the gradients or weights stopped being numbers.
        UnhealthyError: the diversity term was without effect for too long; a checkpoint was saved.
        StoppedError: the run was asked to stop (``core.stopping``) and saved a checkpoint.
        BudgetError: ``tracking.budget`` is spent; what was trained is in a checkpoint.
    """
    experiment = settings.experiment
    path = Path(folder) if folder is not None else Path(experiment.output_root) / experiment.name
    term = refuse_early(settings)
    seconds = float(settings.training.get("ddp_timeout", RANK_SECONDS))
    with joined(seconds, bool(settings.training.get("use_cpu"))) as ranks, ExitStack() as held:
        run_folder = RunFolder(path)
        if ranks.first:
            refuse_other_run(path, identity(settings), extensible(extended))
        _, done = ranks.told(changes(run_folder, settings) if ranks.first else None)
        if done:
            refuse_edited(run_folder, settings)
            return run_folder
        refuse_drawing(settings.data.harvest, ranks)
        budget = Budget(settings.tracking.budget, path.parent, prices_of(settings.tracking))
        budget.refuse_overspent()
        data = held_out.with_demonstrations(settings, load_data(settings.data, settings.model))
        for warning in _warnings(settings, term, data):
            warnings.warn(warning, stacklevel=2)
        embedder = _embedder(settings)
        if ranks.first:
            held.enter_context(only_process(path))
            begin(run_folder, settings, data)
        ranks.wait()
        if settings.data.harvest is not None:
            lesson, facts = _lesson(settings, run_folder, data, embedder, progress)
            data = replace(data, lesson=lesson)
            if ranks.first:
                update_run(run_folder, harvest=facts)
        with billed(run_folder.path, data.task):
            _train(_Run(settings, run_folder, term, data, embedder, ranks, budget), progress)
        ranks.wait()
    return run_folder


def _lesson(
    settings: Settings, folder: RunFolder, data: Data, embedder: Embedder | None, progress: Progress
) -> tuple[Lesson, dict[str, Any]]:
    """The run's mixture of demonstrations and harvest, and what it is for ``run.json``.

    Raises:
        InputError: the pool is another than the one this run began with.
    """
    from polychromic.stages.harvest import Harvest, pool_of

    section = settings.data.harvest
    assert section is not None
    pool = pool_of(Harvest(settings, data, embedder), folder.path, run, progress)
    began_with = read_json(folder.run_json).get("harvest", {}).get("digest", pool.digest)
    if began_with != pool.digest:
        raise InputError(f"{folder.path}: its pool is not the one it began with; choose another experiment.name")
    lesson = mixed(data.examples, pool, section, _target_tokens(settings, data), settings.experiment.seed)
    return lesson, {"digest": pool.digest, **asdict(pool.account), **lesson.facts}


def refuse_early(settings: Settings) -> SoundTerm:
    """The diversity term of the settings, found sound, before any data is read.

    Raises:
        UnsoundObjectiveError: the settings would make the diversity gradient wrong.
        InputError: an evaluation during training is asked for, and there is no file for it; or the launcher asks for
            what is not tested.
    """
    refuse_clustered_answers(settings)
    judged, encoder = is_judged(settings.data), settings.evaluation.encoder != NO_ENCODER
    held_out.refuse_early(settings)
    refuse_untested(settings.training, settings.quantization)
    if settings.data.harvest is not None:
        from polychromic.stages.harvest import refuse_unsound_credit

        refuse_unsound_credit(settings, judged=judged)
    return refuse_unsound(settings.polychromic, Surroundings(judged, encoder, as_written=_as_written(settings.data)))


def _as_written(data: DataSection) -> bool:
    """Whether the data's task takes programs that are only written differently for different answers."""
    from polychromic.code.task import CodeTask

    task = catalog.outline("tasks", data.task) if data.task is not None else None
    return isinstance(task, CodeTask) and task.distinct_by == "program"


def _warnings(settings: Settings, term: SoundTerm, data: Data) -> list[str]:
    """What there is to warn of, now that the demonstrations are known.

    Raises:
        UnsoundObjectiveError: no prompt has the demonstrations that the schedule needs.
    """
    repeated = Counter(example.prompt.content for example in data.examples)
    refuse_few_demonstrations(term.section, max(repeated.values()))
    found = list(term.warnings)
    if found and catalog.split(term.section.gate)[0] == "none":
        found.append(junk_warning(term.section, _target_tokens(settings, data)))
    return [warning for warning in found if warning]


def _target_tokens(settings: Settings, data: Data) -> float:
    """About how many target tokens a demonstration has, its end token included."""
    from polychromic.policy.load import load_tokenizer

    tokenizer = load_tokenizer(resolve(settings.model))
    texts = [example.demonstration for example in data.examples[:LOOKED_AT]]
    return sum(len(ids) + 1 for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]) / len(texts)


def _train(run: _Run, progress: Progress) -> None:
    from transformers import PrinterCallback

    from polychromic.policy.base_check import base_logits, refuse_moved_base
    from polychromic.policy.load import load_base
    from polychromic.training.agreement import checkpoint_of_all
    from polychromic.training.checkpoints import sweep
    from polychromic.training.faults import refuse_bad_weights, saving_in
    from polychromic.training.sharding import whole_weights

    settings, folder, data, ranks = run.settings, run.folder, run.data, run.ranks
    rows = math.prod(int(settings.training.get(key, least)) for key, least in ROWS_A_STEP)
    checkpoint = checkpoint_of_all(folder.checkpoints, ranks, rows)
    if ranks.first:
        sweep(folder.checkpoints)
    built = sft_arguments(settings, folder), lora_config(settings)  # what they refuse is said before a model is loaded
    with timed(folder.path, "load"):
        policy = load_base(resolve(settings.model), settings.quantization)
    if ranks.first:
        note_base(folder, settings)  # one of the hub is known from here on
    before = base_logits(policy.model)
    trainer = _trainer(run, policy, *built)
    refuse_moved_base(trainer.model, before, "lora")
    trainer.remove_callback(PrinterCallback)  # the numbers go to metrics.jsonl; stdout belongs to the caller
    with stopping.finishing("this step") as stop:
        seconds = _steps(run, trainer, (stop, progress), checkpoint)
        if ranks.any_of([stop.heard])[0] and trainer.state.global_step < trainer.state.max_steps:
            if ranks.first:
                update_run(folder, seconds=seconds)
            stop.obey(f"{folder.path} is saved at step {trainer.state.global_step}")
        refuse_bad_weights(trainer.model)
        weights = whole_weights(trainer.model)
        if not ranks.first:
            return
        with saving_in(folder.path):
            _save(trainer, policy.tokenizer, folder, weights)
        finish_run(
            folder,
            steps=trainer.state.global_step,
            examples=len(data.examples),
            rows_left_out=data.skipped,
            seconds=seconds,
            resumed_from=checkpoint.name if checkpoint else None,
            ranks=ranks.count,
            **held_out.best(trainer),
        )


def _steps(run: _Run, trainer: Any, told: tuple[stopping.Stop, Progress], checkpoint: Path | None) -> float:
    """Trains from the checkpoint to the end, or to a stop; the seconds of all parts of the run."""
    from polychromic.training.agreement import RanksAgree
    from polychromic.training.checkpoints import SaveAndStop
    from polychromic.training.faults import saving_in
    from polychromic.training.tracking import MetricsFile

    stop, progress = told
    numbers = MetricsFile(run.folder.metrics, begin_part(run.folder) if run.ranks.first else 0.0)
    watchers = [numbers, *_watchers(run, progress, trainer)]
    trainer.health.speaks = run.ranks.first
    row_lengths.tell(trainer, run.data.rows)
    for callback in (*watchers, SaveAndStop(stop, save_minutes(run.settings))):
        trainer.add_callback(callback)
    if run.ranks.count > 1:
        trainer.add_callback(RanksAgree(run.ranks))
    with ExitStack() as stack:
        stack.callback(trainer.health.store)
        for watcher in watchers:
            if isinstance(watcher, Closing):
                stack.callback(watcher.close)
        stack.enter_context(saving_in(run.folder.path))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return numbers.seconds


def _trainer(run: _Run, policy: Any, sft: Any, lora: Any) -> Any:
    from datasets import Dataset, disable_progress_bars

    from polychromic.policy.render import training_row
    from polychromic.training.trainer import PolychromicTrainer

    def rows(examples: Sequence[Example]) -> Any:
        return Dataset.from_list([training_row(example) for example in examples])

    settings, data = run.settings, run.data
    disable_progress_bars()  # five bars before the first step would hide the run's own
    with at_fault("training and lora"):
        return PolychromicTrainer(
            model=policy.model,
            args=sft,
            train_dataset=rows(data.rows),
            eval_dataset=rows(data.held_out) if data.held_out else None,
            processing_class=policy.tokenizer,
            peft_config=lora,
            polychromic=run.term,
            task=data.task,
            embedder=run.embedder,
            prompts=[example.prompt for example in (*data.examples, *data.rows)],
            health=settings.health,
            held_out=held_out.build(settings, data),
        )


def _watchers(run: _Run, progress: Progress, trainer: Any) -> list[Any]:
    from transformers import EarlyStoppingCallback

    from polychromic.records.artefacts import settings_hash
    from polychromic.training.checkpoints import ChecksummedCheckpoints
    from polychromic.training.faults import FiniteSteps
    from polychromic.training.held_out import HeldOutLog
    from polychromic.training.sample_log import SampleLog
    from polychromic.training.spending import Spending
    from polychromic.training.tracking import ProgressReport, WandbRun, keep_beside
    from polychromic.training.watchdog import Watchdog

    settings, folder = run.settings, run.folder
    values = resolved(settings)
    shown = {section: values[section] for section in ("model", "polychromic", "lora", "training", "quantization")}
    name, group, seed = settings.experiment.name, settings.experiment.group, settings.experiment.seed
    wandb = WandbRun(settings.tracking, folder, name, shown | {"seed": seed}, group)
    table = wandb.table if settings.tracking.log_samples else None
    keep_beside(trainer, folder)
    found = [
        FiniteSteps(trainer.health),
        Watchdog(trainer.health),
        wandb,
        ProgressReport(progress, f"train {name}"),
        Spending(folder, run.budget, trainer.metrics, run.data.task),
    ]
    if table is not None and trainer.term is not None:
        found.append(SampleLog(folder.training_samples, settings.tracking.log_samples, trainer.term, table))
    if trainer.held_out is not None:
        found.append(HeldOutLog(folder.held_out_samples, trainer.held_out, table))
    if settings.evaluation.during_training.patience is not None:
        found.append(EarlyStoppingCallback(settings.evaluation.during_training.patience))
    trainer.health.tell.append(lambda finding: wandb.alert(finding.kind, finding.text))
    trainer.health.keep.append(lambda record: update_run(folder, health=to_row(record)))
    made = settings_hash(identity(settings))
    return [*found, ChecksummedCheckpoints(run.ranks.wait, settings_hash=made, ranks=run.ranks.count)]


def _embedder(settings: Settings) -> Embedder | None:
    section = settings.polychromic
    samples = section.diversity_weight > 0 or settings.data.harvest is not None
    if not samples or not needs_encoder(section.reward):
        return None
    from polychromic.embedding.encoder import load_encoder

    return load_encoder(settings.evaluation.encoder)


def _save(trainer: Any, tokenizer: Any, folder: RunFolder, weights: Any) -> None:
    """The adapter, the tokenizer with its template and the trainer's record; the adapter last, as it is looked for."""
    tokenizer.save_pretrained(folder.path)
    trainer.state.save_to_json(str(folder.trainer_state))
    trainer.accelerator.unwrap_model(trainer.model).save_pretrained(str(folder.path), state_dict=weights)
    give_usual_mode(folder.adapter)
