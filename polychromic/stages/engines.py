"""What draws: the engine of each base, one base in memory at a time, its adapters swapped."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polychromic.core import stopping
from polychromic.core.errors import InputError
from polychromic.core.nouns import Decoding
from polychromic.core.protocols import Crew, Sampler, Sourced
from polychromic.records import costs
from polychromic.records.artefacts import signature
from polychromic.records.samples import StoredSet
from polychromic.settings import catalog
from polychromic.settings.content import code_digest, options
from polychromic.settings.outside import digests
from polychromic.settings.schema import EvaluationSection
from polychromic.stages.identity import Completeness, adapter_digest, adapter_facts, base_facts, refuse_other_samples
from polychromic.stages.models import NamedModel, by_base, one_base, one_precision, resolve
from polychromic.training.ranks import Ranks

OURS = ("transformers", "vllm")
"""Engines whose base and adapter are loaded here, so that their content is known."""


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """What is drawn: ``section.n`` completions at each of ``section.temperatures``, decided by ``seed``.

    A ``crew`` draws it, where there is one.
    """

    section: EvaluationSection
    seed: int = 0
    crew: Crew | None = None

    def decodings(self) -> list[Decoding]:
        """The decodings, one for each temperature."""
        length, (_, options) = self.section.max_new_tokens, catalog.split(self.section.engine)
        drawn = [Decoding(temperature=t, max_new_tokens=length) for t in self.section.temperatures]
        return [decoding.under(options.get("schema")) for decoding in drawn]


def engine_of(section: EvaluationSection, models: Sequence[NamedModel] = ()) -> Any:
    """The engine's entry as on the shelf; for ``auto`` the one it chooses here, in the models' precision."""
    if catalog.split(section.engine)[0] != "auto":
        return section.engine
    if one_precision(models):
        return "transformers"
    chosen: str = catalog.build("samplers", section.engine).chosen
    return chosen


class Bases:
    """The engines of each base; one base is in memory at a time."""

    def __init__(self, models: Sequence[NamedModel], plan: SamplePlan) -> None:
        self._engines = [Engines(several, plan) for several in by_base(models)]
        if self._engines[1:] and self._engines[0].kind == "vllm":
            raise InputError("engine vllm: holds one base; take engine transformers to evaluate models of several")

    @property
    def at_once(self) -> int | None:
        """Samples that are asked for together; None leaves that to the engines."""
        return self._engines[0].at_once

    def refuse_ranks(self, ranks: Ranks) -> None:
        """Raises what an engine that cannot share with other ranks raises."""
        self._engines[0].refuse_ranks(ranks)

    def refuse_mixing(self, path: Path, held: Sequence[StoredSet]) -> None:
        """Raises InputError when samples that are held were not drawn as those to come would be."""
        for engines in self._engines:
            engines.refuse_mixing(path, held)

    def of(self, model: NamedModel) -> Engines:
        """The engines of a model's base, the others' weights let go."""
        place = self.place(model)
        for other, engines in enumerate(self._engines):
            if other != place:
                engines.release()
        return self._engines[place]

    def place(self, model: NamedModel) -> int:
        """Which of the bases a model's is: work ordered by it loads each base once."""
        return next(place for place, engines in enumerate(self._engines) if model in engines.models)


class Engines:
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
        self._refuse_unfit_adapters()
        if self.kind in OURS:
            with costs.timed(folder, "load"):
                self._loaded() if self.kind == "transformers" else self.of(self.models[0]).start()  # type: ignore[attr-defined]
        self._own = self._of_engine()
        self.ready = True

    def release(self) -> None:
        """Lets go of the base; what stays on a device is freed for the next."""
        if self._policy is not None:
            import torch

            self._policy, self.ready = None, False
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

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

    def _refuse_unfit_adapters(self) -> None:
        """Transformers' adapters are looked at when they are attached; vLLM takes what it finds."""
        if self.kind != "vllm":
            return
        from polychromic.policy.adapter_check import refuse_unfit

        base, largest = resolve(one_base(self.models)), catalog.build("samplers", self.entry).max_lora_rank
        for model in self.models:
            if model.adapter is not None:
                refuse_unfit(model.adapter, base, largest)

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
