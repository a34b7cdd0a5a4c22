"""What a run learns from: the demonstrations of a configuration, the task that judges, and the harvest beside them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.core.errors import InputError, RecordError
from polychromic.core.nouns import Example, Prompt
from polychromic.core.protocols import Task
from polychromic.core.seeds import child_seed
from polychromic.objective.harvest import Mixture, mixture, share_of, weight_of
from polychromic.records.conversations import conversation, read_examples, refuse
from polychromic.records.harvest import Pool
from polychromic.settings import catalog
from polychromic.settings.schema import DataSection, HarvestSection

DEFAULT_SHARE = 0.8
"""Of the rows, where neither share nor lambda is given: what did best of the shares tried (docs/efficacy.md)."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """The rows of a run, demonstrations and harvest mixed; ``strength`` is the harvest's lambda."""

    examples: Sequence[Example]
    mix: Mixture
    strength: float

    @property
    def line(self) -> str:
        """What the mixture is, in one line."""
        return (
            f"data.harvest: {len(self.mix.harvested)} harvested rows beside {len(self.mix.demonstrations)} "
            f"demonstrations (share {self.mix.share:.3g}, lambda {self.strength:.3g}); an epoch is all of them"
        )

    @property
    def facts(self) -> dict[str, float | int]:
        """The same for run.json."""
        return {
            "rows": len(self.mix.harvested),
            "demonstrations": len(self.mix.demonstrations),
            "share": self.mix.share,
            "lambda": self.strength,
        }


@dataclass(frozen=True, slots=True)
class Data:
    """What a run learns from: demonstrations, the task that judges samples (if any), and the rows left out.

    ``prompts`` are all that a harvest may ask: those of the task's split, also without a demonstration that is learnt
    from, or the demonstrations'. ``held_out`` are the demonstrations whose loss is only watched; ``lesson`` mixes a
    harvest in, once there is one.
    """

    examples: Sequence[Example]
    task: Task | None
    skipped: int
    prompts: Sequence[Prompt] = ()
    held_out: Sequence[Example] = ()
    lesson: Lesson | None = None

    @property
    def rows(self) -> Sequence[Example]:
        """What is learnt from: the demonstrations, or their mixture with a harvest."""
        return self.examples if self.lesson is None else self.lesson.examples


def load_data(section: DataSection) -> Data:
    """The demonstrations of a configuration.

    Raises:
        InputError: a bad row, or no demonstration at all.
        MissingResourceError: there is no such file or dataset.
    """
    task: Task | None = None
    bad: list[RecordError] = []
    collect = bad.append if section.skip_bad_rows else refuse
    if section.task is not None:
        task = catalog.build("tasks", section.task)
        examples: Sequence[Example] = task.examples(section.split)
    elif section.train_file is not None:
        examples = read_examples(section.train_file, collect)
    else:
        examples = _from_hub(section, bad)
    examples = list(examples)[: section.max_examples]
    if not examples:
        raise InputError("data: there is no demonstration to learn from")
    held_out = list(read_examples(section.eval_file, collect)) if section.eval_file else []
    if section.eval_file and not held_out:
        raise InputError(f"data.eval_file: {section.eval_file} holds no demonstration")
    if bad:
        warnings.warn(f"{len(bad)} bad rows were left out, the first: {bad[0]}", stacklevel=2)
    prompts = task.prompts(section.split) if task is not None else [example.prompt for example in examples]
    return Data(examples, task, len(bad), prompts, held_out)


def _from_hub(section: DataSection, bad: list[RecordError]) -> list[Example]:
    from datasets import load_dataset

    found = []
    for line, values in enumerate(load_dataset(section.dataset, split=section.split)):
        try:
            found.append(conversation(values, line).example)
        except ValueError as error:
            wrong = RecordError(f"{section.dataset}:{line}: {error}")
            if not section.skip_bad_rows:
                raise wrong from None
            bad.append(wrong)
    return found


def mixed(examples: Sequence[Example], pool: Pool, section: HarvestSection, tokens: float, seed: int) -> Lesson:
    """Demonstrations (of ``tokens`` target tokens on average) and the pool's rows, at the strength of ``section``.

    Raises:
        InputError: there is nothing to mix.
    """
    mass = pool.account.mass
    share = share_of(section.weight, tokens, mass) if section.weight is not None else section.share or DEFAULT_SHARE
    mix = mixture(len(examples), [row.credit for row in pool.rows], share, child_seed(seed, "harvest mixture"))
    chosen = [examples[index] for index in mix.demonstrations]
    chosen += [pool.rows[index].example for index in mix.harvested]
    return Lesson(chosen, mix, weight_of(mix.share, tokens, mass))
