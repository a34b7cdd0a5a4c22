"""A grid of settings: every combination trained with every seed, the best chosen on validation prompts, one report."""

from __future__ import annotations

import itertools
import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from polychromic.analysis.headlines import primary_diversity, primary_quality
from polychromic.analysis.record import Comparison, read_comparison
from polychromic.analysis.seeds import SEED_MARK, family
from polychromic.analysis.spending import prices_of
from polychromic.core.errors import InputError, NumericalError, SettingsError
from polychromic.core.facts import MetricFacts
from polychromic.core.protocols import Progress, no_progress
from polychromic.project import plan_project
from polychromic.records.artefacts import refuse_other_run
from polychromic.records.jsonl import write_json
from polychromic.settings import catalog
from polychromic.settings.load import identity, load_settings, resolved_yaml
from polychromic.settings.schema import EvaluationSection, Settings
from polychromic.settings.yaml_lines import COMMAND_LINE, read_value
from polychromic.stages import pipeline
from polychromic.stages.models import BASE, NamedModel, with_bases

LAMBDA = ("polychromic.lambda", "polychromic.diversity_weight")
SHARED = ("experiment", "evaluation", "tracking", "health")
"""Sections that all runs of a sweep have in common."""
RECORD, TEST, VALIDATION = "sweep.json", "evaluation", "validation"


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination of values: its name in the report, and the overrides that make it."""

    name: str
    overrides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SweepRun:
    """One training of a variant; ``model`` is its name in the report, ``x@2`` for the second of several seeds."""

    model: str
    settings: Settings
    overrides: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where it is trained."""
        return Path(self.settings.experiment.output_root) / self.settings.experiment.name


@dataclass(frozen=True, slots=True)
class Choice:
    """How the best variant is found: by ``metric`` (None: the leading diversity metric) on the prompts of ``split``."""

    metric: Any = None
    split: str = "validation"


@dataclass(frozen=True, slots=True)
class Standing:
    """A variant's score, the mean over its seeds, on the validation prompts and on those of the report."""

    variant: str
    seeds: int
    validation: float
    test: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The content of ``sweep.json``: variants from the best to the worst on ``split``, by ``metric``.

    ``failed`` are the runs that ended without an adapter, with the reason.
    """

    metric: str
    split: str
    report: str
    standings: tuple[Standing, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> Standing | None:
        """The variant chosen; None where no score is a number."""
        return self.standings[0] if self.standings and math.isfinite(self.standings[0].validation) else None


def grid(arguments: Sequence[str]) -> list[Variant]:
    """Every combination of the values in ``section.key=value,value``; a single value belongs to all.

    Commas inside brackets, braces and quotes part nothing. With lambda 0 the other keys of ``polychromic`` change
    nothing, so that such combinations are one.

    Raises:
        SettingsError: a key is no setting that runs may differ in, is given twice, or a value is given twice.
    """
    axes: dict[str, list[Any]] = {}
    for text in arguments:
        key, equals, written = text.partition("=")
        values = read_value(f"[{written}]", COMMAND_LINE) if equals else []
        if not values:
            raise SettingsError(f"{COMMAND_LINE}: {text!r}: expected section.key=value,value")
        if key in axes:
            raise SettingsError(f"{COMMAND_LINE}: {key}: is given twice")
        if len(values) > 1 and key.partition(".")[0] in SHARED:
            allowed = "polychromic, training, lora, data, model or quantization (seeds: --seeds)"
            raise SettingsError(f"{COMMAND_LINE}: {key}: runs of a sweep may differ in {allowed}")
        if len(set(map(_written, values))) < len(values):
            raise SettingsError(f"{COMMAND_LINE}: {key}: a value is given twice")
        axes[key] = values
    found = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
    several = [key for key, values in axes.items() if len(values) > 1]
    variants: dict[str, dict[str, Any]] = {}
    for each in map(_without_idle, found):
        name = _name(each, several)
        if variants.setdefault(name, each) != each:
            raise SettingsError(f"{COMMAND_LINE}: two combinations of values would both be called {name}")
    return [Variant(name, tuple(f"{k}={_written(v)}" for k, v in each.items())) for name, each in variants.items()]


def runs(config: str | Path, arguments: Sequence[str], seeds: int, out: str | Path | None = None) -> list[SweepRun]:
    """Every run of the sweep, each found sound; nothing is trained.

    Raises:
        InputError: a value of some run is wrong, or a folder holds another run.
    """
    from polychromic.stages import train

    found, variants = [], grid(arguments)
    fixed = [text for text in arguments if text.startswith("experiment.")]
    whole = load_settings(config, fixed).experiment
    place = out or Path(whole.output_root) / f"{whole.name}-sweep"
    for variant, seed in itertools.product(variants, range(seeds)):
        own = (
            f"experiment.seed={whole.seed + seed}",
            f"experiment.group={whole.group or whole.name}",
            f"experiment.output_root={json.dumps(str(place))}",
        )
        several = seeds > 1
        name = f"experiment.name={variant.name}{f'-seed{whole.seed + seed}' if several else ''}"
        overrides = (*variant.overrides, *own, name)
        settings = load_settings(config, overrides)
        train.refuse_early(settings)
        run = SweepRun(f"{variant.name}{SEED_MARK}{seed + 1}" if several else variant.name, settings, overrides)
        refuse_other_run(run.folder, identity(settings))
        found.append(run)
    return found


def sections(planned: Sequence[SweepRun], choice: Choice) -> tuple[EvaluationSection, EvaluationSection]:
    """How the report and the choice are sampled: the configuration's section, and the same on other prompts.

    Raises:
        InputError: there is no task, no such metric, or a prompt of the choice is one of the report's too.
    """
    settings = planned[0].settings
    section = settings.evaluation
    section = section.model_copy(update={"task": settings.data.task if section.task is None else section.task})
    if section.task is None:
        raise InputError("evaluation.task: is missing; the prompts that runs are compared on come from a task")
    if choice.metric is not None:
        catalog.check("metrics", choice.metric)
    metrics = section.metrics if choice.metric is None else (choice.metric,)
    ours = section.model_copy(update={"split": choice.split, "metrics": metrics})
    task = catalog.build("tasks", section.task)
    shared = {prompt.content for prompt in task.prompts(section.split)}
    if any(prompt.content in shared for prompt in task.prompts(choice.split)):
        raise InputError(
            f"--choose-on {choice.split}: has prompts of evaluation.split ({section.split}), so the best would be "
            "chosen by what the report shows; name another split of the task"
        )
    return section, ours


def write(planned: Sequence[SweepRun], folder: str | Path) -> list[Path]:
    """A configuration file for each run, whole, so that anything can train it; the sweep then finds it done."""
    paths = [Path(folder) / f"{each.settings.experiment.name}.yaml" for each in planned]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path, each in zip(paths, planned, strict=True):
        path.write_text(resolved_yaml(each.settings), encoding="utf-8")
    return paths


def run(planned: Sequence[SweepRun], choice: Choice, progress: Progress = no_progress) -> Outcome:
    """Trains what is not trained yet, evaluates all, and says which is best; kept in ``sweep.json``.

    A run whose numbers fail, or whose term is dead, is left out and named; the others go on.

    Raises:
        InputError: as ``sections``, or every run failed.
    """
    report, chosen_by = sections(planned, choice)
    trained, failed = _trained(planned, progress)
    if not trained:
        raise InputError(f"no run of the sweep came to its end: {next(iter(failed.values()))}")
    root = planned[0].folder.parent
    pages = [
        _evaluated(trained, each, root / name, progress) for each, name in ((chosen_by, VALIDATION), (report, TEST))
    ]
    validation, test = (read_comparison(page.parent / "comparison.json") for page in pages)
    facts = primary_diversity(validation.metrics.values()) or primary_quality(validation.metrics.values())
    if facts is None:
        raise InputError(f"{pages[0]}: no metric was measured that a best variant could be chosen by")
    standings = _standings(validation, test, facts)
    outcome = Outcome(facts.title, choice.split, str(pages[1]), standings, failed)
    write_json(root / RECORD, outcome)
    return outcome


def forecast(
    planned: Sequence[SweepRun], choice: Choice, device: str
) -> tuple[plan_project.ProjectPlan, plan_project.EvaluationPlan]:
    """What all runs and the report will take, and the evaluation that chooses; the total holds both."""
    report, chosen_by = sections(planned, choice)
    every = [each.settings.model_copy(update={"evaluation": report}) for each in planned]
    whole = plan_project.forecast(every, device)
    choosing = plan_project.evaluation_of(
        every[0].model_copy(update={"evaluation": chosen_by}), len(planned) + 1, device
    )
    price = None if whole.price is None or choosing.price is None else whole.price + choosing.price
    return replace(whole, seconds=whole.seconds + choosing.seconds, price=price), choosing


def _trained(planned: Sequence[SweepRun], progress: Progress) -> tuple[list[SweepRun], dict[str, str]]:
    """The runs that came to their end, and why the others did not."""
    from polychromic.stages import train
    from polychromic.training.health import UnhealthyError

    done, failed = [], {}
    for each in planned:
        try:
            train.run(each.settings, each.folder, progress)
            done.append(each)
        except (NumericalError, UnhealthyError) as error:
            failed[each.model] = str(error)
            warnings.warn(f"{each.model}: left out of the sweep: {error}", stacklevel=2)
    return done, failed


def _evaluated(trained: Sequence[SweepRun], section: EvaluationSection, out: Path, progress: Progress) -> Path:
    models = [
        NamedModel(each.model, each.settings.model, each.folder, quantization=each.settings.quantization)
        for each in trained
    ]
    first = trained[0].settings
    money = (prices_of(first.tracking), first.tracking.budget)
    evaluation = pipeline.Evaluation(with_bases(models), section, first.experiment.seed, baseline_of(trained), *money)
    return pipeline.run(evaluation, out, lambda work, done, total: progress(f"{out.name}: {work}", done, total))


def baseline_of(trained: Sequence[SweepRun]) -> str:
    """What the report compares with: a run on demonstrations alone where there is one, else the untrained base."""
    plain = (
        each.model
        for each in trained
        if not each.settings.polychromic.diversity_weight and each.settings.data.harvest is None
    )
    return next(plain, BASE)


def _standings(validation: Comparison, test: Comparison, facts: MetricFacts) -> tuple[Standing, ...]:
    """The trained variants, the best on validation first."""
    ours, theirs = _scores(validation, facts.signature), _scores(test, facts.signature)
    found = [
        Standing(name, len(scores), _mean(scores), _mean(theirs.get(name, ())))
        for name, scores in ours.items()
        if name not in validation.settings.untrained | {BASE}
    ]
    return tuple(
        sorted(
            found,
            key=lambda each: -math.inf if math.isnan(each.validation) else each.validation * facts.direction,
            reverse=True,
        )
    )


def _scores(comparison: Comparison, signature: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in comparison.scores:
        if row.signature == signature and row.temperature == comparison.temperature:
            found.setdefault(family(row.model), []).append(row.score)
    return found


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _written(value: Any) -> str:
    return json.dumps(value)


def _without_idle(values: Mapping[str, Any]) -> dict[str, Any]:
    """The combination without what lambda 0 makes idle."""
    if not any(values.get(key) == 0 for key in LAMBDA):
        return dict(values)
    return {key: value for key, value in values.items() if key in LAMBDA or not key.startswith("polychromic.")}


def _name(values: Mapping[str, Any], several: Sequence[str]) -> str:
    """The values that differ between variants, as a folder's name."""
    parts = [f"{key.rpartition('.')[2]}_{_plain(values[key])}" for key in several if key in values]
    return "-".join(parts) or "run"


def _plain(value: Any) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", value if isinstance(value, str) else _written(value)).strip("_")
