"""MAUVE of the completions against the demonstrations. The only door to mauve-text, which is an optional extra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from polychromic.core.errors import MissingResourceError
from polychromic.core.extras import absent
from polychromic.core.facts import Role
from polychromic.core.nouns import Example, Measurement, SampleSet
from polychromic.core.seeds import child_seed
from polychromic.metrics._sets import Options, Value, Verdicts
from polychromic.metrics._vectors import OfVectors, corpus_level, embedder_name

LEAST = 100
"""Texts a side below which the histograms are mostly noise."""


@dataclass(frozen=True)
class Mauve(OfVectors):
    """MAUVE in [0, 1] between all prompts' completions and the demonstrations, 1 = alike (2102.01454).

    The area under the divergence curve of the two texts' histograms over k-means clusters, as mauve-text computes it,
    with this project's sentence encoder in place of gpt2-large: numbers of another encoder may not be compared, and
    the signature names it. As many ``texts`` are taken of each side, drawn with ``seed``; None is the number that all
    models and the demonstrations have. One number without an interval, which stands with the first prompt.
    """

    kind: ClassVar[str] = "mauve"
    title: ClassVar[str] = "MAUVE"
    role: ClassVar[Role] = Role.QUALITY
    direction: ClassVar[int] = 1

    texts: int | None = None
    seed: int = 0
    demonstrations: Sequence[Example] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """An encoder and demonstrations."""
        return ("encoder", "demonstrations")

    @classmethod
    def defaults(cls, n: int) -> Options:
        """None: it is measured where it is named."""
        return ()

    def pinned(self, sets: Sequence[SampleSet]) -> Self:
        """The same metric with its k and number of texts fixed to what these sets have in common."""
        metric = super().pinned(sets)
        if metric.texts is not None:
            return metric
        held: dict[tuple[str, float], int] = {}
        for item in sets:
            group = (item.policy, item.decoding.temperature)
            held[group] = held.get(group, 0) + sum(bool(text.strip()) for text in item.texts[: metric.k])
        return replace(metric, texts=min([len(self._human()), *held.values()]))

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder, demonstrations or the library, and for few texts."""
        metric, vectors = self.pinned(sets), list[Any]()

        def collect(rows: Any) -> Value:
            vectors.append(rows)
            return Value(0.0, detail={"texts": len(rows)})

        rows = metric.encoded(metric.signature, sets, collect, least=1)
        if not vectors:
            return rows
        try:
            score, reason = metric._score(np.concatenate(vectors)), ""
        except MissingResourceError as error:
            score, reason = float("nan"), str(error)
        return corpus_level(rows, score, reason)

    def _options(self) -> dict[str, Any]:
        parts = {"k": self.k, "texts": self.texts, "seed": self.seed, "encoder": embedder_name(self.embedder)}
        return {**parts, "human": "demonstrations", "scope": "corpus"}

    def _human(self) -> list[str]:
        return [text for example in self.demonstrations if (text := example.demonstration.strip())]

    def _score(self, drawn: NDArray[np.float32]) -> float:
        """MAUVE of the vectors; raises MissingResourceError with the reason why there is none."""
        human, wanted = self._human(), self.texts or 0
        if not human:
            raise MissingResourceError("there are no demonstrations to compare with")
        if min(wanted, len(drawn), len(human)) < max(LEAST, wanted):
            counts = f"{len(drawn)} completions and {len(human)} demonstrations"
            raise MissingResourceError(f"needs {max(LEAST, wanted)} texts a side, there are {counts}")
        try:
            from mauve import compute_mauve
        except ImportError:
            raise absent("mauve") from None
        assert self.embedder is not None
        told = np.asarray(self.embedder.embed([human[i] for i in self._picked("human", len(human))]))
        shown = drawn[self._picked("model", len(drawn))]
        return float(compute_mauve(p_features=told, q_features=shown, seed=self.seed, verbose=False).mauve)

    def _picked(self, side: str, n: int) -> NDArray[np.int64]:
        """As many places below ``n`` as texts are taken, in order."""
        generator = np.random.default_rng(child_seed(self.seed, "mauve", side, n))
        return np.sort(generator.choice(n, size=self.texts, replace=False))
