"""A policy to a pool of judged, credited samples: sample, verify, credit; resumed and extended like an evaluation.

The pool is what a run learns from beside its demonstrations (``data.harvest``); it is plain text, so that a stronger
model's pool trains a smaller one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from polychromic.core.digests import file_digest
from polychromic.core.protocols import Progress, no_progress
from polychromic.embedding.encoder import NO_ENCODER
from polychromic.objective.soundness import Surroundings, is_judged, needs_encoder, refuse_unsound
from polychromic.records.artefacts import signature
from polychromic.records.harvest import (
    POOL,
    Pool,
    read_account,
    read_pool,
    unchanged,
    write_merged,
    write_pool,
)
from polychromic.records.samples import content_out
from polychromic.settings import catalog
from polychromic.settings.content import code_digest, options
from polychromic.settings.schema import HarvestSection, ScheduleSection, Settings
from polychromic.stages.crediting import THRESHOLD_ROWS, Harvest, credited
from polychromic.stages.demonstrations import load_data
from polychromic.stages.identity import base_facts


def default_folder(settings: Settings) -> Path:
    """Where the verb keeps a configuration's pool: beside the run's folder."""
    experiment = settings.experiment
    return Path(experiment.output_root) / f"{experiment.name}.harvest"


def prepared(settings: Settings) -> Harvest:
    """The harvest of a configuration, with its data, task and encoder.

    Raises:
        UnsoundObjectiveError: reward, gate and set size do not fit what the run has.
        InputError: bad data.
        MissingResourceError: the encoder is not to be had.
    """
    from polychromic.embedding.encoder import load_encoder

    refuse_unsound_credit(settings, judged=is_judged(settings.data))
    data = load_data(settings.data, settings.model)
    wanted = needs_encoder(settings.polychromic.reward) and settings.evaluation.encoder != NO_ENCODER
    return Harvest(settings, data, load_encoder(settings.evaluation.encoder) if wanted else None)


def refuse_unsound_credit(settings: Settings, *, judged: bool) -> None:
    """Raises UnsoundObjectiveError when the samples of a harvest could not be credited as the settings ask."""
    section = settings.data.harvest or HarvestSection()
    term = settings.polychromic.model_copy(
        update={
            "diversity_weight": 1.0,
            "n_generations": section.n,
            "set_size": section.set_size,
            "rival": None,
            "schedule": ScheduleSection(),
        }
    )
    refuse_unsound(term, Surroundings(judged, settings.evaluation.encoder != NO_ENCODER))


def run(harvest: Harvest, out: str | Path, progress: Progress = no_progress) -> Path:
    """The path of ``harvest.jsonl`` in the folder ``out``; what it holds is kept and extended.

    Raises:
        InputError: nothing judges and the gate needs a verdict, the folder holds a harvest of other settings, or no
            sample has any credit.
        MissingResourceError: a model, an engine or the encoder is not to be had.
    """
    from polychromic.stages import sample, verify

    folder = Path(out)
    sample.run([harvest.model], harvest.prompts, harvest.plan, folder, progress)
    task = harvest.data.task
    if task is not None and task.judges:
        verify.run(folder, task, progress)
    wanted = _made_of(harvest, folder)
    held = read_account(folder)
    if held is None or held.made_of != wanted or not unchanged(folder, held):
        rows, account = credited(harvest, folder, progress)
        write_pool(folder, rows, replace(account, made_of=wanted))
    return folder / POOL


Train = Callable[[Settings, Path, Progress], object]


def pool_of(harvest: Harvest, run_folder: Path, train: Train, progress: Progress = no_progress) -> Pool:
    """What a run learns from: the pool that ``data.harvest.path`` names, or one drawn now into the run's folder.

    With several rounds, round i + 1 is drawn from a run that ``train`` makes of the rounds up to i, from the base as
    ReST-EM does (2312.06585), in ``rounds/`` of the run's folder; an answer counts where it was first found.

    Raises:
        InputError, MissingResourceError: as ``run``.
    """
    section = harvest.section
    if section.path is not None:
        return read_pool(section.path)
    pools: list[Pool] = []
    for number in range(1, section.rounds + 1):
        place = run_folder / "harvest" if number == 1 else run_folder / "rounds" / f"harvest-{number}"
        run(harvest, place, progress)
        pools.append(read_pool(place))
        if number < section.rounds:
            between = run_folder / "rounds" / f"run-{number}"
            merged = write_merged(pools, run_folder / "rounds" / f"pool-{number}")
            train(_between(harvest.settings, number, merged), between, progress)
            harvest = replace(harvest, drawn_by=str(between))
    return pools[0] if len(pools) == 1 else read_pool(write_merged(pools, run_folder / "rounds" / "pool"))


def _between(settings: Settings, number: int, pool: Path) -> Settings:
    """The settings of the run between two rounds."""
    section = settings.data.harvest
    assert section is not None
    learnt = section.model_copy(update={"path": str(pool), "rounds": 1})
    name = f"{settings.experiment.name}-round-{number}"
    training = dict(settings.training) | ({"max_steps": section.round_steps} if section.round_steps else {})
    return settings.model_copy(
        update={
            "experiment": settings.experiment.model_copy(update={"name": name}),
            "data": settings.data.model_copy(update={"harvest": learnt}),
            "training": training,
        }
    )


def _made_of(harvest: Harvest, folder: Path) -> str:
    from polychromic.gates.likelihood import Likelihood

    term = harvest.settings.polychromic
    verdicts = folder / "verdicts.jsonl"
    reward, gate = catalog.outline("rewards", term.reward), catalog.outline("gates", term.gate)
    return signature(
        {
            "samples": file_digest(folder / "samples.jsonl"),
            "verdicts": file_digest(verdicts) if verdicts.exists() else "",
            "prompts": [prompt.id for prompt in harvest.prompts],
            "n": harvest.section.n,
            "decodings": harvest.plan.decodings(),
            "reward": term.reward,
            "gate": term.gate,
            "kinds": [code_digest(reward, gate), options(reward), options(gate)],
            "threshold": _of_threshold(harvest) if isinstance(gate, Likelihood) else "",
            "set_size": harvest.section.set_size,
            "encoder": getattr(harvest.embedder, "name", ""),
        }
    )


def _of_threshold(harvest: Harvest) -> list[Any]:
    """What the likelihood gate's threshold is made of: demonstrations, and the base that scores them."""
    shown = [(one.prompt.id, content_out(one.prompt), one.demonstration) for one in harvest.data.examples]
    return [signature(shown[:THRESHOLD_ROWS]), base_facts(harvest.settings.model)]
