from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Status, Verdict

Make = Callable[..., SampleSet]


@pytest.fixture
def samples() -> Make:
    """A set of completions from its texts."""

    def make(
        texts: Sequence[str],
        prompt_id: str = "p",
        tokens: bool = False,
        logprobs: Sequence[float | None] = (),
        **payload,
    ) -> SampleSet:
        completions = tuple(
            Completion(
                text,
                tuple(range(len(text) + 1)) if tokens else (),
                finished=not text.endswith("…"),
                logprob=logprobs[i] if logprobs else None,
            )
            for i, text in enumerate(texts)
        )
        return SampleSet(Prompt(prompt_id, "Say.", payload), completions, Decoding(), "model")

    return make


@pytest.fixture
def judge() -> Callable[[str], tuple[Verdict, ...]]:
    """Verdicts from letters: a capital is a right answer of that name, a small letter a wrong one.

    ``+`` is right without a name, ``-`` wrong without one, ``?`` not judged, ``t`` and ``c`` are not special.
    """

    def make(letters: str) -> tuple[Verdict, ...]:
        special = {"?": Verdict(Status.ABSENT), "+": Verdict(Status.PASSED), "-": Verdict(Status.FAILED)}
        return tuple(
            special.get(letter) or Verdict(Status.PASSED if letter.isupper() else Status.FAILED, "", letter.lower())
            for letter in letters
        )

    return make
