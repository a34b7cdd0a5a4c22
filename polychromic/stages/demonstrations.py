"""What a run learns from: the demonstrations of a configuration, the task that judges, and the harvest beside them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.analysis import controls
from polychromic.core.errors import InputError, RecordError, UnsoundObjectiveError
from polychromic.core.nouns import Example, Prompt
from polychromic.core.protocols import Task, verdicts_on
from polychromic.core.seeds import child_seed
from polychromic.objective.harvest import Mixture, mixture, share_of, weight_of
from polychromic.policy.chat import in_format
from polychromic.records.conversations import read_examples, refuse
from polychromic.records.harvest import Pool
from polychromic.records.sources import Source
from polychromic.settings import catalog
from polychromic.settings.schema import DataSection, HarvestSection, ModelSection, Settings
from polychromic.stages.contexts import examples_in_format, formatted
from polychromic.stages.models import refuse_absent
from polychromic.stages.rows import Demonstrations, differing_columns, read_demonstrations

DEFAULT_SHARE = 0.8
"""Of the rows, where neither share nor lambda is given (decision 012: better than .5 and 1, on one seed)."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """The rows of a run, demonstrations and harvest mixed; ``strength`` is the harvest's lambda."""

    examples: Sequence[Example]
    mix: Mixture
    strength: float

    @property
    def facts(self) -> dict[str, float | int]:
        """What the mixture is, for run.json."""
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
    harvest in, once there is one. ``read`` says where the demonstrations come from, and in which form.
    """

    examples: Sequence[Example]
    task: Task | None
    skipped: int
    prompts: Sequence[Prompt] = ()
    held_out: Sequence[Example] = ()
    lesson: Lesson | None = None
    read: Demonstrations | None = None

    @property
    def rows(self) -> Sequence[Example]:
        """What is learnt from: the demonstrations, or their mixture with a harvest."""
        return self.examples if self.lesson is None else self.lesson.examples


def load_data(section: DataSection, model: ModelSection | None = None) -> Data:
    """The demonstrations of a configuration, as ``model`` is shown them: rendered as its section says.

    Raises:
        InputError: a bad row, no demonstration at all, or what ``formatted`` refuses.
        MissingResourceError: there is no such file or dataset, or the model is not to be had.
    """
    if model is not None:
        refuse_absent(model)
    bad: list[RecordError] = []
    collect = bad.append if section.skip_bad_rows else refuse
    task: Task | None = None if section.task is None else catalog.build("tasks", section.task)
    own = not (section.train_file or section.dataset or section.sources)
    if own:
        assert task is not None
        read = Demonstrations(list(task.examples(section.split))[: section.max_examples], {}, ())
    else:
        read = read_demonstrations(section, collect)
    examples = read.examples
    if not examples:
        raise InputError("data: there is no demonstration to learn from")
    held_out = read_examples(Source(section.eval_file, columns=section.columns), collect) if section.eval_file else []
    if model is not None:
        examples = formatted(model, examples)
        held_out = examples_in_format(held_out, model.format)
    if bad:
        warnings.warn(f"{len(bad)} bad rows were left out, the first: {bad[0]}", stacklevel=2)
    if task is not None and task.judges and not own:
        differing, column = differing_columns(examples)
        if differing:
            warnings.warn(
                f"{differing} prompts have rows that differ in columns such as {column!r}; {task.name} sees those of "
                "each prompt's first row",
                stacklevel=2,
            )
        prove_judge(task, examples, controls.Trust(section.trust_judge))
    prompts = list(task.prompts(section.split)) if own and task is not None else [one.prompt for one in examples]
    prompts = in_format(prompts, None if model is None else model.format)
    return Data(examples, task, len(bad), prompts, held_out, read=read)


def prove_judge(task: Task, examples: Sequence[Example], trust: controls.Trust) -> None:
    """Nothing when the task passes demonstrations and refuses what is none; else warns or raises.

    Raises:
        InputError: the judge is at fault (``controls.faults``); the first cases are named.
    """
    tried = controls.spread(examples, trust.tried)
    made = controls.controls([(example.prompt, example.demonstration) for example in tried])
    kept = [one for one in made if one.kind in (controls.GOLD, controls.EMPTY, controls.ECHO, controls.OTHER)]
    verdicts = verdicts_on(task, [one.prompt for one in kept], [one.completion for one in kept])
    said = controls.faults(controls.rates(kept, verdicts), trust)
    if said and not trust.anyway:
        raise InputError(f"data.task: {task.name} {said}; put it right, or set data.trust_judge=true to go on")
    if said:
        warnings.warn(f"data.task: {task.name} {said}; it is trusted all the same", stacklevel=3)


def refuse_clustered_answers(settings: Settings) -> None:
    """Raises UnsoundObjectiveError where a reward would count texts as answers that the task counts by clusters.

    Labels made from the whole set would let a sample change the worth of sets it is not in (see the reward clusters).
    """
    term, task = settings.polychromic, settings.data.task
    sampled = term.diversity_weight > 0 or settings.data.harvest is not None
    if not sampled or task is None or catalog.split(term.reward)[0] != "answers":
        return
    if getattr(catalog.outline("tasks", task), "distinct_by", "") == "cluster":
        raise UnsoundObjectiveError(
            "polychromic.reward: answers would count texts, and data.task counts clusters of them (distinct_by); take "
            "reward: {kind: clusters, threshold: ...}"
        )


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
