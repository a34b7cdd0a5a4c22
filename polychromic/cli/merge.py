"""``polychromic merge``: a base with an adapter merged in."""

from __future__ import annotations

import click

from polychromic.cli.console import json_option, show


@click.command()
@click.argument("run_folder", type=click.Path())
@click.option("--out", required=True, type=click.Path(), help="An empty folder for the merged model.")
@click.option(
    "--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto", show_default=True
)
@json_option
def command(run_folder: str, out: str, dtype: str, as_json: bool) -> None:
    """Write the base model of RUN_FOLDER's adapter with the adapter merged in; 'RUN_FOLDER*0.5' merges half of it."""
    from polychromic.stages import merge

    folder = merge.run(run_folder, out, dtype)
    show({"model": str(folder)}, as_json, [str(folder)])
