"""Every contract of the house on one screen. Shelves implement them; nothing inherits from them.

A kind says itself what it is and needs, as class variables or, where its options decide, as properties. Nothing else
keeps a list of kinds: settings are checked, metrics compared and rewards certified by these facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, Self, runtime_checkable

from polychromic.core.facts import Meaning
from polychromic.core.nouns import (
    Bill,
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


def no_progress(work: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


NEEDS = ("encoder", "verifier", "demonstrations")
"""What a kind may need: an encoder of texts, a task that judges completions, demonstrations."""
Form = Literal["labels", "pairs", "set function"]
"""What a reward's evidence is: it decides for which sizes of sets the credit can be computed."""


class Crew(Protocol):
    """Processes, here or on other machines, that do parts of a stage's work; the stage alone writes what they find."""

    def keeping(self, work: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Each part's place with what the work makes of it, as they are done; each process keeps a copy of the work."""
        ...

    def each(self, work: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[Any]:
        """What the work makes of each part, in order; nothing is kept from one part to the next."""
        ...


@runtime_checkable
class Closing(Protocol):
    """Something that watches a run and holds a file or a connection until it ends."""

    def close(self) -> None:
        """Lets go of it."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """Draws completions."""

    def sample(self, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int) -> list[SampleSet]:
        """One set of ``n`` independent completions for each prompt, in the prompts' order."""
        ...


@runtime_checkable
class StreamingSampler(Sampler, Protocol):
    """A sampler that hands over each set when it is there, so that none is lost when it breaks off."""

    def each(self, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int) -> Iterator[SampleSet]:
        """One set of ``n`` independent completions for each prompt, in the order in which they are done."""
        ...


@runtime_checkable
class Sourced(Protocol):
    """An engine whose texts rest on more than base, adapter and decoding, such as what a server serves."""

    def source(self) -> Mapping[str, str]:
        """What else decides its texts, by name; a server is asked for it.

        Raises:
            EngineError: it does not answer.
        """
        ...


def drawn(
    sampler: Sampler, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int
) -> Iterator[list[SampleSet]]:
    """The prompts' sets as they come: one at a time where the sampler can, else all together."""
    if isinstance(sampler, StreamingSampler):
        yield from ([one] for one in sampler.each(prompts, n, decoding, seed))
    else:
        yield sampler.sample(prompts, n, decoding, seed)


@runtime_checkable
class Task(Protocol):
    """Prompts, demonstrations, and a checker of completions."""

    @property
    def name(self) -> str:
        """What files and tables call it."""
        ...

    @property
    def judges(self) -> bool:
        """Whether ``verify`` can tell right from wrong; False for free answers, whose verdicts are all ABSENT."""
        ...

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


@runtime_checkable
class BilledTask(Task, Protocol):
    """A task whose judge is paid for."""

    def bill(self) -> Bill | None:
        """What the judge took since this was last asked; None when it did nothing."""
        ...


@runtime_checkable
class ForeseenTask(BilledTask, Protocol):
    """A paid judge that can say beforehand what it will take."""

    def foreseen(self, prompts: Sequence[Prompt], longest: int, count: Callable[[str], float]) -> Bill:
        """At most what one completion of ``longest`` tokens a prompt takes; ``count`` guesses the tokens of a text."""
        ...


@runtime_checkable
class Grounded(Protocol):
    """A task that says what its verdicts rest on; of any other, every option counts."""

    def grounds(self, prompts: Sequence[Prompt]) -> list[Any]:
        """For each prompt what decides a verdict besides its payload and the code, as plain values: tests, limits."""
        ...


@runtime_checkable
class ClusteringTask(Task, Protocol):
    """A task for which two right completions may be one answer although nothing in either alone says so."""

    def standing_for(self, texts: Sequence[str]) -> list[str] | None:
        """For each of a prompt's right texts the answer it counts as; None where that is its own, as judged."""
        ...


def verdicts_on(task: Task, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Verdict]:
    """One verdict for each prompt and its completion, in one go where the task can."""
    if isinstance(task, BatchTask):
        return task.verify_many(prompts, completions)
    return [task.verify(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]


@runtime_checkable
class Embedder(Protocol):
    """Texts to unit vectors; ``name`` tells one encoder from another in signatures."""

    name: str

    def embed(self, texts: Sequence[str]) -> Any:
        """Float32 array of shape [len(texts), d] with rows of length 1; equal texts give equal rows."""
        ...

    def cut(self, texts: Sequence[str]) -> int:
        """How many of the texts are longer than the encoder reads."""
        ...


@runtime_checkable
class Reward(Protocol):
    """What makes a set of completions worth having, as evidence the objective turns into credit."""

    @property
    def form(self) -> Form:
        """Which of the three kinds of evidence it gives."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """What it cannot do without, of ``NEEDS``."""
        ...

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Evidence:
        """Labels, distances or a set function over the set's completions; ``verdicts`` when a task judges them."""
        ...


@runtime_checkable
class Gate(Protocol):
    """Which completions count."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What it cannot do without, of ``NEEDS``."""
        ...

    def validity(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> tuple[float, ...]:
        """One number in [0, 1] for each completion; 0 removes it from the set's value."""
        ...


@runtime_checkable
class Metric(Meaning, Protocol):
    """A number about sets of completions, as one Measurement for each prompt; what it means is a ``Meaning``."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What it cannot be computed without, of ``NEEDS``."""
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
        """The same metric with every option fixed that it takes from the sets, such as k; itself when there is none."""
        ...

    def measure(self, sets: Sequence[SampleSet], verdicts: Sequence[Sequence[Verdict]] | None) -> list[Measurement]:
        """One measurement for each set, in order; NaN with a reason where it cannot be computed."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Picks among the candidates for one prompt without looking at whether they are right."""

    def scores(self, candidates: Any) -> tuple[float, ...]:
        """One number for each candidate, the largest is picked; NaN where it has nothing to go by."""
        ...


@runtime_checkable
class DemonstrationLoss(Protocol):
    """A loss on demonstrations."""

    def loss(self, logits: Any, labels: Any, items: Any = None) -> Any:
        """A scalar tensor; logits [b, t, v], labels [b, t] with -100 where nothing is learnt.

        ``items`` is the number of targets in the whole accumulation window, by which the sum is divided.
        """
        ...


@runtime_checkable
class PostProcessing(Protocol):
    """From what a model wrote to the program it meant."""

    def program(self, text: str, entry_point: str, prompt: str) -> Any:
        """The source that should define ``entry_point``; empty when there is none. Never raises on model output.

        ``prompt`` is the code the model was asked to complete, empty if there was none. An ``Extraction`` instead of a
        source names the rule that found it.
        """
        ...
