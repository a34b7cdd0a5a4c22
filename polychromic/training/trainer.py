"""TRL's SFTTrainer with the diversity term: ``loss = SFT - lambda * E[f(y_1..y_k)]``, the only door to trl.

An adapter without mathematics. ``get_batch_samples`` sees the whole window of an optimizer step and reads its prompts;
``training_step`` adds the diversity term's gradients before the window's first demonstration batch is run, so that only
one of the two graphs is in memory at a time (and DDP reduces their sum); ``compute_loss`` is SFTTrainer's own. With
lambda 0 every hook returns what SFTTrainer's would.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from trl import SFTConfig, SFTTrainer

from polychromic.objective.diversity_objective import lambda_eff, off_support_gain
from polychromic.objective.gradient_balance import GradientWindow
from polychromic.objective.pulse import Pulse
from polychromic.objective.soundness import SoundTerm
from polychromic.policy.sharded import is_sharded
from polychromic.settings.schema import PolychromicSection
from polychromic.training import sharding
from polychromic.training.adapter_precision import AdapterPrecision
from polychromic.training.batch import Window, window_of
from polychromic.training.build import (
    KEYWORDS,
    Ingredients,
    build_schedule,
    build_term,
    demonstration_loss,
    loss_on_demonstrations,
    share_of_window,
)
from polychromic.training.demonstrations import Demonstrations
from polychromic.training.health import Health
from polychromic.training.logged_metrics import LoggedMetrics, Sum, gather_over_ranks, mean_over_ranks
from polychromic.training.optimizer_memory import OptimizerMemory
from polychromic.training.resumption import ObjectiveState
from polychromic.training.term import DiversityTerm

__all__ = ["PolychromicTrainer", "SFTConfig"]


class PolychromicTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer's arguments, and what the diversity term is made of.

    ``polychromic`` is the section of that name (lambda 0 without it). ``reward`` and ``gate`` take the place of the
    section's: a kind, a class, an object or a plain function. ``task`` judges samples (gate verifier, reward answers):
    a task, or a function in the signature of TRL's reward functions. ``embedder`` serves rewards that compare
    embeddings. ``prompts`` are the training prompts with their payloads, by default the task's own. ``health`` says
    when a run stops that has no effect; ``held_out`` are prompts that are sampled at every evaluation.

    Raises:
        UnsoundObjectiveError: the settings would make the diversity gradient wrong.
        SettingsError: a reward or gate breaks its contract.
    """

    def __init__(self, *args: Any, polychromic: PolychromicSection | SoundTerm | None = None, **kwargs: Any) -> None:
        ingredients = Ingredients.of(polychromic, {name: kwargs.pop(name) for name in KEYWORDS if name in kwargs})
        section = ingredients.section
        super().__init__(*args, **kwargs)
        self.ingredients = ingredients
        self.metrics = LoggedMetrics()
        self.demonstration = demonstration_loss(section)
        self.term: DiversityTerm | None = None
        self._window: Window | None = None
        self.monitor: GradientWindow | None = None
        if section.diversity_weight > 0:
            self.term = build_term(ingredients, self)
        self.schedule = build_schedule(section, self, self.term)
        self.health = Health(ingredients.health, self.term)
        self.held_out = ingredients.held_out
        self.demonstrations = Demonstrations(self, self.health)
        for callback in (self.health, OptimizerMemory(self.health), ObjectiveState(self), AdapterPrecision(self.model)):
            self.add_callback(callback)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """SFTTrainer's micro-batches of one optimizer step, whose prompts are kept for the diversity term."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        due = self.term and batches and self.state.global_step % self.term.section.compute_every_n_steps == 0
        self._window = window_of(batches, self.term.index) if self.term and due else None
        self.demonstrations.open(len(batches))
        return batches, items

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """SFTTrainer's step on one micro-batch; before the first of a window, the diversity term's gradients."""
        if self._window is not None:
            window, self._window = self._window, None
            self._diversity(model, window)
        began = time.perf_counter()
        loss = self.demonstrations.step(model, inputs, num_items_in_batch, super().training_step)
        if self.term:
            self.metrics.update({"polychromic/seconds_demonstration": time.perf_counter() - began})
            if self.monitor and self.demonstrations.done:
                self._close_monitor(self.monitor)
        return loss

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """SFTTrainer's loss, or another on the demonstrations; watched by the gradient monitor when it is on."""
        if self.demonstration is None:
            found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        else:
            pair = loss_on_demonstrations(self, self.demonstration, model, inputs, num_items_in_batch)
            found = pair if return_outputs else pair[0]
        if self.demonstrations.share != 1.0 and num_items_in_batch is None:  # of a mean over the part's own tokens
            loss = (found[0] if return_outputs else found) * self.demonstrations.share
            found = (loss, found[1]) if return_outputs else loss
        if self.monitor and model.training:
            loss = found[0] if return_outputs else found
            self.monitor.add(loss * share_of_window(self, num_items_in_batch), None)
        return found

    def _diversity(self, model: Any, window: Window) -> None:
        assert self.term is not None
        step, policy = self.state.global_step, self.accelerator.unwrap_model(model)
        model.train()
        rollouts = sharding.draw(self, policy, window)
        self.metrics.update(
            {
                "polychromic/skipped_examples": Sum(window.skipped),
                "polychromic/failed_draws": Sum(rollouts is None),
            }
        )
        value = rollouts.report["polychromic/diversity_value"] if rollouts else math.nan
        pulse = Pulse.of(rollouts.report if rollouts else None)
        value, tokens, *agreed = mean_over_ranks(self.accelerator, [value, window.target_tokens, *pulse.numbers])
        self._weight = weight = self.schedule.at(step, tokens)
        self.health.observe_term(step + 1, Pulse(*agreed), weight)
        self.schedule.observe_value(value)
        measured = self.schedule.measure_gradients_at(step, self.term.section.compute_every_n_steps)
        self.monitor = sharding.gradient_window(policy, self._mean_over_ranks) if measured else None
        began = time.perf_counter()
        with self.compute_loss_context_manager():
            if weight and is_sharded(policy):
                sharding.add_gradients(self.term, policy, rollouts, weight, self)
            elif weight and rollouts:
                self.term.add_gradients(policy, rollouts, weight, self.accelerator.backward, self.monitor)
        if rollouts is None:
            return
        effective = lambda_eff(weight, tokens)
        gain = off_support_gain(effective, rollouts.report["polychromic/similarity"])
        self.health.observe_gain(step + 1, gain)
        self.metrics.update(rollouts.report)
        self.metrics.update(
            {
                "polychromic/lambda": weight,
                "polychromic/lambda_eff": effective,
                "polychromic/off_support_gain": gain,
                "polychromic/diversity_target": math.nan if self.schedule.target is None else self.schedule.target,
                "polychromic/seconds_scoring": time.perf_counter() - began,
            }
        )

    def _close_monitor(self, monitor: GradientWindow) -> None:
        found, self.monitor = monitor.close(), None
        if self._weight:
            self.schedule.observe_norms(found.demonstration_norm, found.diversity_norm / abs(self._weight))
        self.health.observe_share(found.share)
        self.metrics.update(found.report())

    def _mean_over_ranks(self, vector: torch.Tensor) -> torch.Tensor:
        mean: torch.Tensor = self.accelerator.reduce(vector.to(self.accelerator.device), "mean")
        return mean

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """SFTTrainer's evaluation; the generators that dropout and data draw from are left as they were."""
        with torch.random.fork_rng(enabled=True):
            found: dict[str, float] = super().evaluate(*args, **kwargs)
        return found

    def prediction_step(self, model: Any, inputs: Any, loss_only: bool, ignore_keys: Any = None) -> Any:
        """SFTTrainer's evaluation of a batch, in parts where the device has too little memory for its loss."""
        run = partial(super().prediction_step, prediction_loss_only=loss_only, ignore_keys=ignore_keys)
        return self.demonstrations.predicted(model, inputs, run) if loss_only else run(model, inputs)

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        """SFTTrainer's loop over the held-out demonstrations, and what the policy writes for the held-out prompts."""
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        if self.held_out is not None:
            output.metrics.update(self.held_out.measured(self, metric_key_prefix))
        return output

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """SFTTrainer's log with the diversity term's numbers of the steps since the last one."""
        self.demonstrations.mend(logs)
        if self.model.training:
            found = self.metrics.take(gather_over_ranks(self.accelerator))
            if "loss" in logs and "polychromic/diversity_value" in found:
                diversity = found["polychromic/lambda"] * found["polychromic/diversity_value"]
                found["polychromic/combined_loss"] = logs["loss"] - diversity
            logs.update(found)
        super().log(logs, start_time)
