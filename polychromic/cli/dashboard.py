"""``polychromic dashboard``: the layout of a W&B project."""

from __future__ import annotations

import click

from polychromic.cli.console import say


@click.command()
@click.argument("config", type=click.Path())
def command(config: str) -> None:
    """Save a view of CONFIG's project at W&B, and print its address.

    Held-out pass@k over lambda and over the steps, training, health, cost, and the figures of comparisons. The held-out
    scores are there where evaluation.during_training.prompts is above 0. Needs polychromic[dashboard] and a key of W&B.
    """
    from polychromic.settings.load import load_settings
    from polychromic.training import dashboard

    say(dashboard.save(load_settings(config)))
