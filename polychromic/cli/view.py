"""``polychromic view``: runs and evaluations of a folder in the browser."""

from __future__ import annotations

from contextlib import suppress

import click

from polychromic.cli.console import say


@click.command()
@click.argument("folder", type=click.Path())
@click.option("--port", type=click.IntRange(0, 65535), default=8700, show_default=True, help="0 takes any free one.")
def command(folder: str, port: int) -> None:
    """Serve pages about all runs and evaluations below FOLDER, to this machine alone, until Ctrl-C.

    The list, settings side by side, curves while a run trains, samples prompt by prompt, the verdict in its report.
    Nothing is written. From a rented machine: ssh -L 8700:127.0.0.1:8700 HOST.
    """
    from polychromic.project.view import Server

    with Server(folder, port) as server:
        say(f"{server.url} (Ctrl-C ends it)")
        with suppress(KeyboardInterrupt):
            server.serve_forever()
