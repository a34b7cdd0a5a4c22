"""Models to ``samples.jsonl``: one base in memory, adapters swapped, and only the samples drawn that are missing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from polychromic.core import stopping
from polychromic.core.errors import InputError
from polychromic.core.nouns import Decoding, Prompt
from polychromic.core.protocols import Progress, Sampler, Sourced, drawn, silent
from polychromic.core.seeds import child_seed
from polychromic.policy.chat import in_format, refuse_unchosen
from polychromic.records import costs
from polychromic.records.artefacts import signature
from polychromic.records.evaluation import Folder, opened
from polychromic.records.samples import StoredSet, sample_rows
from polychromic.settings import catalog
from polychromic.settings.content import code_digest, options
from polychromic.settings.outside import digests
from polychromic.settings.schema import EvaluationSection
from polychromic.stages.identity import Completeness, adapter_digest, adapter_facts, base_facts, refuse_other_samples
from polychromic.stages.models import NamedModel, one_base, one_precision, resolve
from polychromic.stages.sharing import SharedLog
from polychromic.training.ranks import Ranks, joined

PATIENCE = 24 * 3600.0
"""Seconds that a rank which has drawn its part waits for the others."""

OURS = ("transformers", "vllm")
"""Engines whose base and adapter are loaded here, so that their content is known."""


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """What is drawn: ``section.n`` completions at each of ``section.temperatures``, decided by ``seed``."""

    section: EvaluationSection
    seed: int = 0

    def decodings(self) -> list[Decoding]:
        """The decodings, one for each temperature."""
        length, (_, options) = self.section.max_new_tokens, catalog.split(self.section.engine)
        drawn = [Decoding(temperature=t, max_new_tokens=length) for t in self.section.temperatures]
        return [decoding.under(options.get("schema")) for decoding in drawn]


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
    progress: Progress = silent,
) -> Path:
    """The path of ``samples.jsonl``, with every sample of the plan in it; what it held before is kept.

    Each piece is durable when it is drawn, so an interrupted run continues where it was, and a larger ``n``, more
    temperatures or more models extend it. What each piece took is written to ``costs.jsonl`` beside it. Several ranks
    share the pieces, and the file is the same.

    Prompts that were reworded since are sampled anew, with a warning.

    Raises:
        MissingResourceError: a model or an engine is not to be had.
        InputError: the models have different bases, another process writes the file, or what it holds of a model was
            drawn by another engine, from another base or otherwise.
    """
    folder, prompts = opened(folder), as_asked(models, prompts, plan.section)
    with joined(PATIENCE, use_cpu=False) as ranks, SharedLog(folder.samples, ranks) as log:
        engines, held = _Engines(models, plan), folder.sets()
        engines.refuse_mixing(folder.samples, held)
        _say_reworded(folder.samples, held, prompts)
        pieces = list(_missing(models, prompts, plan, held))
        total = len(models) * len(prompts) * plan.section.n * len(plan.section.temperatures)
        done = total - sum(piece.samples for piece in pieces)
        progress("sample", done, total)
        if not pieces:
            return folder.samples
        engines.refuse_ranks(ranks)
        parts = [part for piece in pieces for part in _parts(piece, engines.at_once)]
        before = list(accumulate((part.samples for part in parts), initial=done))
        for place, part in log.share(parts):
            if not engines.ready:
                engines.load(folder.path)
                engines.refuse_mixing(folder.samples, held)
            meter, done = costs.Meter(), before[place]
            with engines.finishing() as stop:
                for sets in _draw(engines, part, plan.seed):
                    costs.append(folder.path, costs.drawn(sets, meter.elapsed(), engines.device))
                    log.append(row for stored in sets for row in sample_rows(stored))
                    done += sum(len(stored.indices) for stored in sets)
                    progress("sample", done, total)
                    stop.check(f"{done} of {total} samples are kept")
    return folder.samples


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
    kind, _ = catalog.split(engine_of(plan.section, models))
    return Forecast(total, missing, missing * plan.section.max_new_tokens, seconds, kind)


def as_asked(models: Sequence[NamedModel], prompts: Sequence[Prompt], section: EvaluationSection) -> Sequence[Prompt]:
    """The prompts in the form that the models were trained with, or that was chosen for them.

    A server renders conversations by itself, so that there nothing is to choose for plain text.

    Raises:
        InputError: prompts are plain text, the model has a chat template, and nobody has chosen.
        MissingResourceError: the tokenizer is not to be had.
    """
    base, (kind, _) = one_base(models), catalog.split(section.engine)
    plain = any(isinstance(prompt.content, str) for prompt in prompts)
    if plain and base.format is None and kind in ("transformers", "vllm", "auto"):
        from polychromic.policy.load import load_tokenizer

        refuse_unchosen(load_tokenizer(resolve(base)), prompts, None)
    return in_format(prompts, base.format)


def engine_of(section: EvaluationSection, models: Sequence[NamedModel] = ()) -> Any:
    """The engine's entry as on the shelf; for ``auto`` the one it chooses here, in the models' precision."""
    if catalog.split(section.engine)[0] != "auto":
        return section.engine
    if one_precision(models):
        return "transformers"
    chosen: str = catalog.build("samplers", section.engine).chosen
    return chosen


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


def _draw(engines: _Engines, part: Piece, seed: int) -> Iterator[list[StoredSet]]:
    """The part's sets, all together; one by one from an engine that can, so that none is lost when it breaks off."""
    child = child_seed(seed, part.model.name, str(part.decoding.temperature), part.indices[0], part.prompts[0].id)
    engine, adapter, source = engines.of(part.model), adapter_digest(part.model), engines.source(part.model)
    for sets in drawn(engine, part.prompts, len(part.indices), part.decoding, child):
        yield [StoredSet(replace(one, policy=part.model.name), adapter, seed, part.indices, source) for one in sets]


class _Engines:
    """Gives each model's sampler; with transformers the base is loaded once, and carries all adapters."""

    def __init__(self, models: Sequence[NamedModel], plan: SamplePlan) -> None:
        self.models, self.plan, self.section = models, plan, plan.section
        self.entry = engine_of(plan.section, models)
        self.kind, _ = catalog.split(self.entry)
        self._refuse_scales()
        self._refuse_precision()
        self._policy: Any = None
        self.ready = False
        self._own: dict[str, str] = {}
        self._sources: dict[str, dict[str, str]] = {}

    def of(self, model: NamedModel) -> Sampler:
        """The sampler of ``model``."""
        sampler: Sampler
        if self.kind == "transformers":
            policy = self._loaded()
            policy.use(None if model.adapter is None else model.name)
            sampler = catalog.build("samplers", self._sized(), model=policy.model, tokenizer=policy.tokenizer)
            return sampler
        sampler = catalog.build("samplers", self.entry)
        if self.kind == "server" and self.ready:  # the one that was asked about, whatever the server lists later
            sampler = replace(sampler, served_model=self._own["model"])  # type: ignore[type-var]
        if self.kind == "vllm":
            adapter = "" if model.adapter is None else str(model.adapter)
            where = {"model_path": resolve(model.base).name_or_path, "adapter": adapter}
            sampler = replace(sampler, **where, tokenizer=self._tokenizer())  # type: ignore[type-var]
        return sampler

    @property
    def device(self) -> str:
        """What draws: the kind of device of a model in this process, else the engine."""
        return str(self._loaded().model.device.type) if self.kind == "transformers" else self.kind

    @property
    def at_once(self) -> int | None:
        """Samples that are asked for together; None leaves that to an engine with a queue of its own."""
        return None if self.kind in ("vllm", "server") else self.section.batch_size

    def finishing(self) -> AbstractContextManager[stopping.Stop]:
        """Within it a signal waits for the part being drawn, where parts are small: vLLM draws all of it at once."""
        return stopping.listening() if self.kind == "vllm" else stopping.finishing("this part of the samples")

    def load(self, folder: str | Path) -> None:
        """Loads the models, where that is ours to do, and writes to the folder's account what it took.

        From here on ``source`` is known whole.
        """
        if self.kind in OURS:
            with costs.timed(folder, "load"):
                self._loaded() if self.kind == "transformers" else self.of(self.models[0]).start()  # type: ignore[attr-defined]
        self._own = self._of_engine()
        self.ready = True

    def source(self, model: NamedModel) -> dict[str, str]:
        """What draws the model's texts: the engine's own facts, and those of base and adapter where they are ours.

        Before ``load`` it is what can be known without asking a server or fetching a base; ``auto`` is no engine yet.
        """
        if not self.ready:
            kind, given = catalog.split(self.section.engine)
            served = {"model": given["served_model"]} if given.get("served_model") else {}
            return ({"engine": kind} if kind != "auto" else {}) | served | self._of_model(model)
        if model.name not in self._sources:
            self._sources[model.name] = {"engine": self.kind, **self._own, **self._of_model(model)}
        return self._sources[model.name]

    def refuse_mixing(self, path: Path, held: Sequence[StoredSet]) -> None:
        """Raises InputError when samples that are held were not drawn as those to come would be."""
        decodings = {decoding.temperature: decoding for decoding in self.plan.decodings()}
        for model in self.models:
            own = [one for one in held if one.model == model.name]
            facts = {"seed": self.plan.seed, "adapter": adapter_digest(model)} | self.source(model) if own else {}
            for one in own:
                decoding = decodings.get(one.temperature, one.samples.decoding)
                known: Completeness = "whole" if self.ready else "part"
                refuse_other_samples(path, one, facts | {"decoding": decoding}, known)

    def _of_engine(self) -> dict[str, str]:
        sampler = catalog.build("samplers", self.entry) if self.kind != "transformers" else None
        own = dict(sampler.source()) if isinstance(sampler, Sourced) else {}
        outside = sampler is not None and digests(sampler)
        return own | ({"code": signature([code_digest(sampler), options(sampler)])} if outside else {})

    def _of_model(self, model: NamedModel) -> dict[str, str]:
        return base_facts(model.base) | adapter_facts(model.adapter) if self.kind in OURS else {}

    def _refuse_scales(self) -> None:
        scaled = [model for model in self.models if model.scale != 1.0]
        if scaled and self.kind != "transformers":
            raise InputError(
                f"{scaled[0].name}: engine {self.kind} cannot scale an adapter; engine transformers can, and "
                f"`polychromic merge '{scaled[0].adapter}*{scaled[0].scale:g}'` makes a model of it"
            )

    def refuse_ranks(self, ranks: Ranks) -> None:
        """Raises InputError when several ranks would each start an engine that wants the launcher's place."""
        if ranks.count > 1 and self.kind == "vllm":
            raise InputError(
                f"engine vllm: {ranks.count} ranks are not tested with it; take engine transformers, or one process"
            )

    def _refuse_precision(self) -> None:
        if one_precision(self.models) and self.kind == "vllm":
            raise InputError(
                "engine vllm: the adapters were trained on a quantised base, which this engine would not draw from; "
                "take engine transformers, or evaluate what `polychromic merge` makes of them"
            )

    def _tokenizer(self) -> Any:
        from polychromic.policy.load import load_tokenizer, tokenizer_of_runs

        runs = {model.name: model.adapter for model in self.models if model.adapter is not None}
        return tokenizer_of_runs(runs) or load_tokenizer(resolve(one_base(self.models)))

    def _sized(self) -> dict[str, Any]:
        kind, options = catalog.split(self.entry)
        return {"kind": kind, "batch_size": self.section.batch_size} | options

    def _loaded(self) -> Any:
        if self._policy is None:
            from polychromic.policy.load import attach_adapters, load_base

            adapters = {model.name: model.adapter for model in self.models if model.adapter is not None}
            self._policy = attach_adapters(
                load_base(resolve(one_base(self.models)), one_precision(self.models)), adapters
            )
            for model in self.models:
                if model.adapter is not None:
                    self._policy.scale(model.name, model.scale)
        return self._policy
