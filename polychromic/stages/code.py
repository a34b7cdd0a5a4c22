"""Code experiments: for each one samples, verdicts and a summary in its own folder; then one table over all of them.

Whatever was drawn and judged before is kept, so a broken-off run continues, and a larger ``n`` extends it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from polychromic.code.extraction import answer_part
from polychromic.code.gold import check_golds, footing
from polychromic.code.json_programs import SCHEMA, structured
from polychromic.code.nouns import CodeResult, CodeRun, FailedRun, Gold, Holes, Pair, Regression
from polychromic.code.prompting import Strategy, digest
from polychromic.code.results import KS, cost_per_pass, regression, summary
from polychromic.code.task import CodeTask, judging_programs
from polychromic.core.errors import EngineError, InputError, MissingResourceError, NumericalError
from polychromic.core.nouns import Verdict
from polychromic.core.protocols import Progress, no_progress
from polychromic.records.artefacts import differences
from polychromic.records.costs import read_costs
from polychromic.records.evaluation import EvaluationFolder
from polychromic.records.jsonl import read_json, to_jsonable, write_json
from polychromic.records.rows import read_noun
from polychromic.reporting.code_page import write_code_report
from polychromic.settings.catalog import build, split
from polychromic.settings.code import STRATEGY_FILES, CodeExperiment, CodeSettings
from polychromic.settings.introspection import nearest
from polychromic.settings.schema import EvaluationSection, ModelSection
from polychromic.stages import sample, verify
from polychromic.stages.models import NamedModel, named_model, resolve

MOST_PAIRED = 12
EXTENSIBLE = ("n", "max_samples", "enabled", "batch_size", "engine")
"""What may change when an experiment is taken up again."""


def run(settings: CodeSettings, only: Sequence[str] = (), progress: Progress = no_progress) -> Path:
    """The path of ``code.json`` in the output folder, with every chosen experiment's summary, failed ones too.

    Raises:
        InputError: ``only`` names no experiment, none is enabled, or a folder holds another experiment's samples.
        SandboxError: the sandbox cannot be trusted here; nothing was sampled.
    """
    chosen = choose(settings, only)
    folder = Path(settings.output)
    task = judging_programs(build("tasks", settings.task), "task")
    check = check_golds(task.asked("test"), task.judging)
    ground = footing(task, check)
    for experiment in chosen:
        _claim(folder / experiment.name, experiment, settings, task.distinct_by)
    results: list[CodeRun | FailedRun] = []
    for experiment in chosen:
        try:
            results.append(_one(experiment, settings, task, check, progress))
        except (EngineError, InputError, NumericalError) as error:  # this experiment's own; the others go on
            results.append(FailedRun(experiment.name, str(error)))
    every = {item.name: item for item in [*_earlier(folder, settings), *results]}
    ordered = tuple(every[item.name] for item in settings.experiments if item.name in every)
    done = [item.name for item in ordered if isinstance(item, CodeRun)]
    result = CodeResult(
        **ground,
        experiments=ordered,
        regressions=tuple(_regressions(settings, folder, done)),
        pairs=tuple(_pairs(folder, done)),
    )
    write_json(folder / "code.json", result)
    write_code_report(folder)
    return folder / "code.json"


def compare(a: str | Path, b: str | Path) -> Regression:
    """Which problems changed sides between two folders of verdicts, such as two models' or two experiments'.

    Raises:
        MissingResourceError: a folder has no verdicts.
        InputError: the two have no problem in common.
    """
    for folder in (a, b):
        if not (Path(folder) / "verdicts.jsonl").exists():
            raise MissingResourceError(f"{folder}: has no verdicts.jsonl; judge its samples with `polychromic verify`")
    found = regression(_by_task(Path(a)), _by_task(Path(b)), (str(a), str(b)))
    if not found.tasks:
        raise InputError(f"{a} and {b}: no problem has a verdict in both")
    return found


def choose(settings: CodeSettings, only: Sequence[str]) -> list[CodeExperiment]:
    """The experiments to run: those named, enabled or not, else the enabled ones.

    Raises:
        InputError: a name is unknown, or nothing is left.
    """
    names = [experiment.name for experiment in settings.experiments]
    for name in only:
        if name not in names:
            raise InputError(f"--only: {name!r} is no experiment{nearest(name, names)}")
    chosen = [item for item in settings.experiments if (item.name in only if only else item.enabled)]
    if not chosen:
        raise InputError("no experiment is enabled; choose some with --only NAME")
    return chosen


def _claim(folder: Path, experiment: CodeExperiment, settings: CodeSettings, distinct_by: str) -> None:
    """Marks the folder as this experiment's; refuses one that holds samples of other settings."""
    decisive = {key: value for key, value in experiment.model_dump().items() if key not in EXTENSIBLE}
    if experiment.strategy.endswith(STRATEGY_FILES):
        decisive["strategy_digest"] = digest(experiment.strategy)
    decisive = to_jsonable(decisive | {"task": settings.task, "seed": settings.seed, "distinct_by": distinct_by})
    path, samples = folder / "experiment.json", folder / "samples.jsonl"
    holds_samples = samples.exists() and samples.stat().st_size > 0
    if holds_samples and path.exists() and (changed := differences(read_json(path), decisive)):
        raise InputError(f"{folder}: holds an experiment with another {', '.join(changed)}; give this one a new name")
    write_json(path, decisive)


def asked_by(experiment: CodeExperiment, task: CodeTask) -> CodeTask:
    """The task as the experiment puts it."""
    return replace(
        task,
        strategy=experiment.strategy,
        system=experiment.system,
        instruction=experiment.instruction,
        post_processing=experiment.post_processing,
    )


def _one(
    experiment: CodeExperiment, settings: CodeSettings, task: CodeTask, check: Gold, progress: Progress
) -> CodeRun:
    folder = Path(settings.output) / experiment.name

    def named(work: str, done: int, total: int) -> None:
        progress(f"{experiment.name}: {work}", done, total)

    asked = asked_by(experiment, task)
    sound = [prompt for prompt in asked.prompts("test") if prompt.id not in check.failed]
    prompts = sound[: experiment.max_samples]
    section = EvaluationSection(
        n=experiment.n,
        temperatures=(experiment.temperature,),
        max_new_tokens=experiment.max_new_tokens,
        engine=_engine(experiment, asked.prompting),
        batch_size=experiment.batch_size,
    )
    sample.run([_model(experiment)], prompts, sample.SamplePlan(section, settings.seed), folder, named)
    verify.run(folder, asked, named)
    by_task = _by_task(folder)
    found = summary(by_task, [k for k in KS if k <= experiment.n], {p.id: p.category for p in asked.problems})
    ran = CodeRun(
        **vars(found),
        name=experiment.name,
        settings=experiment,
        cost=cost_per_pass(read_costs(folder), found.passed, settings.price_per_hour),
        holes=_holes(folder, asked) if asked.prompting.structured else None,
    )
    write_json(folder / "code.json", ran)
    return ran


def _holes(folder: Path, task: Any) -> Holes:
    prompts = {problem.id: problem.prompt for problem in task.problems}
    sets = [stored.samples for stored in EvaluationFolder(folder).sets()]
    texts = [(prompts[samples.prompt.id], text) for samples in sets for text in samples.texts]
    counts = [len(structured(answer_part(text), prompt).holes) for prompt, text in texts]
    return Holes(sum(count > 0 for count in counts), sum(counts))


def _model(experiment: CodeExperiment) -> NamedModel:
    if experiment.adapter:
        return named_model(experiment.name, experiment.adapter)
    return NamedModel(experiment.name, ModelSection(name_or_path=experiment.model or "served", format="plain"))


def _engine(experiment: CodeExperiment, how: Strategy) -> dict[str, Any]:
    """The engine's entry; a server is told the model and what stops it, both the schema of structured candidates."""
    kind, options = split(experiment.engine)
    if kind == "server" and experiment.model:
        served = resolve(ModelSection(name_or_path=experiment.model)).name_or_path
        options = {"served_model": served} | options
    if kind == "server" and how.stop:
        options = {"stop": list(how.stop)} | options
    if kind in ("server", "transformers") and how.structured:
        options = {"schema": SCHEMA} | options
    return {"kind": kind} | options


def _by_task(folder: Path) -> dict[str, list[Verdict]]:
    found: dict[str, dict[int, Verdict]] = {}
    for (_, prompt, _, index), verdict in EvaluationFolder(folder).judged().items():
        found.setdefault(prompt, {})[index] = verdict
    return {prompt: [given[index] for index in sorted(given)] for prompt, given in found.items()}


def _earlier(folder: Path, settings: CodeSettings) -> list[CodeRun]:
    """Runs that other calls left, for the one table over all experiments."""
    paths = [folder / item.name / "code.json" for item in settings.experiments]
    return [read_noun(path, CodeRun) for path in paths if path.exists()]


def _regressions(settings: CodeSettings, folder: Path, names: Sequence[str]) -> list[Regression]:
    """Every experiment against the baseline (default: the first one), by problem."""
    baseline = settings.baseline or (names[0] if names else "")
    if baseline not in names:
        return []
    before = _by_task(folder / baseline)
    others = [name for name in names if name != baseline]
    return [regression(before, _by_task(folder / name), (baseline, name)) for name in others]


def _pairs(folder: Path, names: Sequence[str]) -> list[Pair]:
    """Every two experiments against each other, in counts."""
    found = {name: _by_task(folder / name) for name in names[:MOST_PAIRED]}
    rows = [regression(found[a], found[b], (a, b)) for a, b in itertools.combinations(found, 2)]
    return [Pair(row.a, row.b, row.tasks, row.gained, row.lost, row.p) for row in rows]
