"""``polychromic route``: which of several models should answer, and what that costs."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from polychromic.cli.console import json_option, show, table


@click.command("route")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--price", "prices", multiple=True, required=True, metavar="MODEL=DOLLARS/UNIT", help="M, h or sample.")
@click.option("--category", default="category", show_default=True, help="The prompt's key that names its category.")
@click.option("--temperature", type=float, help="Of the samples.  [default: 1.0, or the lowest that all have]")
@click.option("--tolerance", default=0.01, show_default=True, help="Share of right answers to give up for a price.")
@click.option("--seed", default=0, show_default=True, help="Of the halves and the resamples.")
@json_option
def command(paths: tuple[Path, ...], prices: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Route between the models of an evaluation FOLDER, or of two or more FILES with verdicts.

    Prices are dollars per million tokens written (0.4/M) and, behind a plus, read (0.4+0.1/M), per hour of sampling
    (2.5/h) or per sample (0.001/sample). Of tokens read a server's samples know the number.
    What a router learns it learns on one half of the prompts and is tried on the other, both ways. Writes routing.json
    into the FOLDER; its next report has a section on it.
    """
    from polychromic.analysis.resampling import Plan
    from polychromic.analysis.routing import Routing
    from polychromic.records.rows import read_noun
    from polychromic.reporting.routes import routing_table
    from polychromic.stages import measure, route

    wrong = [value for value in prices if "=" not in value]
    if wrong:
        raise click.BadParameter(f"{wrong[0]!r}: MODEL=DOLLARS/UNIT is allowed", param_hint="--price")
    named = {name: route.Price.read(text) for name, text in (value.rsplit("=", 1) for value in prices)}
    seed = options.pop("seed")
    with ExitStack() as stack:
        folder = paths[0]
        if len(paths) > 1 or not folder.is_dir():
            place = stack.enter_context(tempfile.TemporaryDirectory())
            folder = measure.adopt({path.stem: path for path in paths}, place)
        found = read_noun(route.run(folder, route.Routes(named, plan=Plan(2000, seed), **options)), Routing)
        heading, rows = routing_table(found)
        show(found, as_json, [*table(heading, rows), "", found.advice])
