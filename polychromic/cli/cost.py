"""``polychromic cost``: what a project folder planned, spent and has still to spend."""

from __future__ import annotations

import math
from dataclasses import asdict

import click

from polychromic.cli.console import json_option, show, table

RUNS = ("training", "steps", "device hours", "planned $", "spent $", "left $")
MODELS = ("evaluated", "samples", "passed", "sampling $", "judging $", "rest $", "per pass $", "with training $")


@click.command()
@click.argument("folder", type=click.Path())
@click.argument("configs", nargs=-1)
@click.option("--price-per-hour", type=click.FloatRange(min=0), help="Of a device, where none was written down.")
@click.option("--device", default="h100", show_default=True, help="What the plan is made for.")
@json_option
def command(folder: str, configs: tuple[str, ...], price_per_hour: float | None, device: str, as_json: bool) -> None:
    """One account of all trainings and evaluations below FOLDER, in dollars; CONFIGS adds runs that have not begun.

    Trainings and evaluations write down their seconds while they run, with the price of then.
    """
    from polychromic.project import account

    found = account.of_folder(folder, price_per_hour, configs, device)
    runs = [
        [row.name, f"{row.steps}/{row.of_steps}", _number(row.device_seconds / 3600, 3)]
        + [_number(value) for value in (row.planned, row.spent, row.left)]
        for row in found.runs
    ]
    models = [
        [row.model, str(row.samples), str(row.passed)]
        + [_number(value) for value in (row.sampling, row.judging, row.rest)]
        + [_number(value, 5) for value in (row.per_pass, row.with_training)]
        for row in found.models
    ]
    said = [*(table(RUNS, runs) if runs else []), "", *(table(MODELS, models) if models else []), ""]
    show(asdict(found) | {"spent": found.spent}, as_json, [*said, *account.lines(found)])


def _number(value: float, digits: int = 2) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
