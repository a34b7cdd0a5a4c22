"""``polychromic train``: one adapter from a configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from polychromic.cli.console import json_option, progress_bars, setting_argument, show
from polychromic.core.errors import InputError
from polychromic.records.artefacts import RunFolder
from polychromic.records.jsonl import read_json


@click.command()
@click.argument("config", type=click.Path())
@setting_argument
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and the forecast; train nothing.")
@click.option("--resume", is_flag=True, help="Fail unless there is an interrupted run to continue.")
@click.option(
    "--extend",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="An override by which the run of the folder goes on, though it began with another value: of training, "
    "max_steps, num_train_epochs, save_steps, save_minutes, save_total_limit and logging_steps. Kept in run.json.",
)
@json_option
def command(config: str, overrides: tuple[str, ...], as_json: bool, extend: tuple[str, ...], **options: bool) -> None:
    """Fine-tune one adapter from CONFIG, into experiment.output_root/experiment.name.

    A run that was interrupted continues from its newest whole checkpoint; a finished one is left as it is. Ctrl-C,
    SIGHUP, SIGTERM and SIGUSR1 save and stop after the step; a second one stops at once. On several GPUs: torchrun
    --nproc_per_node 2 -m polychromic train CONFIG, or accelerate launch.
    """
    from polychromic.training.ranks import one_voice

    with one_voice() as ranks:
        if options["dry_run"]:
            result, lines = _dry_run(config, (*overrides, *extend))
        else:
            result, lines = _run(config, overrides, extend, options["resume"])
        if ranks.first:
            show(result, as_json, lines if options["dry_run"] else [*lines, *_published(result)])


def _dry_run(config: str, overrides: tuple[str, ...]) -> tuple[dict[str, Any], list[str]]:
    from dataclasses import asdict

    from polychromic.project import plan
    from polychromic.settings.load import load_settings, resolved, resolved_yaml
    from polychromic.stages import train

    settings = load_settings(config, overrides)
    train.refuse_early(settings)
    forecast = plan.forecast(settings, "cpu" if settings.training.get("use_cpu") else "h100")
    result = {"settings": resolved(settings), "plan": asdict(forecast)}
    return result, [*resolved_yaml(settings).splitlines(), *plan.lines(forecast), plan.ESTIMATE]


def _run(
    config: str, overrides: tuple[str, ...], extend: tuple[str, ...], resume: bool
) -> tuple[dict[str, Any], list[str]]:
    from polychromic.settings.load import load_settings

    settings = load_settings(config, [*overrides, *extend])
    folder = Path(settings.experiment.output_root) / settings.experiment.name
    if resume and not (folder / "run.json").exists():
        raise InputError(f"{folder}: there is no run to continue")
    from polychromic.stages.models import refuse_absent

    before = RunFolder(folder).record().finished
    if before is None:
        refuse_absent(settings.model)  # before the libraries, which take seconds to import
    from polychromic.project import card, following
    from polychromic.stages import train

    repository = card.refuse_unpublishable(settings)
    with progress_bars() as progress:
        train.run(settings, folder, progress, [change.partition("=")[0].strip() for change in extend])
    record = read_json(folder / "run.json")
    harvest, data = record.get("harvest"), record.get("data")
    said = [rows_line(data)] if data and data["sources"] else []
    said += [] if harvest is None else [mixture_line(harvest)]
    health = RunFolder(folder).record().health
    said += [best_line(record["best"])] if "best" in record else []
    said += health.lines()
    if before is not None and RunFolder(folder).record().finished == before:
        said.append(f"finished on {before}, nothing to do")
    next_step = following.after(folder)
    result = {"run": str(folder), "harvest": harvest, "data": data, "health": health, "next": next_step.command}
    result["repository"] = repository
    return result, [*said, str(folder), *next_step.lines]


def _published(result: dict[str, Any]) -> list[str]:
    """Writes the run's card and pushes the run where its configuration says so; its address there."""
    from polychromic.project import card

    result["pushed"] = card.finish(result["run"], result.pop("repository"))
    return [result["pushed"]] if result["pushed"] else []


def rows_line(data: Mapping[str, Any]) -> str:
    """Where a run's demonstrations came from, and in which form they were read."""
    places = ", ".join(f"{count} of {name}" for name, count in data["sources"])
    return f"data: {places}, read as {' and '.join(data['forms'])}"


def best_line(best: Mapping[str, Any]) -> str:
    """Which step's weights are the run's result, where a number chose them."""
    return f"best {best['metric']}: {best['value']:.4g} at step {best['step']}, whose weights are the result"


def mixture_line(harvest: Mapping[str, Any]) -> str:
    """What a run learnt from, where demonstrations and a harvest were mixed."""
    strength = "infinite" if harvest["lambda"] is None else f"{harvest['lambda']:.3g}"
    return (
        f"data.harvest: {harvest['rows']} harvested rows beside {harvest['demonstrations']} demonstrations "
        f"(share {harvest['share']:.3g}, lambda {strength}); an epoch is all of them"
    )
