"""Diversity of meaning: distances, groups and volumes of a set's sentence embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.facts import Role
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.kernels import MeanDistance, clusters, mean_distance, nearest_neighbour_distances
from polychromic.diversity.vendi import Moment, log_determinant, vendi
from polychromic.embedding.encoder import communities
from polychromic.metrics._sets import Options, UnmeasurableError, Value, Verdicts
from polychromic.metrics._vectors import OfVectors, corpus_level, embedder_name, why_no_pair


@dataclass(frozen=True)
class _OfEach(OfVectors):
    """A diversity of each set's vectors: a kind adds ``_score``; the detail counts the texts."""

    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder."""
        metric = self.pinned(sets)
        return metric.encoded(
            metric.signature, sets, lambda vectors: Value(metric._score(vectors), detail={"texts": len(vectors)})
        )

    def _options(self) -> dict[str, Any]:
        return {"k": self.k, "encoder": embedder_name(self.embedder), "scope": "prompt"}

    def _score(self, vectors: Any) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class _OfEachOrAll(_OfEach):
    """A diversity of each set's vectors or, in the ``scope`` corpus, of those of all prompts together.

    The latter is one number without an interval, which stands with the first prompt.
    """

    scope: Literal["prompt", "corpus"] = "prompt"

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder."""
        return super().measure(sets, verdicts) if self.scope == "prompt" else self.pinned(sets)._of_all(sets)

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "scope": self.scope}

    def _of_all(self, sets: Sequence[SampleSet]) -> list[Measurement]:
        stream = self._stream()

        def collect(vectors: Any) -> Value:
            stream.add(vectors)
            return Value(0.0, detail={"texts": len(vectors)})

        rows = self.encoded(self.signature, sets, collect, least=1)
        return corpus_level(rows, self._score_of(stream), why_no_pair(stream.count))

    def _stream(self) -> Any:
        raise NotImplementedError

    def _score_of(self, stream: Any) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class Semantic(_OfEachOrAll):
    """Mean cosine distance over all pairs of the first k completions, in [0, n/(n-1)]; high = diverse.

    ``1 - (|sum e|^2 - n) / (n (n - 1))`` for unit vectors e. Empty texts are left out and counted in the detail.
    ``scope`` says which pairs: those of each prompt, or those of all prompts together (corpus), where different
    questions alone make texts differ.
    """

    kind: ClassVar[str] = "semantic"
    title: ClassVar[str] = "semantic diversity"
    headline: ClassVar[int] = 3

    def _score(self, vectors: Any) -> float:
        return mean_distance(vectors)

    def _stream(self) -> MeanDistance:
        return MeanDistance()

    def _score_of(self, stream: MeanDistance) -> float:
        return stream.value


@dataclass(frozen=True)
class NearestNeighbour(_OfEach):
    """Mean cosine distance of each of the first k completions to its nearest other, in [0, 2]; 0 when all have a twin.

    Sees what the mean distance hides: two tight bunches far apart.
    """

    kind: ClassVar[str] = "nearest_neighbour"
    title: ClassVar[str] = "nearest-neighbour distance"

    def _score(self, vectors: Any) -> float:
        return float(nearest_neighbour_distances(vectors).mean())


@dataclass(frozen=True)
class Clusters(_OfEach):
    """Groups of the first k completions at a cosine distance of ``threshold``, in [1, k].

    ``linkage`` single joins what a chain of near texts joins; community takes the texts near to one of them, the
    largest such group first, as sentence-transformers' community detection does: no chains.
    """

    kind: ClassVar[str] = "clusters"
    title: ClassVar[str] = "clusters"

    threshold: float = 0.3
    linkage: Literal["single", "community"] = "single"

    def _options(self) -> dict[str, Any]:
        said = {} if self.linkage == "single" else {"linkage": self.linkage}
        return {"threshold": self.threshold, **said, **super()._options()}

    def _score(self, vectors: Any) -> float:
        if self.linkage == "community":
            return _communities(vectors, self.threshold)
        return int(clusters(vectors, self.threshold).max()) + 1


def _communities(vectors: Any, threshold: float) -> int:
    try:
        return len(communities(vectors, threshold))
    except MissingResourceError as error:
        raise UnmeasurableError(str(error)) from None


@dataclass(frozen=True)
class Vendi(_OfEachOrAll):
    """Vendi score of order ``q`` of the first k completions' embeddings, in [1, k] (2210.02410, 2310.12952).

    ``scope`` corpus takes the completions of all prompts together: one number, in [1, d].
    """

    kind: ClassVar[str] = "vendi"
    title: ClassVar[str] = "Vendi score (q {q})"

    q: float = 1.0

    def __post_init__(self) -> None:
        if not self.q >= 0:
            raise InputError(f"the order q of a Vendi score must be at least 0, not {self.q}")

    def _options(self) -> dict[str, Any]:
        return {"q": float(self.q), **super()._options()}

    def _score(self, vectors: Any) -> float:
        return vendi(vectors, self.q)

    def _stream(self) -> Moment:
        return Moment()

    def _score_of(self, stream: Moment) -> float:
        return stream.vendi(self.q)


@dataclass(frozen=True)
class Logdet(_OfEach):
    """``log det(I + scale K) / (k log(1 + scale))`` of the first k completions' cosine similarities, in (0, 1].

    It is the measure that the reward ``logdet`` trains.
    """

    kind: ClassVar[str] = "logdet"
    title: ClassVar[str] = "log-determinant (scale {scale})"

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise InputError(f"the scale of a log-determinant must be positive, not {self.scale}")

    @classmethod
    def defaults(cls, n: int) -> Options:
        """None: it is measured where it is named."""
        return ()

    def _options(self) -> dict[str, Any]:
        return {"scale": float(self.scale), **super()._options()}

    def _score(self, vectors: Any) -> float:
        return log_determinant(vectors, self.scale)
