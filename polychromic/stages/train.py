"""A configuration to a trained adapter in its run folder: only wiring."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from polychromic.analysis.spending import Budget, prices_of
from polychromic.core.errors import InputError
from polychromic.core.protocols import Embedder, Progress, no_progress
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
    refuse_other_run,
    update_run,
)
from polychromic.records.costs import billed
from polychromic.records.jsonl import read_json
from polychromic.records.locks import only_process
from polychromic.settings import catalog
from polychromic.settings.load import identity
from polychromic.settings.schema import DataSection, Settings
from polychromic.stages import held_out
from polychromic.stages.demonstrations import Data, Lesson, load_data, mixed, refuse_clustered_answers
from polychromic.stages.extension import changes, extensible
from polychromic.stages.fit import Ready, fit
from polychromic.stages.models import resolve
from polychromic.stages.origin import begin, refuse_edited
from polychromic.training.launchers import refuse_drawing, refuse_untested
from polychromic.training.ranks import joined

RANK_SECONDS = 1800.0
"""How long a rank waits for another, unless ``training.ddp_timeout`` says so."""
LOOKED_AT = 256
"""Demonstrations whose length is looked at before a model is loaded."""


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
            fit(Ready(settings, run_folder, term, data, embedder, ranks, budget), progress)
        ranks.wait()
    return run_folder


def _lesson(
    settings: Settings, folder: RunFolder, data: Data, embedder: Embedder | None, progress: Progress
) -> tuple[Lesson, dict[str, Any]]:
    """The run's mixture of demonstrations and harvest, and what it is for ``run.json``.

    Raises:
        InputError: the pool is another than the one this run began with.
    """
    from polychromic.stages.crediting import Harvest
    from polychromic.stages.harvest import pool_of

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


def _embedder(settings: Settings) -> Embedder | None:
    section = settings.polychromic
    samples = section.diversity_weight > 0 or settings.data.harvest is not None
    if not samples or not needs_encoder(section.reward):
        return None
    from polychromic.embedding.encoder import load_encoder

    return load_encoder(settings.evaluation.encoder)
