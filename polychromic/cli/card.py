"""``polychromic card``: the model card of a run, and the run on a model hub."""

from __future__ import annotations

import click

from polychromic.cli.console import json_option, show


@click.command()
@click.argument("run", type=click.Path())
@click.option("--evaluation", type=click.Path(), help="An evaluation's folder: its verdict, table and figures.")
@click.option("--push", "repository", metavar="REPOSITORY", help="Send weights, tokenizer and card there, on the hub.")
@click.option("--public", is_flag=True, help="Make a new repository public; without it, it is private.")
@json_option
def command(run: str, evaluation: str | None, repository: str | None, public: bool, as_json: bool) -> None:
    """Write RUN/README.md: method, data, verdict, how to load and serve.

    --push needs HF_TOKEN in the environment; HF_ENDPOINT names another hub.
    """
    from polychromic.project import card

    name = card.repository(repository, "public" if public else "private") if repository else ""
    path = card.run(run, evaluation, name)
    address = card.push(run, name) if name else ""
    show({"card": str(path), "pushed": address}, as_json, [str(path), *([address] if address else [])])
