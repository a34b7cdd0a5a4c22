"""Models to ``samples.jsonl``: one base in memory, adapters swapped, and only the samples drawn that are missing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

from polychromic.core import stopping
from polychromic.core.errors import InputError
from polychromic.core.nouns import Decoding, Prompt
from polychromic.core.protocols import Crew, Progress, drawn, no_progress
from polychromic.core.seeds import child_seed
from polychromic.policy.chat import in_format, refuse_unchosen
from polychromic.records import costs
from polychromic.records.evaluation import Folder, opened
from polychromic.records.samples import StoredSet, sample_rows
from polychromic.settings import catalog
from polychromic.settings.schema import EvaluationSection
from polychromic.stages.engines import Bases, Engines, engine_of
from polychromic.stages.engines import SamplePlan as SamplePlan
from polychromic.stages.identity import adapter_digest
from polychromic.stages.models import NamedModel, by_base, one_base, resolve
from polychromic.stages.sharing import SharedLog
from polychromic.training.ranks import joined

PATIENCE = 24 * 3600.0
"""Seconds that a rank which has drawn its part waits for the others."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the work: prompts that miss the same sample indices of one model under one decoding."""

    model: NamedModel
    decoding: Decoding
    prompts: tuple[Prompt, ...]
    indices: tuple[int, ...]

    @property
    def samples(self) -> int:
        """How many completions it is."""
        return len(self.prompts) * len(self.indices)


def run(
    models: Sequence[NamedModel],
    prompts: Sequence[Prompt],
    plan: SamplePlan,
    folder: Folder,
    progress: Progress = no_progress,
) -> Path:
    """The path of ``samples.jsonl``, with every sample of the plan in it; what it held before is kept.

    Each piece is durable when it is drawn, so an interrupted run continues where it was, and a larger ``n``, more
    temperatures or more models extend it. What each piece took is written to ``costs.jsonl`` beside it. Several ranks
    share the pieces, or the plan's crew draws them, and the file is the same.

    Prompts that were reworded since are sampled anew, with a warning.

    Raises:
        MissingResourceError: a model or an engine is not to be had.
        InputError: another process writes the file, what it holds of a model was drawn by another engine, from another
            base or otherwise, or the engine cannot draw from these models.
    """
    bases = Bases(models, plan)
    folder, prompts = opened(folder), as_asked(models, prompts, plan.section)
    with joined(PATIENCE, use_cpu=False) as ranks, SharedLog(folder.samples, ranks) as log:
        held = folder.sets()
        bases.refuse_mixing(folder.samples, held)
        _say_reworded(folder.samples, held, prompts)
        pieces = sorted(_missing(models, prompts, plan, held), key=lambda each: bases.place(each.model))
        total = len(models) * len(prompts) * plan.section.n * len(plan.section.temperatures)
        done = total - sum(piece.samples for piece in pieces)
        progress("sample", done, total)
        if not pieces:
            return folder.samples
        bases.refuse_ranks(ranks)
        parts = [part for piece in pieces for part in _parts(piece, bases.at_once)]
        drawer = Drawer(bases, plan.seed, folder.samples, held)
        if plan.crew is not None:
            _by_crew(plan.crew, drawer, parts, log, Tally(folder.path, progress, done, total))
            return folder.samples
        before = list(accumulate((part.samples for part in parts), initial=done))
        for place, part in log.share(parts):
            tally = Tally(folder.path, progress, before[place], total)
            with drawer.finishing(part) as stop:
                for sets in drawer.draw(part, folder.path):
                    log.append(row for stored in sets for row in sample_rows(stored))
                    tally.add(sets, stop)
    return folder.samples


@dataclass(slots=True)
class Tally:
    """How many samples are kept of all that there will be."""

    folder: Path
    progress: Progress
    done: int
    total: int

    def add(self, sets: Sequence[StoredSet], stop: stopping.Stop) -> None:
        """Counts what is kept; raises StoppedError where that was asked for."""
        self.done += sum(len(stored.indices) for stored in sets)
        self.progress("sample", self.done, self.total)
        stop.check(f"{self.done} of {self.total} samples are kept")


@dataclass(frozen=True)
class Drawer:
    """Draws parts wherever it is: it loads a base when a part of it comes first.

    What is ``held`` of the models at ``path`` must have been drawn likewise.
    """

    bases: Bases
    seed: int
    path: Path
    held: Sequence[StoredSet]

    def draw(self, part: Piece, account: str | Path) -> Iterator[list[StoredSet]]:
        """The part's sets as they are there; what they took goes to the costs of the folder ``account``."""
        engines = self.bases.of(part.model)
        if not engines.ready:
            engines.load(account)
            engines.refuse_mixing(self.path, self.held)
        meter = costs.Meter()
        for sets in _draw(engines, part, self.seed):
            costs.append(account, costs.drawn(sets, meter.elapsed(), engines.device))
            yield sets

    def finishing(self, part: Piece) -> AbstractContextManager[stopping.Stop]:
        """Within it a signal waits, as far as the part's engine allows."""
        return self.bases.of(part.model).finishing()

    def __call__(self, part: Piece) -> tuple[list[StoredSet], list[costs.TimingRow]]:
        """All sets of the part and what they took: where another process writes."""
        with TemporaryDirectory() as account:
            sets = [stored for some in self.draw(part, account) for stored in some]
            return sets, costs.read_costs(account)


def _by_crew(crew: Crew, drawer: Drawer, parts: Sequence[Piece], log: SharedLog, tally: Tally) -> None:
    with stopping.finishing("a part that is being drawn") as stop:
        for place, (sets, took) in crew.keeping(drawer, parts):
            costs.append(tally.folder, took)
            log.keep(place, (row for stored in sets for row in sample_rows(stored)))
            tally.add(sets, stop)
    log.collect()


@dataclass(frozen=True, slots=True)
class Forecast:
    """What sampling will take: samples of the whole plan, those to draw, and the most tokens they can have.

    ``seconds`` is known when the folder holds samples whose time was taken; None before the first piece. ``engine``
    is the engine that draws.
    """

    samples: int
    missing: int
    tokens: int
    seconds: float | None
    engine: str = "transformers"


def forecast(models: Sequence[NamedModel], prompts: Sequence[Prompt], plan: SamplePlan, folder: Folder) -> Forecast:
    """The forecast of ``run`` with the same arguments; nothing is loaded or drawn."""
    folder, prompts = opened(folder), as_asked(models, prompts, plan.section)
    missing = sum(piece.samples for piece in _missing(models, prompts, plan, folder.sets()))
    total = len(models) * len(prompts) * plan.section.n * len(plan.section.temperatures)
    taken = [row for row in costs.read_costs(folder.path) if row.stage == "sample"]
    timed = sum(len(row.indices) for row in taken)
    seconds = sum(row.seconds for row in taken) / timed * missing if timed else None
    kind, _ = catalog.split(engine_of(plan.section, by_base(models)[0]))
    return Forecast(total, missing, missing * plan.section.max_new_tokens, seconds, kind)


def as_asked(models: Sequence[NamedModel], prompts: Sequence[Prompt], section: EvaluationSection) -> Sequence[Prompt]:
    """The prompts in the form that the models were trained with, or that was chosen for them.

    A server renders conversations by itself, so that there nothing is to choose for plain text.

    Raises:
        InputError: prompts are plain text, a model has a chat template, and nobody has chosen; or models of several
            bases ask for different forms.
        MissingResourceError: a tokenizer is not to be had.
    """
    bases, (kind, _) = [one_base(several) for several in by_base(models)], catalog.split(section.engine)
    plain = any(isinstance(prompt.content, str) for prompt in prompts)
    for base in bases:
        if plain and base.format is None and kind in ("transformers", "vllm", "auto"):
            from polychromic.policy.load import load_tokenizer

            refuse_unchosen(load_tokenizer(resolve(base)), prompts, None)
    if len({base.format for base in bases}) > 1:
        named = ", ".join(f"{base.name_or_path} {base.format or 'none'}" for base in bases)
        raise InputError(f"--models: the bases ask for prompts of different forms (model.format: {named})")
    return in_format(prompts, bases[0].format)


def _missing(
    models: Sequence[NamedModel], prompts: Sequence[Prompt], plan: SamplePlan, drawn: Sequence[StoredSet]
) -> Iterator[Piece]:
    """The work that is not done, grouped so that prompts missing the same indices are drawn together."""
    held = {
        (item.model, item.samples.decoding, item.samples.prompt.id, item.samples.prompt.content): item.indices
        for item in drawn
    }
    for model in models:
        for decoding in plan.decodings():
            groups: dict[tuple[int, ...], list[Prompt]] = {}
            for prompt in prompts:
                have = set(held.get((model.name, decoding, prompt.id, prompt.content), ()))
                lacking = tuple(index for index in range(plan.section.n) if index not in have)
                if lacking:
                    groups.setdefault(lacking, []).append(prompt)
            for indices, some in groups.items():
                yield Piece(model, decoding, tuple(some), indices)


def _say_reworded(path: Path, held: Sequence[StoredSet], prompts: Sequence[Prompt]) -> None:
    """Warns of prompts whose samples answer another wording; they do not count once the new ones are there."""
    today = {prompt.id: prompt for prompt in prompts}
    asked = {stored.samples.prompt.id: stored.samples.prompt for stored in held}
    reworded = [name for name, prompt in asked.items() if today.get(name, prompt) != prompt]
    if reworded:
        said = f"{len(reworded)} prompts were reworded since they were sampled (the first: {reworded[0]})"
        warnings.warn(f"{path}: {said}; they are sampled anew", stacklevel=3)


def _parts(piece: Piece, at_once: int | None) -> Iterator[Piece]:
    """The piece in parts of about ``at_once`` samples (None: whole), prompts of like length together."""
    size = len(piece.prompts) if at_once is None else max(1, at_once // len(piece.indices))
    ordered = sorted(piece.prompts, key=lambda prompt: len(str(prompt.content)))
    for start in range(0, len(ordered), size):
        yield replace(piece, prompts=tuple(ordered[start : start + size]))


def _draw(engines: Engines, part: Piece, seed: int) -> Iterator[list[StoredSet]]:
    """The part's sets, all together; one by one from an engine that can, so that none is lost when it breaks off."""
    child = child_seed(seed, part.model.name, str(part.decoding.temperature), part.indices[0], part.prompts[0].id)
    engine, adapter, source = engines.of(part.model), adapter_digest(part.model), engines.source(part.model)
    for sets in drawn(engine, part.prompts, len(part.indices), part.decoding, child):
        yield [StoredSet(replace(one, policy=part.model.name), adapter, seed, part.indices, source) for one in sets]
