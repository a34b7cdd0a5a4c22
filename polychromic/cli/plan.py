"""``polychromic plan``: what runs and their evaluation will take."""

from __future__ import annotations

from dataclasses import asdict

import click

from polychromic.cli.console import json_option, setting_argument, show


@click.command()
@click.argument("config", type=click.Path())
@setting_argument
@click.option("--device", default="h100", show_default=True, help="cpu, rtx4090, l40s, a100, h100 or h200.")
@json_option
def command(config: str, overrides: tuple[str, ...], device: str, as_json: bool) -> None:
    """Forecast tokens, memory, time and price of training CONFIG and evaluating it.

    More configurations may follow the first: all are forecast, with the evaluation that compares them and the total.
    """
    from polychromic.project import plan_project
    from polychromic.project.plan_choices import choices
    from polychromic.settings.load import load_settings
    from polychromic.stages import train

    configs = [config, *(word for word in overrides if "=" not in word)]
    settings = [load_settings(path, [word for word in overrides if "=" in word]) for path in configs]
    for each in settings:
        train.refuse_early(each)
    forecast = plan_project.forecast(settings, device)
    found = [line for one, path in zip(settings, configs, strict=True) for line in choices(one, device, path)]
    result = asdict(forecast) | {"choices": found}
    show(result, as_json, [*plan_project.lines(forecast), *(f"choice: {line}" for line in found)])
