"""``polychromic export``: right and different samples of an evaluation as demonstrations."""

from __future__ import annotations

import click

from polychromic.cli.console import json_option, show


@click.command("export")
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="The JSONL file to write.")
@click.option("--model", "models", multiple=True, help="Only this model's samples; repeatable.  [default: all]")
@click.option("--per-prompt", type=click.IntRange(min=1), help="At most so many different answers of one prompt.")
@json_option
def command(folder: str, out: str, models: tuple[str, ...], per_prompt: int | None, as_json: bool) -> None:
    """Write the right answers of FOLDER's samples as demonstrations, each different answer once.

    The file is what data.train_file reads: prompt, completion, and the columns of the prompt. Answers are different
    when the checker's canonical answers are.
    """
    from polychromic.stages import export

    found = export.run(folder, out, models, per_prompt)
    show(found, as_json, found.lines())
