"""What artefacts are made of, by content: checkers, models, data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polychromic.core.nouns import Prompt
from polychromic.core.protocols import Grounded
from polychromic.records.artefacts import signature
from polychromic.settings.content import code_digest, options


def checkers(task: Any, prompts: Sequence[Prompt]) -> list[str]:
    """For each prompt the digest of what decides a verdict besides the sample: code, options, tests, right answer."""
    grounds = task.grounds(prompts) if isinstance(task, Grounded) else [options(task)] * len(prompts)
    code = code_digest(task)
    return [signature([code, prompt.payload, own]) for prompt, own in zip(prompts, grounds, strict=True)]
