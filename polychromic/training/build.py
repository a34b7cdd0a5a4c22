"""Builds the term of one trainer: reward and gate off their shelves, with what the run can give them."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from types import FunctionType, MethodType
from typing import Any, Protocol

import numpy as np
import torch

from polychromic.core.errors import InputError, UnsoundObjectiveError
from polychromic.core.nouns import Decoding, Prompt, SampleSet
from polychromic.core.protocols import Embedder, Task
from polychromic.embedding.cache import CachedEmbedder
from polychromic.gates.likelihood import Likelihood, threshold_of
from polychromic.objective.baseline import Moments
from polychromic.objective.diversity_objective import DiversityObjective
from polychromic.objective.schedule import DEMONSTRATIONS, WeightSchedule
from polychromic.objective.set_value import samples_needed, value_of_sets
from polychromic.objective.soundness import (
    SoundTerm,
    Surroundings,
    needs_encoder,
    refuse_few_demonstrations,
    refuse_unsound,
)
from polychromic.policy.generate import Generation, StopTokens
from polychromic.policy.logprobs import mean_logprobs
from polychromic.policy.render import completions, stop_tokens_of
from polychromic.policy.sampling_mode import sampling_mode
from polychromic.settings import adapters, catalog
from polychromic.settings.schema import HealthSection, PolychromicSection
from polychromic.training.batch import PromptIndex, Tokens, demonstrations_of
from polychromic.training.drawing import build_drawing
from polychromic.training.held_out import HeldOut
from polychromic.training.judges import FunctionTask
from polychromic.training.term import DiversityTerm

THRESHOLD_ROWS = 256
"""Demonstrations the likelihood gate's threshold is made from."""
CALIBRATION_ROWS = 4096
"""Demonstrations whose sets tell what the policy's sets are pulled towards."""
LOOKED_AT_ROWS = 4096
"""Demonstrations whose prompts and ends are looked at before the first step."""
LOST_PROMPTS = 0.05
"""The share of demonstrations whose prompts may be none of the task's, so that nobody can judge their samples."""
KEYWORDS = ("reward", "gate", "task", "embedder", "prompts", "health", "held_out")
"""What ``PolychromicTrainer`` takes beside the section and TRL's arguments."""


class DemonstrationLoss(Protocol):
    """A kind of the shelf of losses on demonstrations."""

    def loss(self, logits: torch.Tensor, labels: torch.Tensor, items: Any = None) -> torch.Tensor:
        """A scalar; ``items`` are the targets of the whole window."""
        ...


@dataclass(frozen=True)
class Ingredients:
    """What the diversity term of a run is made of, beside TRL's arguments; ``section`` is sound."""

    section: PolychromicSection
    task: Task | None = None
    embedder: Embedder | None = None
    prompts: Sequence[Prompt] | None = None
    health: HealthSection = field(default_factory=HealthSection)
    held_out: HeldOut | None = None

    @classmethod
    def of(cls, section: PolychromicSection | SoundTerm | None, given: Mapping[str, Any]) -> Ingredients:
        """From the trainer's keywords ``KEYWORDS``; warns of settings that invite junk.

        Whether the settings are sound is decided here, unless it was before.

        Raises:
            UnsoundObjectiveError: the settings would make the diversity gradient wrong.
            SettingsError: a reward or gate breaks its contract.
        """
        task, kinds = given.get("task"), {name: given[name] for name in ("reward", "gate") if name in given}
        if isinstance(task, FunctionType | MethodType | partial):
            task = FunctionTask(task)
        health = given.get("health", HealthSection())
        others = (given.get("embedder"), given.get("prompts"), health, given.get("held_out"))
        parts = cls(PolychromicSection(), task, *others)
        if isinstance(section, SoundTerm):
            return replace(parts, section=section.section)
        section = (section or parts.section).model_copy(update=kinds)
        encoder = parts.embedder is not None or not isinstance(section.reward, str | Mapping | type | FunctionType)
        term = refuse_unsound(section, Surroundings(task is not None and task.judges, encoder))
        for warning in term.warnings:
            warnings.warn(warning, UserWarning, stacklevel=3)
        return replace(parts, section=term.section)

    def index(self, trainer: Any) -> PromptIndex:
        """The prompts that are known: those given, else the task's own, else the data set's for a plain function."""
        known = self.prompts if self.prompts is not None else self.task.prompts("train") if self.task else ()
        index = PromptIndex.of(trainer.processing_class, known)
        if not known and isinstance(self.task, FunctionTask):
            return index.with_columns(trainer.train_dataset, trainer.processing_class)
        return index


def build_term(ingredients: Ingredients, trainer: Any) -> DiversityTerm:
    """The diversity term for ``trainer``."""
    refuse_unserved(trainer.accelerator.unwrap_model(trainer.model))
    section, embedder = ingredients.section, ingredients.embedder
    remembering = CachedEmbedder(embedder) if embedder is not None else None
    tokenizer, index = trainer.processing_class, ingredients.index(trainer)
    objective = build_objective(replace(ingredients, embedder=remembering), trainer, index)
    shown = list(demonstrations_of(islice(trainer.train_dataset, LOOKED_AT_ROWS), index))
    if ingredients.task is not None:
        refuse_lost_prompts(shown, index)
    targets = [target for _, target in shown]
    stop_tokens = stop_tokens_of(trainer.accelerator.unwrap_model(trainer.model), tokenizer, targets)
    warn_endless(targets, stop_tokens)
    embeds = remembering if needs_encoder(section.reward) else None
    parts = (section, objective, tokenizer, stop_tokens, index, ingredients.task, trainer.args.seed, embeds)
    return DiversityTerm(*parts, drawing=build_drawing(section, trainer))


def refuse_unserved(model: Any) -> None:
    """Raises UnsoundObjectiveError for an adapter that samples or scores otherwise than the loss sees it."""
    for config in getattr(model, "peft_config", {}).values():
        if refused := adapters.refusal(config.to_dict()):
            raise UnsoundObjectiveError(f"peft_config.{refused[0]}: {refused[1]}")


def refuse_lost_prompts(shown: Sequence[tuple[Tokens, Tokens]], index: PromptIndex) -> None:
    """Warns of demonstrations whose prompts are none of those that are known: nothing can judge their samples.

    Raises:
        InputError: they are more than ``LOST_PROMPTS`` of all.
    """
    lost = sum(prompt not in index.known for prompt, _ in shown) if index.known else 0
    if not lost:
        return
    said = (
        f"{lost} of {len(shown)} demonstrations have a prompt that is none of the task's, token for token (a prompt's "
        "end may merge with the answer's first letters), so their samples cannot be judged"
    )
    if lost > LOST_PROMPTS * len(shown):
        raise InputError(f"{said}; `polychromic data show` shows where they part")
    warnings.warn(said, UserWarning, stacklevel=3)


def warn_endless(targets: Sequence[Tokens], stop_tokens: StopTokens) -> None:
    """Warns when most demonstrations hold no token that would end a sample: samples will run to their limit too."""
    endless = sum(not set(target) & set(stop_tokens.eos) for target in targets)
    if endless > len(targets) / 2:
        warnings.warn(
            f"{endless} of {len(targets)} demonstrations hold no end token, so samples will not end either; a chat "
            "template should end an answer with one (or training.max_length cuts them off)",
            UserWarning,
            stacklevel=3,
        )


def build_schedule(section: PolychromicSection, trainer: Any, term: DiversityTerm | None) -> WeightSchedule:
    """The schedule of ``section``; ``calibrated: demonstrations`` becomes what sets of the demonstrations are worth.

    Raises:
        UnsoundObjectiveError: no prompt has the demonstrations that this takes.
    """
    options = section.schedule
    if term is not None and options.calibrated == DEMONSTRATIONS:
        sets = demonstration_sets(trainer.train_dataset, term, samples_needed(section.set_size, section.n_generations))
        value = value_of_sets(term.objective, sets, term.verdicts(sets), section.n_generations)
        options = options.model_copy(update={"calibrated": value})
    return WeightSchedule(section.diversity_weight, options)


def demonstration_sets(rows: Any, term: DiversityTerm, least: int) -> list[SampleSet]:
    """The demonstrations of every prompt that has at least ``least`` of them, as if the policy had drawn them.

    Raises:
        UnsoundObjectiveError: no prompt has so many.
    """
    shown: defaultdict[Tokens, list[Generation]] = defaultdict(list)
    for prompt, target in demonstrations_of(islice(rows, CALIBRATION_ROWS), term.index):
        end = next((place for place, token in enumerate(target, start=1) if token in term.stop_tokens.eos), None)
        shown[prompt].append(Generation(target[:end], end is not None, 0.0))
    refuse_few_demonstrations(term.section, max(map(len, shown.values()), default=0))
    return [
        SampleSet(term.index.prompt_of(prompt, term.tokenizer), completions(term.tokenizer, draws, prompt), Decoding())
        for prompt, draws in shown.items()
        if len(draws) >= least
    ]


def build_objective(ingredients: Ingredients, trainer: Any, index: PromptIndex) -> DiversityObjective:
    """The objective, with what the run can give its reward and gate."""
    section, task = ingredients.section, ingredients.task
    model = trainer.accelerator.unwrap_model(trainer.model)
    reference = _reference(model, trainer.processing_class, index)
    reward = catalog.build("rewards", section.reward, task=task, embedder=ingredients.embedder)
    gate = catalog.build("gates", section.gate, task=task, embedder=ingredients.embedder, reference=reference)
    if isinstance(gate, Likelihood) and gate.threshold is None:
        gate = replace(gate, threshold=_threshold(model, trainer, index, gate.quantile))
    objective = DiversityObjective(reward, gate, section.set_size, section.baseline, section.rival)
    if trainer.accelerator.num_processes > 1:
        objective.add_ranks = _moments_over_ranks(trainer.accelerator)
    return objective


def demonstration_loss(section: PolychromicSection) -> DemonstrationLoss | None:
    """The loss on demonstrations that ``section`` names; None for ``nll``, SFTTrainer's own."""
    if catalog.split(section.demonstration_loss)[0] == "nll":
        return None
    chosen: DemonstrationLoss = catalog.build("demonstration", section.demonstration_loss)
    return chosen


def loss_on_demonstrations(
    trainer: Any, chosen: DemonstrationLoss, model: Any, inputs: Mapping[str, Any], items: Any
) -> tuple[torch.Tensor, Any]:
    """A micro-batch's loss by ``chosen``, scaled as SFTTrainer scales its own, and the model's outputs.

    One forward pass: SFTTrainer's ``compute_loss_func`` would take two.

    Raises:
        InputError: a mixture of experts, whose balance belongs to SFTTrainer's own loss.
    """
    if trainer.aux_loss_enabled:
        raise InputError("polychromic.demonstration_loss: a mixture of experts has a loss of its own; allowed: nll")
    outputs = model(**{name: value for name, value in inputs.items() if name != "labels"} | {"use_cache": False})
    loss = chosen.loss(outputs.logits, inputs["labels"], items)
    if trainer.args.average_tokens_across_devices and items is not None:
        loss = loss * trainer.accelerator.num_processes
    return loss, outputs


def share_of_window(trainer: Any, items: Any) -> float:
    """What the trainer still multiplies a micro-batch's loss with, so that a window's losses add up to its mean."""
    normalised = trainer.loss_is_scaled_for_ga
    if normalised is None:
        normalised = trainer.compute_loss_func is not None or (trainer.model_accepts_loss_kwargs and items is not None)
    return 1.0 if normalised else 1.0 / trainer.current_gradient_accumulation_steps


def _moments_over_ranks(accelerator: Any) -> Callable[[Moments], Moments]:
    def add(moments: Moments) -> Moments:
        tensor = torch.tensor(moments, dtype=torch.float32, device=accelerator.device)
        return np.asarray(accelerator.reduce(tensor, "sum").tolist())

    return add


def _reference(model: Any, tokenizer: Any, index: PromptIndex) -> Callable[[SampleSet], Sequence[float]]:
    """Mean log-likelihood per token of each completion with the adapter switched off."""

    def scores(samples: SampleSet) -> Sequence[float]:
        tokens = [completion.token_ids for completion in samples.completions]
        return _base_scores(model, index.tokens(samples.prompt, tokenizer), tokens)

    return scores


def _base_scores(model: Any, prompt: Sequence[int], tokens: Sequence[Sequence[int]]) -> list[float]:
    if not hasattr(model, "disable_adapter"):
        raise UnsoundObjectiveError("polychromic.gate: likelihood needs a LoRA adapter to switch off (peft_config)")
    with sampling_mode(model), model.disable_adapter():
        return mean_logprobs(model, prompt, tokens)


def _threshold(model: Any, trainer: Any, index: PromptIndex, quantile: float) -> float:
    rows = demonstrations_of(islice(trainer.train_dataset, THRESHOLD_ROWS), index)
    return threshold_of([_base_scores(model, prompt, [target])[0] for prompt, target in rows], quantile)
