"""Names that a run's numbers had before: what a report reads in ``metrics.jsonl`` of an older run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PREFIX = "polychromic/"
RENAMED: Mapping[str, str] = {
    "dead_share": "frac_reward_zero_std",
    "truncated_share": "completions/clipped_ratio",
    "mean_length": "completions/mean_length",
    "quality_loss": "loss",
    "gate_rate": "polychromic/frac_valid",
    "unique_ratio": "polychromic/frac_unique",
    "sample_entropy": "polychromic/entropy",
    "junk_monitor": "polychromic/off_support_gain",
}
PREFIXED = (
    "diversity_value", "diversity_target", "similarity", "tokens_generated", "logprob_gap", "skipped_examples",
    "failed_draws", "lambda", "lambda_eff", "demonstration_gradient", "diversity_gradient", "gradient_ratio",
    "gradient_share", "gradient_cosine", "seconds_sampling", "seconds_judging", "seconds_scoring",
    "seconds_demonstration", "combined_loss",
)  # fmt: skip
ALIASES: Mapping[str, str] = {**RENAMED, **{name: PREFIX + name for name in PREFIXED}}
"""Old name: today's."""


def renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``metrics.jsonl`` with today's names; a name of today stands as it is."""
    return {ALIASES.get(name, name): value for name, value in row.items()}
