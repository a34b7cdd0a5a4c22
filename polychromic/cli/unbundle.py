"""``polychromic unbundle``: a bundle unpacked and checked, and what to run."""

from __future__ import annotations

from dataclasses import asdict

import click

from polychromic.cli.console import json_option, show
from polychromic.cli.doctor import finding_lines


@click.command()
@click.argument("bundle", type=click.Path())
@click.option(
    "--to", type=click.Path(file_okay=False), help="A new folder, on the volume.  [default: beside the archive]"
)
@json_option
def command(bundle: str, to: str | None, as_json: bool) -> None:
    """Unpack BUNDLE (or take the folder it was unpacked into), check it and this machine, print the commands.

    Checked are the digest of every file, versions, data, model, GPU, memory, disk and keys; exit status 1 if something
    is missing.
    """
    from polychromic.project import unbundle

    found = unbundle.run(bundle, to)
    show(asdict(found), as_json, [*finding_lines(found.findings), "", *found.commands])
    if not found.ready:
        click.get_current_context().exit(1)
