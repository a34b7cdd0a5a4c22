"""Names of a run's numbers: those they had before, and the section of a dashboard that each belongs to."""

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


SPENT = ("_runtime", "_per_second", "num_tokens", "_tokens_seen", "tokens_generated", "total_flos", "/dollars")
"""How names of numbers end that say what work took, beside those of ``seconds``."""
_OF_HEALTH = (
    *("frac_valid", "frac_judged", "frac_unique", "off_support_gain", "logprob_gap", "skipped_examples"),
    *("failed_draws", "gradient_ratio", "gradient_share", "gradient_cosine"),
)
HEALTH = {"grad_norm", "frac_reward_zero_std", "completions/clipped_ratio", *(PREFIX + name for name in _OF_HEALTH)}
"""Numbers by which one sees that a run goes wrong, or that its diversity term does nothing."""
SECTIONS = ("train", "eval", "health", "cost")


def is_spent(name: str) -> bool:
    """Whether a number says what work took: seconds, tokens, dollars."""
    return "seconds_" in name or name.endswith(SPENT)


def in_section(name: str) -> str:
    """A number's name on a dashboard, which shows what stands before the first ``/`` as one of ``SECTIONS``."""
    if is_spent(name):
        return f"cost/{name}"
    if name in HEALTH:
        return f"health/{name}"
    return f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"


def renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``metrics.jsonl`` with today's names; a name of today stands as it is."""
    return {ALIASES.get(name, name): value for name, value in row.items()}
