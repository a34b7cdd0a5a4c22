"""What the metrics of embeddings share: the texts of a set as unit vectors, and numbers of all sets together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.nouns import CORPUS_LEVEL, Measurement, SampleSet
from polychromic.core.protocols import Embedder
from polychromic.metrics._sets import Judged, KSamples, UnmeasurableError, Value, first_texts, measure_each

CHUNK_TEXTS = 8192
"""Texts embedded in one call: enough to sort by length, few enough for memory."""


@runtime_checkable
class Limited(Protocol):
    """An encoder that reads only so much of a text."""

    def cut(self, texts: Sequence[str]) -> int:
        """How many of the texts are longer than the encoder reads."""
        ...


def cut_texts(embedder: Embedder | None, texts: Sequence[str]) -> int:
    """How many of the texts the encoder cuts; 0 for one without a limit."""
    return embedder.cut(texts) if isinstance(embedder, Limited) else 0


def embedder_name(embedder: Embedder | None) -> str:
    """The encoder's part of a signature."""
    return "none" if embedder is None else embedder.name


@dataclass(frozen=True)
class OfVectors(KSamples):
    """A metric of the unit vectors of the first k completions of a set."""

    embedder: Embedder | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """An encoder."""
        return ("encoder",)

    def encoded(
        self, signature: str, sets: Sequence[SampleSet], one: Callable[[Any], Value], least: int = 2
    ) -> list[Measurement]:
        """``one`` applied to the unit vectors of each set's first k texts that are not empty, in the sets' order.

        An empty text has no meaning to compare, so it is left out and counted in the detail. NaN with a reason without
        an encoder, for fewer than k samples and for fewer than ``least`` texts left.
        """
        k, found = self.k_or_1, list[Measurement]()
        for part in _chunks(sets):
            vectors, failure = _embed(part, k, self.embedder)

            def with_vectors(
                samples: SampleSet,
                judged: Judged,
                vectors: dict[str, NDArray[np.float32]] = vectors,
                failure: str = failure,
            ) -> Value:
                texts = first_texts(samples, k, least=least)
                if failure:
                    raise UnmeasurableError(failure)
                kept = [text for text in texts if text.strip()]
                if len(kept) < least:
                    raise UnmeasurableError(f"needs {_texts(least)} not empty, there are {len(kept)}")
                value = one(np.stack([vectors[text] for text in kept]))
                beside = {"empty": k - len(kept), "cut": cut_texts(self.embedder, kept)}
                return Value(value.numerator, value.denominator, {**value.detail, **beside})

            found += measure_each(signature, part, None, with_vectors)
        return found


def _texts(least: int) -> str:
    return "a text that is" if least == 1 else "two texts that are"


def why_no_pair(texts: int) -> str:
    """Why ``texts`` texts together have no distance; empty when they have."""
    return "" if texts > 1 else f"needs two texts that are not empty, there are {texts} in all"


def corpus_level(rows: Sequence[Measurement], value: float, reason: str = "") -> list[Measurement]:
    """One number about all sets together: it stands with the first set that could be measured.

    It has no interval and no p-value, since there is nothing to resample; the other sets say where it stands. With a
    ``reason`` there is none.
    """
    nan, out, placed = float("nan"), list[Measurement](), bool(reason)
    for row in rows:
        if row.reason:
            out.append(row)
        elif placed:
            out.append(replace(row, numerator=nan, denominator=nan, reason=reason or CORPUS_LEVEL))
        else:
            out.append(replace(row, numerator=value, denominator=1.0))
            placed = True
    return out


def _chunks(sets: Sequence[SampleSet]) -> Iterator[list[SampleSet]]:
    part: list[SampleSet] = []
    held = 0
    for item in sets:
        part.append(item)
        held += len(item.completions)
        if held >= CHUNK_TEXTS:
            yield part
            part, held = [], 0
    if part:
        yield part


def _embed(sets: Sequence[SampleSet], k: int, embedder: Embedder | None) -> tuple[dict[str, NDArray[np.float32]], str]:
    """Vectors by text, and why there are none."""
    if embedder is None:
        return {}, "there is no encoder"
    texts = list(dict.fromkeys(text for item in sets for text in item.texts[:k] if text.strip()))
    try:
        rows = np.asarray(embedder.embed(texts), dtype=np.float32) if texts else np.zeros((0, 1), np.float32)
    except (MissingResourceError, MemoryError) as error:
        return {}, f"the encoder failed: {error}"
    if rows.ndim != 2 or len(rows) != len(texts) or not np.isfinite(rows).all():
        raise InputError(f"the encoder {embedder.name} gave no finite row for each of {len(texts)} texts")
    return dict(zip(texts, rows, strict=True)), ""
