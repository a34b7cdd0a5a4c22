"""Every contract of the house on one screen. Shelves implement them; nothing inherits from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from polychromic.core.facts import Role
from polychromic.core.nouns import (
    Completion,
    Decoding,
    Evidence,
    Example,
    Measurement,
    Prompt,
    SampleSet,
    Verdict,
)

Progress = Callable[[str, int, int], None]
"""What a stage calls as it goes: the name of the work, how much of it is done, how much there is."""


def silent(work: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@runtime_checkable
class Sampler(Protocol):
    """Draws completions."""

    def sample(self, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int) -> list[SampleSet]:
        """One set of ``n`` independent completions for each prompt, in the prompts' order."""
        ...


@runtime_checkable
class Task(Protocol):
    """Prompts whose completions can be judged."""

    name: str

    def prompts(self, split: str) -> Sequence[Prompt]:
        """The prompts of ``split`` ("train", "validation" or "test"); splits are disjoint."""
        ...

    def examples(self, split: str) -> Sequence[Example]:
        """The demonstrations of ``split``."""
        ...

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """Whether the completion is right, and its canonical answer. Never raises on model output."""
        ...


@runtime_checkable
class BatchTask(Task, Protocol):
    """A task that judges many completions much faster than one at a time."""

    def verify_many(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict for each prompt and its completion, in order."""
        ...


def verdicts_on(task: Task, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Verdict]:
    """One verdict for each prompt and its completion, in one go where the task can."""
    if isinstance(task, BatchTask):
        return task.verify_many(prompts, completions)
    return [task.verify(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]


@runtime_checkable
class Embedder(Protocol):
    """Texts to unit vectors."""

    name: str

    def embed(self, texts: Sequence[str]) -> Any:
        """Float32 array of shape [len(texts), d] with rows of length 1; equal texts give equal rows."""
        ...


@runtime_checkable
class Reward(Protocol):
    """What makes a set of completions worth having, as evidence the objective turns into credit."""

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Evidence:
        """Labels, distances or a set function over the set's completions; ``verdicts`` when a task judges them."""
        ...


@runtime_checkable
class Gate(Protocol):
    """Which completions count."""

    def validity(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> tuple[float, ...]:
        """One number in [0, 1] for each completion; 0 removes it from the set's value."""
        ...


@runtime_checkable
class Metric(Protocol):
    """A number about sets of completions, as one Measurement for each prompt; it says itself what it means."""

    title: ClassVar[str]
    """Its name for people; ``{option}`` is filled in from the signature, as in ``pass@{k}``."""
    role: ClassVar[Role]
    """What it measures: quality, diversity, length or other; its string will do."""
    direction: ClassVar[int]
    """1: more is better, -1: less is better, 0: neither."""
    headline: ClassVar[int]
    """The rank among the metrics that people look at first, from 1; 0 for the others."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What it cannot do without: of "verifier", "encoder" and "demonstrations"."""
        ...

    @property
    def signature(self) -> str:
        """Everything that changes the number, such as ``distinct|n:2|tok:words|k:16|scope:prompt``."""
        ...

    @classmethod
    def defaults(cls, n: int) -> Sequence[Mapping[str, Any]]:
        """Options of its instances where an evaluation of ``n`` samples a prompt names no metrics; often none."""
        ...

    def pinned(self, sets: Sequence[SampleSet]) -> Self:
        """The same metric with its open options fixed to what these sets have in common."""
        ...

    def measure(self, sets: Sequence[SampleSet], verdicts: Sequence[Sequence[Verdict]] | None) -> list[Measurement]:
        """One measurement for each set, in order; NaN with a reason where it cannot be computed."""
        ...
