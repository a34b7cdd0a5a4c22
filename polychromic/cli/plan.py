"""``polychromic plan``: what a run will take."""

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
    """Forecast tokens, memory, time and price of training CONFIG."""
    from polychromic.settings.load import load_settings
    from polychromic.stages import plan, train

    settings = load_settings(config, overrides)
    train.refuse_early(settings)
    forecast = plan.forecast(settings, device)
    show(asdict(forecast), as_json, plan.lines(forecast))
