"""``polychromic train``: one adapter from a configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from polychromic.cli.console import json_option, progress_bars, setting_argument, show
from polychromic.core.errors import InputError
from polychromic.records.jsonl import read_json


@click.command()
@click.argument("config", type=click.Path())
@setting_argument
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and the forecast; train nothing.")
@click.option("--resume", is_flag=True, help="Fail unless there is an interrupted run to continue.")
@json_option
def command(config: str, overrides: tuple[str, ...], dry_run: bool, resume: bool, as_json: bool) -> None:
    """Fine-tune one adapter from CONFIG, into experiment.output_root/experiment.name.

    A run that was interrupted continues from its newest whole checkpoint; a finished one is left as it is.
    """
    from polychromic.settings.load import load_settings, resolved, resolved_yaml

    settings = load_settings(config, overrides)
    if dry_run:
        from dataclasses import asdict

        from polychromic.stages import plan, train

        train.refuse_early(settings)
        forecast = plan.forecast(settings, "cpu" if settings.training.get("use_cpu") else "h100")
        show({"settings": resolved(settings), "plan": asdict(forecast)}, as_json, resolved_yaml(settings).splitlines())
        if not as_json:
            show({}, False, [*plan.lines(forecast), plan.ESTIMATE])
        return
    folder = Path(settings.experiment.output_root) / settings.experiment.name
    if resume and not (folder / "run.json").exists():
        raise InputError(f"{folder}: there is no run to continue")
    from polychromic.stages import following, train

    with progress_bars() as progress:
        train.run(settings, folder, progress)
    harvest = read_json(folder / "run.json").get("harvest")
    said = [] if harvest is None else [mixture_line(harvest)]
    next_step = following.after(folder)
    result = {"run": str(folder), "harvest": harvest, "next": next_step.command}
    show(result, as_json, [*said, str(folder), *next_step.lines])


def mixture_line(harvest: Mapping[str, Any]) -> str:
    """What a run learnt from, where demonstrations and a harvest were mixed."""
    strength = "infinite" if harvest["lambda"] is None else f"{harvest['lambda']:.3g}"
    return (
        f"data.harvest: {harvest['rows']} harvested rows beside {harvest['demonstrations']} demonstrations "
        f"(share {harvest['share']:.3g}, lambda {strength}); an epoch is all of them"
    )
