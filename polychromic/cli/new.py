"""``polychromic new``: a working kind of your own, and its test."""

from __future__ import annotations

import re
from pathlib import Path

import click

from polychromic.cli.console import json_option, show
from polychromic.core.errors import InputError

TEMPLATES = Path(__file__).parent / "templates"
WHERE = {
    "reward": "polychromic.reward",
    "gate": "polychromic.gate",
    "metric": "an item of evaluation.metrics",
    "task": "data.task and evaluation.task",
}


@click.command()
@click.argument("what", type=click.Choice(list(WHERE)))
@click.argument("name")
@click.option("--to", "folder", type=click.Path(), default=".", show_default=True, help="The folder to write to.")
@json_option
def command(what: str, name: str, folder: str, as_json: bool) -> None:
    """Write NAME.py, a reward, gate, metric or task that works as it stands, and test_NAME.py, which passes."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(f"NAME: {name!r} is no file name of small letters, digits and underscores")
    names = {"file": name, "name": "".join(part.capitalize() for part in name.split("_"))}
    wanted = {Path(folder) / f"{name}.py": f"{what}.py", Path(folder) / f"test_{name}.py": f"test_{what}.py"}
    there = [path for path in wanted if path.exists()]
    if there:
        raise InputError(f"{there[0]}: exists already; choose another NAME or --to")
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path, template in wanted.items():
        text = (TEMPLATES / f"{template}.jinja").read_text(encoding="utf-8")
        for key, value in names.items():
            text = text.replace("{{ " + key + " }}", value)
        path.write_text(text, encoding="utf-8")
    kind, (file, test) = f"./{name}.py:{names['name']}", wanted
    lines = [
        str(file),
        str(test),
        f"in a configuration beside it: kind: {kind} as {WHERE[what]}; try it: pytest {test}",
    ]
    show({"file": str(file), "test": str(test), "kind": kind}, as_json, lines)
