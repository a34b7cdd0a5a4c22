"""A run that is ready to begin -> its trained adapter: the base is loaded, the trainer built, its watchers hung on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polychromic.analysis.spending import Budget
from polychromic.core import stopping
from polychromic.core.errors import at_fault
from polychromic.core.nouns import Example
from polychromic.core.protocols import Closing, Embedder, Progress
from polychromic.objective.soundness import SoundTerm
from polychromic.records.artefacts import RunFolder, begin_part, finish_run, update_run
from polychromic.records.costs import timed
from polychromic.records.jsonl import give_usual_mode
from polychromic.records.rows import to_row
from polychromic.settings.load import identity, resolved
from polychromic.settings.schema import Settings
from polychromic.stages import held_out, row_lengths
from polychromic.stages.arguments import lora_config, save_minutes, sft_arguments
from polychromic.stages.demonstrations import Data
from polychromic.stages.models import resolve
from polychromic.stages.origin import note_base
from polychromic.training.ranks import Ranks

ROWS_A_STEP = (("per_device_train_batch_size", 8), ("gradient_accumulation_steps", 1))
"""The settings whose product is the demonstrations of a rank's step, with transformers' defaults."""


@dataclass(frozen=True, slots=True)
class Ready:
    """All that is known of a run before its model is loaded."""

    settings: Settings
    folder: RunFolder
    term: SoundTerm
    data: Data
    embedder: Embedder | None
    ranks: Ranks
    budget: Budget


def fit(run: Ready, progress: Progress) -> None:
    """The run folder gets adapter, tokenizer, metrics and the record of its end; raises what ``train.run`` raises."""
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


def _steps(run: Ready, trainer: Any, told: tuple[stopping.Stop, Progress], checkpoint: Path | None) -> float:
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


def _trainer(run: Ready, policy: Any, sft: Any, lora: Any) -> Any:
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


def _watchers(run: Ready, progress: Progress, trainer: Any) -> list[Any]:
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


def _save(trainer: Any, tokenizer: Any, folder: RunFolder, weights: Any) -> None:
    """The adapter, the tokenizer with its template and the trainer's record; the adapter last, as it is looked for."""
    tokenizer.save_pretrained(folder.path)
    trainer.state.save_to_json(str(folder.trainer_state))
    trainer.accelerator.unwrap_model(trainer.model).save_pretrained(str(folder.path), state_dict=weights)
    give_usual_mode(folder.adapter)
