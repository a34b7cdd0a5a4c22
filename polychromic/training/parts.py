"""The objective's parts for one trainer: reward and gate off their shelves, with what the run can give them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import torch

from polychromic.core.errors import UnsoundObjectiveError
from polychromic.core.nouns import SampleSet
from polychromic.core.protocols import Embedder, Task
from polychromic.embedding.cache import CachedEmbedder
from polychromic.gates.likelihood import Likelihood, threshold_of
from polychromic.objective.baseline import Moments
from polychromic.objective.combined import DiversityObjective
from polychromic.objective.soundness import Surroundings, refuse_unsound
from polychromic.policy.logprobs import completion_logprobs
from polychromic.policy.render import ends_of, prompt_ids
from polychromic.policy.sampling_mode import sampling_mode
from polychromic.settings import catalog
from polychromic.settings.schema import PolychromicSection
from polychromic.training.batch import IGNORED

THRESHOLD_ROWS = 256
"""Demonstrations the likelihood gate's threshold is made from."""


def build_objective(
    section: PolychromicSection, trainer: Any, *, task: Task | None, embedder: Embedder | None
) -> DiversityObjective:
    """The objective of ``section``; warns of settings that invite junk.

    Raises:
        UnsoundObjectiveError: the settings would make the diversity gradient wrong.
    """
    for warning in refuse_unsound(section, Surroundings(task is not None, embedder is not None)):
        warnings.warn(warning, UserWarning, stacklevel=3)
    model = trainer.accelerator.unwrap_model(trainer.model)
    reference = _reference(model, trainer.processing_class)
    cached = CachedEmbedder(embedder) if embedder is not None else None
    reward = catalog.build("rewards", section.reward, task=task, embedder=cached)
    gate = catalog.build("gates", section.gate, task=task, reference=reference)
    if isinstance(gate, Likelihood) and gate.threshold is None:
        gate = replace(gate, threshold=_threshold(model, trainer, gate.quantile))
    objective = DiversityObjective(reward, gate, section.set_size, section.baseline, section.rival)
    if trainer.accelerator.num_processes > 1:
        objective.add_ranks = _moments_over_ranks(trainer.accelerator)
    return objective


def demonstration_loss(section: PolychromicSection) -> dict[str, Any]:
    """The trainer's argument that puts another loss on the demonstrations; none for ``nll``, SFTTrainer's own."""
    if catalog.split(section.demonstration_loss)[0] == "nll":
        return {}
    chosen = catalog.build("demonstration", section.demonstration_loss)

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        found: torch.Tensor = chosen.loss(outputs.logits, labels, num_items_in_batch)
        return found

    return {"compute_loss_func": loss}


def _moments_over_ranks(accelerator: Any) -> Callable[[Moments], Moments]:
    def add(moments: Moments) -> Moments:
        tensor = torch.tensor(moments, dtype=torch.float32, device=accelerator.device)
        return np.asarray(accelerator.reduce(tensor, "sum").tolist())

    return add


def _reference(model: Any, tokenizer: Any) -> Callable[[SampleSet], Sequence[float]]:
    """Mean log-likelihood per token of each completion with the adapter switched off."""
    pad = ends_of(model, tokenizer).pad

    def scores(samples: SampleSet) -> Sequence[float]:
        tokens = [completion.token_ids for completion in samples.completions]
        return _base_scores(model, prompt_ids(tokenizer, samples.prompt), tokens, pad)

    return scores


def _base_scores(model: Any, prompt: Sequence[int], tokens: Sequence[Sequence[int]], pad: int) -> list[float]:
    if not hasattr(model, "disable_adapter"):
        raise UnsoundObjectiveError("polychromic.gate: likelihood needs a LoRA adapter to switch off (peft_config)")
    with sampling_mode(model), model.disable_adapter():
        total = completion_logprobs(model, [prompt], [tokens], 1.0, pad=pad)[0].tolist()
    return [value / len(ids) if ids else -float("inf") for value, ids in zip(total, tokens, strict=True)]


def _threshold(model: Any, trainer: Any, quantile: float) -> float:
    pad = ends_of(model, trainer.processing_class).pad
    values = [
        _base_scores(model, row["input_ids"][:start], [row["input_ids"][start:]], pad)[0]
        for row, start in _with_prompt(islice(trainer.train_dataset, THRESHOLD_ROWS))
    ]
    return threshold_of(values, quantile)


def _with_prompt(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[Mapping[str, Any], int]]:
    for row in rows:
        start = next((place for place, label in enumerate(row["labels"]) if label != IGNORED), 0)
        if start:
            yield row, start
