"""Models to ``samples.jsonl``: one base in memory, adapters swapped, and only the samples drawn that are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polychromic.core.nouns import Decoding, Prompt
from polychromic.core.protocols import Progress, Sampler, silent
from polychromic.core.seeds import child_seed
from polychromic.records.jsonl import AppendLog
from polychromic.records.samples import StoredSet, prompt_hash, read_sets, sample_rows
from polychromic.settings import catalog
from polychromic.settings.schema import EvaluationSection
from polychromic.stages.models import NamedModel, one_base, resolve


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
    folder: str | Path,
    progress: Progress = silent,
) -> Path:
    """The path of ``samples.jsonl``, with every sample of the plan in it; what it held before is kept.

    Each piece is durable when it is drawn, so an interrupted run continues where it was, and a larger ``n``, more
    temperatures or more models extend it.

    Raises:
        MissingResourceError: a model or an engine is not to be had.
        InputError: the models have different bases, or another process writes the file.
    """
    path = Path(folder) / "samples.jsonl"
    with AppendLog(path) as log:
        pieces = list(_missing(models, prompts, plan, path))
        total = len(models) * len(prompts) * plan.section.n * len(plan.section.temperatures)
        done = total - sum(piece.samples for piece in pieces)
        progress("sample", done, total)
        if not pieces:
            return path
        engines = _Engines(models, plan.section)
        for piece in pieces:
            for part in _parts(piece, plan.section.batch_size):
                for stored in _draw(engines, part, plan.seed):
                    log.append(sample_rows(stored))
                    done += len(stored.indices)
                    progress("sample", done, total)
    return path


def _missing(models: Sequence[NamedModel], prompts: Sequence[Prompt], plan: SamplePlan, path: Path) -> Iterator[Piece]:
    """The work that is not done, grouped so that prompts missing the same indices are drawn together."""
    held = {
        (item.model, item.samples.decoding, item.samples.prompt.id, prompt_hash(item.samples.prompt)): item.indices
        for item in read_sets(path)
    }
    for model in models:
        for decoding in plan.decodings():
            groups: dict[tuple[int, ...], list[Prompt]] = {}
            for prompt in prompts:
                have = set(held.get((model.name, decoding, prompt.id, prompt_hash(prompt)), ()))
                lacking = tuple(index for index in range(plan.section.n) if index not in have)
                if lacking:
                    groups.setdefault(lacking, []).append(prompt)
            for indices, some in groups.items():
                yield Piece(model, decoding, tuple(some), indices)


def _parts(piece: Piece, batch_size: int) -> Iterator[Piece]:
    """The piece in parts of about ``batch_size`` samples, prompts of like length together."""
    size = max(1, batch_size // len(piece.indices))
    ordered = sorted(piece.prompts, key=lambda prompt: len(str(prompt.content)))
    for start in range(0, len(ordered), size):
        yield replace(piece, prompts=tuple(ordered[start : start + size]))


def _draw(engines: _Engines, part: Piece, seed: int) -> Iterator[StoredSet]:
    """The part's sets; an engine that hands them over one by one loses none of them when it breaks off."""
    child = child_seed(seed, part.model.name, str(part.decoding.temperature), part.indices[0], part.prompts[0].id)
    engine, adapter = engines.of(part.model), engines.adapter(part.model)
    draw = getattr(engine, "each", engine.sample)
    for one in draw(part.prompts, len(part.indices), part.decoding, child):
        yield StoredSet(replace(one, policy=part.model.name), adapter, seed, part.indices)


class _Engines:
    """Gives each model's sampler; with transformers the base is loaded once, and carries all adapters."""

    def __init__(self, models: Sequence[NamedModel], section: EvaluationSection) -> None:
        self.models, self.section = models, section
        self.kind, _ = catalog.split(section.engine)
        self._policy: Any = None

    def of(self, model: NamedModel) -> Sampler:
        """The sampler of ``model``."""
        sampler: Sampler
        if self.kind == "transformers":
            policy = self._loaded()
            policy.use(None if model.adapter is None else model.name)
            sampler = catalog.build("samplers", self._sized(), model=policy.model, tokenizer=policy.tokenizer)
            return sampler
        sampler = catalog.build("samplers", self.section.engine)
        if self.kind == "vllm":
            base = resolve(model.base).name_or_path
            adapter = "" if model.adapter is None else str(model.adapter)
            sampler = replace(sampler, model_path=base, adapter=adapter)  # type: ignore[type-var]
        if self.kind == "replay":
            sampler = replace(sampler, policy=model.name)  # type: ignore[type-var]
        return sampler

    def adapter(self, model: NamedModel) -> str:
        """The hash of the model's adapter weights, empty for the bare base."""
        from polychromic.policy.load import adapter_hash

        return adapter_hash(model.adapter)

    def _sized(self) -> dict[str, Any]:
        kind, options = catalog.split(self.section.engine)
        return {"kind": kind, "batch_size": self.section.batch_size} | options

    def _loaded(self) -> Any:
        if self._policy is None:
            from polychromic.policy.load import attach_adapters, load_base

            adapters = {model.name: model.adapter for model in self.models if model.adapter is not None}
            self._policy = attach_adapters(load_base(resolve(one_base(self.models))), adapters)
        return self._policy
