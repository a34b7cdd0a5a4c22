"""Diversity-aware LoRA fine-tuning, and an evaluator that says honestly whether it worked.

Importing this package imports nothing heavy; the plain functions come with numpy when they are first asked for.
"""

import importlib
from typing import Any

from polychromic.core.nouns import (
    Comparison,
    Completion,
    Decoding,
    Example,
    Measurement,
    Message,
    Prompt,
    SampleSet,
    Status,
    Verdict,
)

__version__ = "0.1.0"

_FUNCTIONS = (
    "CreditReward",
    "VerlAdvantage",
    "answer_code",
    "credit",
    "distinct_correct_at_k",
    "distinct_n",
    "pass_at_k",
    "prime_rl_advantage",
    "self_bleu",
    "semantic_diversity",
    "vendi_score",
)

__all__ = [
    *_FUNCTIONS,
    "Comparison",
    "Completion",
    "Decoding",
    "Example",
    "Measurement",
    "Message",
    "Prompt",
    "SampleSet",
    "Status",
    "Verdict",
]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module("polychromic.functions"), name)
    raise AttributeError(f"module 'polychromic' has no attribute {name!r}")
