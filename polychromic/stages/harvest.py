"""A policy to a pool of judged, credited samples: sample, verify, credit; resumed and extended like an evaluation.

The pool is what a run learns from beside its demonstrations (``data.harvest``); it is plain text, so that a stronger
model's pool trains a smaller one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polychromic.core.digests import file_digest
from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Decoding, Example, Prompt, SampleSet, Verdict
from polychromic.core.protocols import Embedder, Progress, no_progress
from polychromic.core.seeds import child_seed
from polychromic.embedding.encoder import NO_ENCODER
from polychromic.objective.diversity_objective import DiversityObjective, ScoredSet
from polychromic.objective.harvest import credit_mass
from polychromic.objective.soundness import Surroundings, is_judged, needs_encoder, refuse_unsound
from polychromic.records.artefacts import signature
from polychromic.records.evaluation import EvaluationFolder
from polychromic.records.harvest import (
    POOL,
    HarvestAccount,
    Harvested,
    Pool,
    read_account,
    read_pool,
    unchanged,
    write_merged,
    write_pool,
)
from polychromic.records.samples import StoredSet, content_out, first_samples
from polychromic.records.verdicts import verdicts_of
from polychromic.settings import catalog
from polychromic.settings.content import code_digest, options
from polychromic.settings.schema import EvaluationSection, HarvestSection, ScheduleSection, Settings
from polychromic.stages.demonstrations import Data, load_data
from polychromic.stages.identity import base_facts
from polychromic.stages.models import NamedModel, named_model, resolve

if TYPE_CHECKING:
    from polychromic.stages import sample

BASE = "base"
BATCH = 512
THRESHOLD_ROWS = 256
"""Demonstrations the likelihood gate's threshold is made from."""


@dataclass(frozen=True)
class Harvest:
    """What is drawn and how it is credited; ``drawn_by`` is a run's folder in the place of ``data.harvest.from``."""

    settings: Settings
    data: Data
    embedder: Embedder | None = None
    drawn_by: str = ""

    @property
    def section(self) -> HarvestSection:
        """The section ``data.harvest``, or its defaults."""
        return self.settings.data.harvest or HarvestSection()

    @property
    def prompts(self) -> list[Prompt]:
        """The prompts asked, each once, chosen by the seed."""
        known = {prompt.id: prompt for prompt in self.data.prompts}
        order = sorted(known)
        random.Random(child_seed(self.settings.experiment.seed, "harvest prompts")).shuffle(order)
        return [known[name] for name in order[: self.section.prompts]]

    @property
    def model(self) -> NamedModel:
        """Who draws."""
        source = self.drawn_by or self.section.source
        return NamedModel("policy", self.settings.model) if source == BASE else named_model("policy", source)


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
    sample.run([harvest.model], harvest.prompts, _plan(harvest), folder, progress)
    task = harvest.data.task
    if task is not None and task.judges:
        verify.run(folder, task, progress)
    wanted = _made_of(harvest, folder)
    held = read_account(folder)
    if held is None or held.made_of != wanted or not unchanged(folder, held):
        rows, account = _credited(harvest, folder, progress)
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


def _plan(harvest: Harvest) -> sample.SamplePlan:
    from polychromic.stages import sample

    section, term = harvest.section, harvest.settings.polychromic
    drawing = EvaluationSection(
        n=section.n,
        temperatures=(term.temperature,),
        max_new_tokens=term.max_new_tokens,
        engine=section.engine,
        batch_size=BATCH,
    )
    return sample.SamplePlan(drawing, harvest.settings.experiment.seed)


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
            "decodings": _plan(harvest).decodings(),
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


def _credited(harvest: Harvest, folder: Path, progress: Progress) -> tuple[list[Harvested], HarvestAccount]:
    """The rows of the pool, in the prompts' order, and the account."""
    asked = {prompt.id for prompt in harvest.prompts}
    held = EvaluationFolder(folder)
    decodings = _plan(harvest).decodings()
    sets = [
        first_samples(stored, harvest.section.n)
        for stored in held.sets()
        if stored.samples.prompt.id in asked and stored.samples.decoding in decodings
    ]
    known = held.judged()
    objective = _objective(harvest)
    rows: list[Harvested] = []
    credits_: list[list[float]] = []
    valid = unfinished = 0
    for place, stored in enumerate(sets, start=1):
        samples = stored.samples
        verdicts = verdicts_of(stored, known) if known else None
        (found,) = objective.credits([samples], None if verdicts is None else [verdicts])
        values = _of_finished(samples, found)
        credits_.append(values)
        valid += sum(value > 0 for value in found.validity)
        unfinished += sum(not completion.finished for completion in samples.completions)
        rows += _rows(stored, verdicts, values)
        progress("credit", place, len(sets))
    if not rows:
        raise InputError(
            f"{folder}: not one of {sum(len(stored.indices) for stored in sets)} samples has credit, so there is "
            "nothing to learn from; ask more prompts, draw more samples, or a policy that finds an answer now and then"
        )
    without = sum(not any(values) for values in credits_)
    samples_drawn = sum(len(values) for values in credits_)
    mass = credit_mass(credits_)
    return rows, HarvestAccount(len(sets), without, samples_drawn, valid, unfinished, len(rows), mass)


def _of_finished(samples: SampleSet, found: ScoredSet) -> list[float]:
    """The credits, 0 for what was cut off: it would be learnt with an end that it does not have."""
    return [
        float(credit) if completion.finished else 0.0
        for credit, completion in zip(found.credit.values, samples.completions, strict=True)
    ]


def _rows(stored: StoredSet, verdicts: Sequence[Verdict] | None, values: Sequence[float]) -> list[Harvested]:
    """One row for each different text with credit."""
    samples, found = stored.samples, dict[str, Harvested]()
    for index, (completion, credit) in enumerate(zip(samples.completions, values, strict=True)):
        if credit <= 0.0 or not completion.text.strip():
            continue
        before = found.get(completion.text)
        if before is not None:
            found[completion.text] = replace(before, credit=before.credit + credit, copies=before.copies + 1)
            continue
        answer = None if verdicts is None else verdicts[index].answer
        found[completion.text] = Harvested(
            Example(samples.prompt, completion.text),
            credit,
            1,
            len(values),
            answer,
            stored.model,
            stored.adapter,
            stored.temperature,
        )
    return list(found.values())


def _objective(harvest: Harvest) -> DiversityObjective:
    term = harvest.settings.polychromic
    reward = catalog.build("rewards", term.reward, task=harvest.data.task, embedder=harvest.embedder)
    gate = catalog.build("gates", term.gate, task=harvest.data.task, reference=_reference(harvest))
    gate = _with_threshold(gate, harvest)
    return DiversityObjective(reward, gate, harvest.section.set_size)


def _with_threshold(gate: Any, harvest: Harvest) -> Any:
    """The likelihood gate with the threshold that the demonstrations give; every other gate as it is."""
    from polychromic.gates.likelihood import Likelihood, threshold_of

    if not isinstance(gate, Likelihood) or gate.threshold is not None:
        return gate
    shown = harvest.data.examples[:THRESHOLD_ROWS]
    values = [
        gate.reference(SampleSet(example.prompt, (Completion(example.demonstration),), Decoding()))[0]
        for example in shown
    ]
    return replace(gate, threshold=threshold_of(values, gate.quantile))


def _reference(harvest: Harvest) -> Callable[[SampleSet], Sequence[float]]:
    """Mean log-likelihood per token under the untuned base, which is loaded when it is first asked for."""
    loaded: list[tuple[Any, Any]] = []

    def scores(samples: SampleSet) -> Sequence[float]:
        from polychromic.policy.load import load_base
        from polychromic.policy.logprobs import mean_logprobs
        from polychromic.policy.render import prompt_ids, stop_tokens_of

        if not loaded:
            policy = load_base(resolve(harvest.settings.model), harvest.settings.quantization)
            loaded.append((policy, stop_tokens_of(policy.model, policy.tokenizer)))
        policy, ends = loaded[0]
        tokens = [_tokens(policy.tokenizer, completion, ends.eos[0]) for completion in samples.completions]
        return mean_logprobs(policy.model, prompt_ids(policy.tokenizer, samples.prompt), tokens)

    return scores


def _tokens(tokenizer: Any, completion: Completion, end: int) -> tuple[int, ...]:
    """The completion's tokens, its end included; made from the text where the engine gave none."""
    if completion.token_ids:
        return completion.token_ids
    return (*tokenizer(completion.text, add_special_tokens=False)["input_ids"], end)
