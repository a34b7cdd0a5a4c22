"""``polychromic evaluate``: from models to a report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polychromic.cli.console import json_option, progress_bars, say, show, table
from polychromic.cli.verify import TASK_HELP

if TYPE_CHECKING:
    from polychromic.analysis.cost import Prices
    from polychromic.core.protocols import Crew
    from polychromic.settings.schema import TrackingSection
    from polychromic.stages.sample import Forecast

MODELS_HELP = (
    "name=RUN_FOLDER or name=MODEL, separated by commas; MODEL is a folder, a hub name or embedded:countdown. "
    "'name=RUN_FOLDER*0.5' takes the run's adapter at half its strength, RUN_FOLDER/checkpoint-100 one of its "
    "checkpoints."
)


FORMAT_HELP = (
    "Prompts that are plain text: as a user's turn, or continued as they stand.  [default: as trained, or --config's]"
)


def numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """The numbers of a list such as ``0.7,1.0``; None when it was not given."""
    if value is None:
        return None
    try:
        return tuple(float(piece) for piece in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of numbers such as 0.7,1.0") from None


@click.command()
@click.option("--models", required=True, help=MODELS_HELP)
@click.option("--task", help=TASK_HELP)
@click.option("--config", type=click.Path(), help="Take the section evaluation of this configuration.")
@click.option("--format", "form", type=click.Choice(["chat", "plain"]), help=FORMAT_HELP)
@click.option("--n", type=int, help="Samples for each prompt.  [default: 16]")
@click.option("--temperatures", callback=numbers, help="Such as 0.7,1.0,1.3.  [default: 1.0]")
@click.option("--max-prompts", type=int, help="Only the first so many prompts of the split.")
@click.option("--max-new-tokens", type=int, help="Where a completion is cut off.  [default: 128]")
@click.option("--engine", help="A sampler, or {kind: NAME, ...}: server, vllm, auto.  [default: transformers]")
@click.option("--encoder", help="Sentence encoder: a folder or hub name.  [default: the installed package]")
@click.option("--batch-size", type=int, help="Completions drawn at once.  [default: 512]")
@click.option("--baseline", help="The model the others are compared with.  [default: sft or baseline]")
@click.option("--seed", default=0, show_default=True, help="Seed of sampling and resampling.")
@click.option("--price-per-hour", type=click.FloatRange(min=0), help="Of the machine, for the account of the cost.")
@click.option("--out", required=True, type=click.Path(), help="The evaluation's folder; an old one is continued.")
@click.option(
    "--backend",
    type=click.Choice(("here", "ray")),
    default="here",
    show_default=True,
    help="ray: shared out over the Ray cluster of RAY_ADDRESS, or over this machine's GPUs; the files are the same.",
)
@click.option("--trust-judge", is_flag=True, help="Go on although the judge fails on answers known beforehand.")
@click.option("--strict", is_flag=True, help="Stop before sampling when the audit of the task's checker warns.")
@json_option
def command(models: str, out: str, strict: bool, trust_judge: bool, as_json: bool, **options: Any) -> None:
    """Sample, verify, measure, compare and report in one go.

    What exists in --out is kept: the same command continues an interrupted evaluation, and a larger --n, more
    temperatures or more models extend it. On several GPUs: torchrun --nproc_per_node 2 -m polychromic evaluate ...
    """
    from polychromic.analysis.controls import Trust
    from polychromic.records.evaluation import EvaluationFolder
    from polychromic.stages import pipeline, report
    from polychromic.stages.models import in_form, parse_models, with_bases
    from polychromic.training.ranks import one_voice

    with one_voice() as ranks, _crew(options.pop("backend")) as crew:
        folder = EvaluationFolder(out)
        budget, config = _tracking(options).budget, options["config"]
        seed, baseline, prices = options.pop("seed"), options.pop("baseline"), _prices(options)
        named = with_bases(in_form(parse_models(models), form_of(options)))
        section, trust = section_of(options), Trust(trust_judge)
        evaluation = pipeline.Evaluation(named, section, seed, baseline, prices, budget, trust, crew)
        if not ranks.first:
            pipeline.draw_share(evaluation, folder)
            return
        troubles = pipeline.audit(evaluation, folder)
        for trouble in troubles:
            say(f"warning: {trouble}", err=True)
        if troubles and strict:
            sys.exit(1)
        forecast = pipeline.forecast(evaluation, folder)
        say(planned(forecast, prices.per_hour), err=True)
        with progress_bars() as progress:
            page = pipeline.run(evaluation, folder, progress)
        runs = {model.name: model.adapter for model in named if model.adapter is not None}
        if (sent := report.publish_new(folder, runs, config)) != "disabled":
            say(f"W&B: {sent}", err=True)
        result, lines = summary(page)
        show(result | {"forecast": asdict(forecast)}, as_json, lines)


@contextmanager
def _crew(backend: str) -> Iterator[Crew | None]:
    """Who draws and judges besides this process; None where it does so alone."""
    if backend == "here":
        yield None
        return
    from polychromic.project import cluster

    with cluster.joined(True) as kind:
        yield cluster.RayCrew(kind)


def form_of(options: dict[str, Any]) -> Any:
    """How prompts are rendered where a run does not say it: by ``--format``, else by the model of ``--config``."""
    from polychromic.settings.load import load_settings
    from polychromic.settings.schema import ModelSection

    given = options.pop("form")
    base = load_settings(options["config"]).model if options["config"] else ModelSection(name_or_path="")
    return base.model_copy(update={"format": given or base.format})


def _tracking(options: Mapping[str, Any]) -> TrackingSection:
    """The section of ``--config``, else its defaults."""
    from polychromic.settings.load import load_settings
    from polychromic.settings.schema import TrackingSection

    config = options["config"]
    return TrackingSection() if config is None else load_settings(config).tracking


def _prices(options: dict[str, Any]) -> Prices:
    """The hour's price: that of the command line, else of ``--config``, else of the environment; and the tokens'."""
    from polychromic.analysis.spending import prices_of

    return prices_of(_tracking(options), options.pop("price_per_hour"))


def planned(forecast: Forecast, price: float | None) -> str:
    """What sampling will take, in one line."""
    if not forecast.missing:
        return f"to sample: nothing; all {forecast.samples:,} samples are there"
    there = f"; {forecast.samples - forecast.missing:,} are there" if forecast.missing < forecast.samples else ""
    line = (
        f"to sample: {forecast.missing:,} completions, at most {forecast.tokens:,} tokens, by {forecast.engine}{there}"
    )
    if forecast.seconds is None:
        return f"{line}; the time left is shown from the first piece on"
    dollars = "" if price is None else f", {forecast.seconds / 3600 * price:.2f} at {price:g} an hour"
    return f"{line}; about {forecast.seconds:.0f} s at the speed so far{dollars}"


def section_of(options: dict[str, Any]) -> Any:
    """The evaluation section of ``--config`` with the options of the command line over it."""
    from polychromic.settings.load import load_settings
    from polychromic.settings.schema import EvaluationSection
    from polychromic.settings.yaml_lines import COMMAND_LINE, read_value

    config, entries = options.pop("config"), {name: options.pop(name, None) for name in ("task", "engine")}
    section = load_settings(config).evaluation if config else EvaluationSection()
    given = {name: value for name, value in options.items() if value is not None}
    given |= {name: read_value(text, COMMAND_LINE) for name, text in entries.items() if text is not None}
    return checked(section, given)


def checked(section: Any, given: dict[str, Any]) -> Any:
    """``section`` with the values given, checked as those of a file are."""
    from pydantic import ValidationError

    from polychromic.core.errors import SettingsError
    from polychromic.core.secrets import secrets_in

    for path, why in secrets_in(given):
        raise SettingsError(f"command line: --{'.'.join(map(str, path)).replace('_', '-')}: {why}")
    try:
        return type(section).model_validate(section.model_dump() | given)
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + str(first["loc"][0]).replace("_", "-")
        reason = first["msg"].replace("Input should", "must")
        raise SettingsError(f"command line: {name}: {reason}, got {first['input']!r:.40}") from None


def summary(page: Path) -> tuple[dict[str, Any], list[str]]:
    """What a person wants to know first: the verdicts, the table and the paths; as values and as lines."""
    from polychromic.analysis.cost import EvaluationCost
    from polychromic.analysis.record import read_comparison
    from polychromic.records.rows import read_noun
    from polychromic.reporting.tables import headline, number, sampling_table
    from polychromic.reporting.verdicts import judged

    comparison = read_comparison(page.parent / "comparison.json")
    shown = headline(comparison)
    header = ["model", *(name for name, _ in shown.columns)]
    rows = [[model, *(_cell(score, number) for score in scores)] for model, scores in shown.rows]
    lines = [each.sentence for each in comparison.bases]
    for verdict in judged(comparison):
        lines += [f"{verdict.model}: {verdict.sentence}", f"  next: {verdict.following}"]
    lines += ["", f"at temperature {comparison.temperature:g}; + better and - worse than the baseline beyond doubt", ""]
    lines += [*_folded(header, rows), ""]
    account = page.parent / "cost.json"
    cost = read_noun(account, EvaluationCost) if account.exists() else None
    if cost and cost.models:
        spent = sampling_table(cost.models, comparison.baseline)
        lines += ["cost of sampling", "", *_folded(*spent), ""]
        lines += [f"{row.model}: {row.reason}" for row in cost.models if row.reason]
    lines += _left_out(page.parent)
    lines.append(f"report: {page}")
    result: dict[str, Any] = {
        "report": str(page),
        "verdicts": comparison.verdicts,
        "bases": comparison.bases,
        "header": header,
        "rows": rows,
        "cost": cost or {},
    }
    return result | {"cost": cost or {}}, lines


def _left_out(path: Path) -> list[str]:
    """How many samples nobody could judge, and how many began with a thought, where there are any."""
    from collections import Counter

    from polychromic.core.nouns import Status
    from polychromic.records.evaluation import EvaluationFolder

    folder = EvaluationFolder(path)
    drawn = [completion for stored in folder.sets() for completion in stored.samples.completions]
    absent = Counter(verdict.detail for verdict in folder.judged().values() if verdict.status is Status.ABSENT)
    thoughts = sum(bool(completion.thought) for completion in drawn)
    lines = []
    if absent:
        ((reason, _),) = absent.most_common(1)
        unjudged = absent.total()
        lines.append(f"{unjudged} of {len(drawn)} samples have no verdict, right or wrong: {reason}")
    if thoughts:
        lines.append(f"{thoughts} of {len(drawn)} samples began with a thought, which is no part of what is measured")
    return lines


def _cell(score: Any, number: Any) -> str:
    return number(score.value) + {"better": " +", "worse": " -"}.get(score.mark, "")


def _folded(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The table, cut into pieces that fit a screen of 100 columns."""
    lines: list[str] = []
    start = 1
    while start < len(header):
        stop = len(header)
        while stop > start + 1 and len(table(_cut(header, start, stop), [])[0]) > 96:
            stop -= 1
        lines += [*([""] if lines else []), *table(_cut(header, start, stop), [_cut(row, start, stop) for row in rows])]
        start = stop
    return lines


def _cut(row: Sequence[str], start: int, stop: int) -> list[str]:
    return [row[0], *row[start:stop]]
