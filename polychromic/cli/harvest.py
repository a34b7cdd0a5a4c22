"""``polychromic harvest``: a pool of the model's own right and different samples to learn from."""

from __future__ import annotations

from pathlib import Path

import click

from polychromic.cli.console import json_option, progress_bars, setting_argument, show


@click.command()
@click.argument("config", type=click.Path())
@setting_argument
@click.option("--out", type=click.Path(), help="The pool's folder.  [default: RUN_FOLDER.harvest]")
@json_option
def command(config: str, overrides: tuple[str, ...], out: str | None, as_json: bool) -> None:
    """Draw, judge and credit samples of CONFIG's prompts into OUT/harvest.jsonl.

    data.harvest says who draws (from: base, or a run's folder), how many samples of how many prompts, and by which set
    size they are credited; reward, gate and temperature are those of the section polychromic. What is done is not done
    again: an interrupted harvest continues, a larger n or more prompts extend it. Learn from it with
    data.harvest.path=OUT.
    """
    from dataclasses import asdict

    from polychromic.records.harvest import read_pool
    from polychromic.settings.load import load_settings
    from polychromic.stages import harvest

    settings = load_settings(config, overrides)
    folder = Path(out) if out else harvest.default_folder(settings)
    with progress_bars() as progress:
        path = harvest.run(harvest.prepared(settings), folder, progress)
    account = read_pool(folder).account
    show({"harvest": str(path), **asdict(account)}, as_json, [*account.lines(), str(path)])
