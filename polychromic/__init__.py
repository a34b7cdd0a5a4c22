"""Diversity-aware LoRA fine-tuning, and an evaluator that says honestly whether it worked.

Importing this package imports nothing heavy.
"""

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

__all__ = [
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
