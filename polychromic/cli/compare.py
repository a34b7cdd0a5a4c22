"""polychromic compare: models against a baseline, paired by prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("compare")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--baseline", help="The model the others are compared with (default: sft, baseline, or the first).")
@click.option("--base", help="The untrained model, if it was sampled (default: base).")
@click.option("--resamples", default=10_000, show_default=True, help="Bootstrap and permutation resamples.")
@click.option("--seed", default=0, show_default=True)
@click.option("--temperature", type=float, help="The temperature verdicts speak about.")
def command(folder: Path, baseline: str | None, base: str | None, **options: Any) -> None:
    """Compare the models of FOLDER's measurements.jsonl; prints the path of comparison.json."""
    from polychromic.analysis.comparison import CompareSettings
    from polychromic.analysis.resampling import Plan
    from polychromic.stages import compare

    plan = Plan(options["resamples"], options["seed"])
    settings = CompareSettings("", plan=plan, temperature=options["temperature"])
    click.echo(compare.run(folder, baseline, base, settings))
