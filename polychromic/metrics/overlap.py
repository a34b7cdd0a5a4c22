"""What completions share with the demonstrations of their prompt, and with each other, as sacrebleu scores it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from polychromic.core.facts import Role
from polychromic.core.nouns import Example, Measurement, SampleSet
from polychromic.diversity import overlap
from polychromic.metrics._sets import (
    Judged,
    KSamples,
    Options,
    UnmeasurableError,
    Value,
    Verdicts,
    first_texts,
    measure_each,
)

WordOrder = Literal[0, 1, 2]


@dataclass(frozen=True)
class _AgainstReferences(KSamples):
    """Mean score in [0, 1] of the first k completions against all demonstrations of their own prompt.

    Quality as closeness to what was demonstrated: a right answer in other words scores low. The detail counts the
    references; NaN for a prompt without any.
    """

    role: ClassVar[Role] = Role.QUALITY
    direction: ClassVar[int] = 1
    _needs = ("demonstrations",)

    references: Sequence[Example] = ()

    @classmethod
    def defaults(cls, n: int) -> Options:
        """None: it is measured where it is named."""
        return ()

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without a demonstration of its prompt."""
        metric, scorer = self.pinned(sets), self._scorer()
        shown: dict[str, list[str]] = defaultdict(list)
        for example in self.references:
            if example.demonstration.strip():
                shown[example.prompt.id].append(example.demonstration)

        def one(samples: SampleSet, _: Judged) -> Value:
            texts, references = first_texts(samples, metric.k_or_1), shown.get(samples.prompt.id)
            if not references:
                raise UnmeasurableError("there is no demonstration of this prompt to compare with")
            found = [overlap.score(scorer, text, references) for text in texts]
            return Value(math.fsum(found) / len(found), detail={"references": len(references)})

        return measure_each(metric.signature, sets, verdicts, one)

    def _options(self) -> dict[str, Any]:
        return {"k": self.k, **overlap.signature(self._scorer()), "refs": "demonstrations"}

    def _scorer(self) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Bleu(_AgainstReferences):
    """Mean sentence BLEU of the first k completions against the demonstrations of their prompt, in [0, 1].

    sacrebleu's (W18-6319), whose own signature is part of this one's. A right answer in other words scores low.
    """

    kind: ClassVar[str] = "bleu"
    title: ClassVar[str] = "BLEU"

    def _scorer(self) -> Any:
        return overlap.bleu()


@dataclass(frozen=True)
class Chrf(_AgainstReferences):
    """Mean chrF of the first k completions against the demonstrations of their prompt, in [0, 1].

    sacrebleu's, whose own signature is part of this one's: F-score of character n-grams and, with ``word_order`` 2, of
    words (chrF++), against the closest demonstration.
    """

    kind: ClassVar[str] = "chrf"
    title: ClassVar[str] = "chrF (word order {nw})"

    word_order: WordOrder = 0

    def _scorer(self) -> Any:
        return overlap.chrf(self.word_order)


@dataclass(frozen=True)
class SelfChrf(KSamples):
    """Mean chrF of each of the first k completions against the one of the others that it is most like, in [0, 1].

    High = alike. Characters see what Self-BLEU's words do not, such as endings and languages without white space. An
    empty text is left out and counted in the detail; NaN for fewer than two others.
    """

    kind: ClassVar[str] = "self_chrf"
    title: ClassVar[str] = "self-chrF (word order {nw})"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = -1

    word_order: WordOrder = 0

    @classmethod
    def defaults(cls, n: int) -> Options:
        """None: it is measured where it is named."""
        return ()

    def _options(self) -> dict[str, Any]:
        return {"k": self.k, **overlap.signature(overlap.chrf(self.word_order)), "scope": "prompt"}

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        texts = first_texts(samples, self.k_or_1, least=2)
        kept = [text for text in texts if text.strip()]
        if len(kept) < 2:
            raise UnmeasurableError(f"needs two texts that are not empty, there are {len(kept)}")
        return Value(overlap.self_chrf(kept, self.word_order), detail={"empty": len(texts) - len(kept)})
