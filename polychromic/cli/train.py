"""``polychromic train``: one adapter from a configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from polychromic.cli.console import json_option, progress_bars, show
from polychromic.core.errors import InputError
from polychromic.records.jsonl import read_json


@click.command()
@click.argument("config", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[SECTION.KEY=VALUE]...")
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
    SIGHUP, SIGTERM and SIGUSR1 save and stop after the step; a second one stops at once.
    """
    from polychromic.settings.load import load_settings, resolved, resolved_yaml

    settings = load_settings(config, [*overrides, *extend])
    if options["dry_run"]:
        from dataclasses import asdict

        from polychromic.stages import plan, train

        train.refuse_early(settings)
        forecast = plan.forecast(settings, "cpu" if settings.training.get("use_cpu") else "h100")
        show({"settings": resolved(settings), "plan": asdict(forecast)}, as_json, [resolved_yaml(settings)])
        if not as_json:
            show({}, False, plan.lines(forecast))
        return
    folder = Path(settings.experiment.output_root) / settings.experiment.name
    if options["resume"] and not (folder / "run.json").exists():
        raise InputError(f"{folder}: there is no run to continue")
    from polychromic.stages import train

    with progress_bars() as progress:
        train.run(settings, folder, progress, [change.partition("=")[0].strip() for change in extend])
    harvest = read_json(folder / "run.json").get("harvest")
    said = [] if harvest is None else [mixture_line(harvest)]
    show({"run": str(folder), "harvest": harvest}, as_json, [*said, str(folder)])


def mixture_line(harvest: Mapping[str, Any]) -> str:
    """What a run learnt from, where demonstrations and a harvest were mixed."""
    strength = "infinite" if harvest["lambda"] is None else f"{harvest['lambda']:.3g}"
    return (
        f"data.harvest: {harvest['rows']} harvested rows beside {harvest['demonstrations']} demonstrations "
        f"(share {harvest['share']:.3g}, lambda {strength}); an epoch is all of them"
    )
