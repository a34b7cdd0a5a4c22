"""Engine: completions drawn earlier, from a ``samples.jsonl``; for tests, rescoring and machines without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.records.samples import read_sets


@dataclass(frozen=True)
class Replay:
    """Gives back the completions that ``path`` holds of ``policy`` (any model, if there is only one)."""

    path: str = "samples.jsonl"
    policy: str = ""

    def sample(self, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int) -> list[SampleSet]:
        """The first ``n`` stored completions of each prompt under the same decoding; ``seed`` has no say.

        Raises:
            InputError: the file holds fewer than ``n`` for a prompt, or several models and ``policy`` names none.
        """
        stored = [item for item in read_sets(self.path) if self.policy in ("", item.model)]
        models = sorted({item.model for item in stored})
        if len(models) > 1:
            raise InputError(f"{self.path}: holds {', '.join(models)}; say which one with policy")
        held: dict[str, tuple[Completion, ...]] = {
            item.samples.prompt.id: item.samples.completions for item in stored if item.samples.decoding == decoding
        }
        for prompt in prompts:
            if len(held.get(prompt.id, ())) < n:
                raise InputError(
                    f"{self.path}: holds {len(held.get(prompt.id, ()))} completions of prompt {prompt.id!r} under this "
                    f"decoding; {n} are needed"
                )
        return [SampleSet(prompt, held[prompt.id][:n], decoding, models[0]) for prompt in prompts]
