"""Engine: vLLM where it is installed and there is a GPU, else transformers in this process."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.core.errors import InputError
from polychromic.core.nouns import Decoding, Prompt, SampleSet


@dataclass(frozen=True)
class Auto:
    """Stands for another engine, which takes the same options: ``chosen`` names it."""

    @property
    def chosen(self) -> str:
        """``vllm`` or ``transformers``."""
        import torch

        there = torch.cuda.is_available() and importlib.util.find_spec("vllm") is not None
        return "vllm" if there else "transformers"

    def sample(self, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int) -> list[SampleSet]:
        """Nothing: the stage that samples takes the chosen engine instead.

        Raises:
            InputError: always.
        """
        raise InputError("engine auto draws nothing itself: take the engine that it names")
