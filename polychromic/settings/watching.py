"""The sections on what is watched while a run trains."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from polychromic.settings.section import Section


class HealthSection(Section):
    """What a run does when it learns nothing of what it costs money for; what it finds is said and kept in any case."""

    action: Literal["warn", "stop"] = "stop"
    """stop: a run whose diversity term is dead saves a checkpoint and ends with status 1; warn: it goes on"""
    dead_steps: int = Field(default=30, ge=1)
    """diversity steps that are looked at, the newest"""
    dead_share: float = Field(default=0.9, gt=0, le=1)
    """of them without any effect, from which on the term is dead"""
    hang_minutes: float | None = Field(default=30.0, gt=0)
    """without a micro-batch done after which it is said where the run stands; after twice as long, stop ends it"""


class DuringTrainingSection(Section):
    """What is sampled for held-out prompts at every evaluation of a training run.

    When that is, ``training.eval_strategy`` and ``training.eval_steps`` say; ``training.metric_for_best_model`` may
    name what is measured here.
    """

    prompts: int = Field(default=0, ge=0)
    """the first of the task's split validation, or of data.eval_file; 0: nothing is sampled"""
    n: int = Field(default=8, ge=1)
    """samples a prompt, at the first of evaluation.temperatures"""
    patience: int | None = Field(default=None, ge=1)
    """evaluations in a row without a better training.metric_for_best_model after which the run stops"""
