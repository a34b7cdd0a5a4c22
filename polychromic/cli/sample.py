"""``polychromic sample``: completions from one or more models."""

from __future__ import annotations

from typing import Any

import click

from polychromic.cli.console import json_option, progress_bars, say, show
from polychromic.cli.evaluate import FORMAT_HELP, MODELS_HELP, form_of, numbers, planned, section_of
from polychromic.cli.verify import TASK_HELP


@click.command()
@click.option("--models", required=True, help=MODELS_HELP)
@click.option("--task", help=TASK_HELP + " For a JSONL file: {kind: conversations, path: FILE}.")
@click.option("--config", type=click.Path(), help="Take the section evaluation of this configuration.")
@click.option("--format", "form", type=click.Choice(["chat", "plain"]), help=FORMAT_HELP)
@click.option("--n", type=int, help="Samples for each prompt.  [default: 16]")
@click.option("--temperatures", callback=numbers, help="Such as 0.7,1.0,1.3.  [default: 1.0]")
@click.option("--max-prompts", type=int, help="Only the first so many prompts of the split.")
@click.option("--max-new-tokens", type=int, help="Where a completion is cut off.  [default: 128]")
@click.option("--batch-size", type=int, help="Completions drawn at once.  [default: 512]")
@click.option("--seed", default=0, show_default=True)
@click.option("--out", required=True, type=click.Path(), help="The evaluation's folder; an old one is continued.")
@json_option
def command(models: str, out: str, seed: int, as_json: bool, **options: Any) -> None:
    """Draw completions into OUT/samples.jsonl; only the missing ones are drawn."""
    from polychromic.stages import pipeline
    from polychromic.stages.models import in_form, parse_models
    from polychromic.training.ranks import one_voice

    with one_voice() as ranks:
        named = in_form(parse_models(models), form_of(options))
        evaluation = pipeline.Evaluation(named, section_of(options), seed)
        if not ranks.first:
            pipeline.draw_share(evaluation, out)
            return
        say(planned(pipeline.forecast(evaluation, out), None), err=True)
        with progress_bars() as progress:
            path = pipeline.draw(evaluation, out, progress)
        show({"samples": str(path)}, as_json, [str(path)])
