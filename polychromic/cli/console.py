"""What the verbs share: the ``--json`` option, tables, and progress bars that show the time left."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from click.shell_completion import CompletionItem

from polychromic.core.escaping import LONGEST, visible
from polychromic.core.protocols import Progress
from polychromic.core.secrets import redacted
from polychromic.records.jsonl import to_jsonable

QUIET_SECONDS = 15.0
"""Without a terminal, a line of progress at most this often."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for machines.")


def complete_setting(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``section.key=`` for a shell that completes: sections first, then the keys of the one that is written."""
    from polychromic.settings.names import keys_of_sections

    known = keys_of_sections()
    section, dot, _ = incomplete.partition(".")
    if not dot:
        return [CompletionItem(f"{name}.") for name in known if name.startswith(section)]
    wanted = (f"{section}.{key}=" for key in known.get(section, ()))
    return [CompletionItem(name) for name in wanted if name.startswith(incomplete)]


setting_argument = click.argument(
    "overrides", nargs=-1, metavar="[SECTION.KEY=VALUE]...", shell_complete=complete_setting
)


def show(result: Any, as_json: bool, lines: Sequence[str]) -> None:
    """Prints the result as JSON in ASCII, or the lines a person reads; what could act on a terminal is written out."""
    click.echo(json.dumps(to_jsonable(result)) if as_json else "\n".join(map(_harmless, lines)))


def say(line: str, *, err: bool = False) -> None:
    """Prints one line that a person reads, as harmless as those of ``show``."""
    click.echo(_harmless(redacted(line)), err=err)


def _harmless(line: str) -> str:
    return visible(line[:LONGEST]).replace("\n", " ")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned lines: the first column to the left, the others to the right."""
    cells = [[_harmless(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in cells
    ]


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """A Progress drawn on stderr: bars with the time left in a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        known: dict[str, Any] = {}
        latest: dict[str, int] = {}

        def report(work: str, done: int, total: int) -> None:
            if _begins(latest, work, done) or work not in known:
                known[work] = bars.add_task(_harmless(work), total=total)
            bars.update(known[work], completed=done, total=total)

        yield report


def _begins(latest: dict[str, int], work: str, done: int) -> bool:
    """Whether work of this name begins anew, such as a second sampling: less of it is done than before."""
    before = latest.get(work, 0)
    latest[work] = done
    return done < before


def _lines() -> Progress:
    started: dict[str, float] = {}
    spoken: dict[str, float] = {}
    latest: dict[str, int] = {}

    def report(work: str, done: int, total: int) -> None:
        now = time.monotonic()
        if _begins(latest, work, done):
            started.pop(work, None)
            spoken.pop(work, None)
        begun = started.setdefault(work, now)
        if done < total and now - spoken.get(work, begun) < QUIET_SECONDS:
            spoken.setdefault(work, now)
            return
        spoken[work] = now
        left = f", {(now - begun) / done * (total - done):.0f} s left" if 0 < done < total else ""
        say(f"{work}: {done}/{total} in {now - begun:.0f} s{left}", err=True)

    return report
