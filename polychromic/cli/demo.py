"""``polychromic demo``: from nothing to a report on the embedded task."""

from __future__ import annotations

import click

from polychromic.cli.console import json_option, progress_bars, setting_argument, show
from polychromic.cli.evaluate import summary


@click.command()
@setting_argument
@click.option("--seed", default=0, show_default=True, help="Seed of training and sampling.")
@click.option("--out", type=click.Path(), help="Where everything goes.  [default: runs/demo, or runs/demo-seedN]")
@click.option("--config", "folder", type=click.Path(), help="Folder of configurations.  [default: config/demo]")
@json_option
def command(overrides: tuple[str, ...], seed: int, out: str | None, folder: str | None, as_json: bool) -> None:
    """Train SFT and the lambda variants on Countdown, evaluate them beside their base, and report.

    On two CPU cores, offline. The same command continues where an interrupted one stopped.
    """
    from polychromic.project import demo

    place = out or ("runs/demo" if seed == 0 else f"runs/demo-seed{seed}")
    with progress_bars() as progress:
        page = demo.run(demo.configurations(folder), place, seed, overrides, progress)
    result, lines = summary(page)
    show(result, as_json, lines)
