"""How much texts share with references as sacrebleu computes it: BLEU and chrF. The only door to sacrebleu.

Scores lie in [0, 1], which is sacrebleu's number over 100.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any


@functools.cache
def _mteval() -> Callable[[str], str]:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    tokenizer: Callable[[str], str] = Tokenizer13a()
    return tokenizer


def mteval_13a(text: str) -> list[str]:
    """The tokens of sacrebleu's ``13a`` (mteval-v13a), the usual choice of BLEU."""
    return _mteval()(text).split()


@functools.cache
def bleu() -> Any:
    """Sacrebleu's sentence BLEU: its own tokens (13a) and smoothing (exp), of the orders that a text has."""
    from sacrebleu.metrics import BLEU

    return BLEU(effective_order=True)


@functools.cache
def chrf(word_order: int = 0) -> Any:
    """Sacrebleu's chrF (W15-3049), or chrF++ with word n-grams up to ``word_order`` 2 (W17-4770)."""
    from sacrebleu.metrics import CHRF

    return CHRF(word_order=word_order)


def score(metric: Any, text: str, references: Sequence[str]) -> float:
    """The text's score against its references, in [0, 1]; 0 for an empty text or without a reference."""
    return min(1.0, max(0.0, float(metric.sentence_score(text, list(references)).score) / 100.0))


@functools.cache
def signature(metric: Any) -> dict[str, str]:
    """What sacrebleu's own signature says of a metric, but for the number of references, which differs by prompt."""
    metric.sentence_score("a", ["a"])
    told = metric.get_signature().info
    return {name: str(value) for name, value in sorted(told.items()) if value is not None and name != "nrefs"}


def self_chrf(texts: Sequence[str], word_order: int = 0) -> float:
    """Mean over the texts of chrF against all the others, of which the closest counts, in [0, 1]; high = alike.

    NaN for fewer than two texts.
    """
    if len(texts) < 2:
        return math.nan
    metric = chrf(word_order)
    found = [score(metric, text, [*texts[:i], *texts[i + 1 :]]) for i, text in enumerate(texts)]
    return math.fsum(found) / len(found)
