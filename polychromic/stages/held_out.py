"""What is looked at while a run trains: held-out demonstrations and prompts, and by which number a run is best."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from polychromic.core.errors import InputError
from polychromic.core.facts import MetricFacts
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.core.protocols import Embedder, Metric, Task
from polychromic.core.seeds import child_seed
from polychromic.embedding.encoder import NO_ENCODER
from polychromic.policy.chat import in_format
from polychromic.settings import catalog
from polychromic.settings.introspection import nearest
from polychromic.settings.schema import Kind, Settings
from polychromic.stages.contexts import examples_in_format
from polychromic.stages.demonstrations import Data

if TYPE_CHECKING:
    from polychromic.training.held_out import HeldOut

SPLIT = "validation"
"""Of the task; the split of the evaluation is left for the evaluation."""
OF_DEMONSTRATIONS = ("loss", "entropy", "mean_token_accuracy")
"""What SFTTrainer measures on held-out demonstrations."""
EVAL_STEPS = 200


def refuse_early(settings: Settings) -> None:
    """Nothing when all that is asked for can be evaluated, before any data is read.

    Raises:
        InputError: there is nothing to evaluate on, no such number to be best by, or checkpoints at other steps.
    """
    section, training = settings.evaluation.during_training, settings.training
    asked = training.get("eval_strategy", "steps" if section.prompts else "no") != "no"
    if asked and settings.data.eval_file is None and (not section.prompts or _entry(settings) is None):
        raise InputError(
            "training.eval_strategy: there is nothing to evaluate on; give data.eval_file, or leave it out"
            if not section.prompts
            else "evaluation.during_training.prompts: nothing is held out; give data.eval_file, or a task"
        )
    if section.prompts and not asked:
        raise InputError("evaluation.during_training.prompts: training.eval_strategy is no; allowed: steps, epoch")
    best = training.get("metric_for_best_model")
    if section.patience is not None and best is None:
        raise InputError("evaluation.during_training.patience: training.metric_for_best_model says what is better")
    if best is not None:
        _refuse_best(settings, str(best), asked or settings.data.eval_file is not None)


def _refuse_best(settings: Settings, best: str, evaluated: bool) -> None:
    names = [*OF_DEMONSTRATIONS, *metrics(settings)]
    if not evaluated or best.removeprefix("eval_") not in names:
        why = nearest(best.removeprefix("eval_"), names) if evaluated else "; nothing is evaluated while training"
        raise InputError(f"training.metric_for_best_model: there is no {best!r}{why}; allowed: {', '.join(names)}")
    found = defaults(settings) | settings.training
    if found["load_best_model_at_end"] and found["eval_strategy"] == "steps":
        steps, saved = found["eval_steps"], found["save_steps"]
        if found["save_strategy"] != "steps" or saved % steps:
            raise InputError(
                f"training.save_steps: {saved} is no multiple of eval_steps ({steps}), so the best is lost"
            )


def defaults(settings: Settings) -> dict[str, Any]:
    """The arguments of training that follow from what is looked at, where the configuration does not set them."""
    section, training = settings.evaluation.during_training, settings.training
    if not section.prompts and settings.data.eval_file is None:
        return {}
    strategy = training.get("eval_strategy", "steps" if section.prompts else "epoch")
    found: dict[str, Any] = {"eval_strategy": strategy}
    if strategy == "steps":
        found["eval_steps"] = training.get("save_steps", EVAL_STEPS)
    best = training.get("metric_for_best_model")
    if best is not None:
        metric = metrics(settings).get(str(best).removeprefix("eval_"))
        better = metric.direction > 0 if metric is not None else "loss" not in best and "entropy" not in best
        found |= {"load_best_model_at_end": True, "greater_is_better": better, "save_strategy": strategy}
        if strategy == "steps":
            found["save_steps"] = training.get("eval_steps", found["eval_steps"])
    return found


def default_kinds(n: int, *, judged: bool, encoder: bool) -> list[Kind]:
    """What is measured where nothing is named: right, right and different, meanings that differ, length, cut off."""
    right: list[Kind] = [{"kind": "pass_at_k", "k": 1}]
    right += [{"kind": kind, "k": n} for kind in ("pass_at_k", "distinct_correct")] if n > 1 else []
    texts: list[Kind] = ["semantic"] if encoder and n > 1 else []
    return [*(right if judged else []), *texts, {"kind": "distinct_at_k", "k": n, "by": "text"}, "length", "truncated"]


def built(kinds: Sequence[Kind], n: int, task: Task | None, embedder: Embedder | None) -> dict[str, Metric]:
    """The metrics for sets of ``n`` by the names they are logged by, after ``eval_``: their titles, without spaces."""
    outline = [SampleSet(Prompt("", ""), tuple(Completion("", (0,)) for _ in range(n)), Decoding())]
    found = [catalog.build("metrics", kind, task=task, embedder=embedder).pinned(outline) for kind in kinds]
    titles = [MetricFacts.of(metric, metric.signature).title for metric in found]
    return {re.sub(r"[^\w@^.]+", "_", title).strip("_"): metric for title, metric in zip(titles, found, strict=True)}


def evaluations(settings: Settings, steps: int) -> int:
    """How often held-out prompts are sampled in a run of so many steps; 0 when none are."""
    found = {"num_train_epochs": 3, **defaults(settings), **settings.training}
    if not settings.evaluation.during_training.prompts:
        return 0
    if found["eval_strategy"] == "epoch":
        return math.ceil(found["num_train_epochs"])
    each = found["eval_steps"]  # a share of all steps when it is below 1, as in transformers
    return math.floor(steps / each) if each >= 1 else math.floor(1 / each)


def metrics(settings: Settings, embedder: Embedder | None = None, task: Task | None = None) -> dict[str, Metric]:
    """What is measured on the held-out prompts by its name; none where no prompt is sampled."""
    section, entry = settings.evaluation.during_training, _entry(settings)
    if not section.prompts:
        return {}
    judged = entry is not None and bool(catalog.outline("tasks", entry).judges)
    return built(default_kinds(section.n, judged=judged, encoder=has_encoder(settings)), section.n, task, embedder)


def has_encoder(settings: Settings) -> bool:
    """Whether meanings are compared: only where the configuration names an encoder."""
    return settings.evaluation.encoder not in (None, NO_ENCODER)


def _entry(settings: Settings) -> Any:
    return settings.data.task if settings.evaluation.task is None else settings.evaluation.task


def with_demonstrations(settings: Settings, data: Data) -> Data:
    """The data, with the task's own held-out demonstrations where no file gives any and prompts are sampled.

    Raises:
        InputError: the task has none.
    """
    section = settings.evaluation.during_training
    if not section.prompts or data.held_out:
        return data
    task = _task(settings, data)
    shown = list(task.examples(SPLIT))[: section.prompts] if task is not None else []
    if not shown:
        raise InputError(
            f"evaluation.during_training.prompts: the task has no demonstrations in its split {SPLIT}; "
            "give data.eval_file"
        )
    return replace(data, held_out=examples_in_format(shown, settings.model.format))


def build(settings: Settings, data: Data) -> HeldOut | None:
    """What is sampled while the run trains; None when nothing is."""
    from polychromic.training.held_out import HeldOut

    section, evaluation = settings.evaluation.during_training, settings.evaluation
    if not section.prompts:
        return None
    task, embedder = _task(settings, data), _embedder(settings)
    return HeldOut(
        prompts=in_format(_prompts(settings, data, task)[: section.prompts], settings.model.format),
        metrics=metrics(settings, embedder, task),
        n=section.n,
        decoding=Decoding(temperature=evaluation.temperatures[0], max_new_tokens=evaluation.max_new_tokens),
        task=task,
        seed=child_seed(settings.experiment.seed, "held out"),
        batch_size=evaluation.batch_size,
    )


def _prompts(settings: Settings, data: Data, task: Task | None) -> Sequence[Prompt]:
    if settings.data.eval_file is None and task is not None:
        return task.prompts(SPLIT)
    return list({example.prompt.id: example.prompt for example in data.held_out}.values())


def _task(settings: Settings, data: Data) -> Task | None:
    if settings.evaluation.task is None:
        return data.task
    found: Task = catalog.build("tasks", settings.evaluation.task)
    return found


def _embedder(settings: Settings) -> Embedder | None:
    if not has_encoder(settings):
        return None
    from polychromic.embedding.cache import CachedEmbedder
    from polychromic.embedding.encoder import load_encoder

    return CachedEmbedder(load_encoder(settings.evaluation.encoder))


def best(trainer: Any) -> dict[str, Any]:
    """By which number the weights are the best of the run, if they are; for ``run.json``."""
    if not trainer.args.load_best_model_at_end or trainer.state.best_metric is None:
        return {}
    state, metric = trainer.state, trainer.args.metric_for_best_model.removeprefix("eval_")
    return {"best": {"metric": metric, "value": state.best_metric, "step": state.best_global_step}}
