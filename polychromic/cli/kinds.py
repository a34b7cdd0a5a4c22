"""``polychromic kinds``: what there is on the shelves, with its options."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import click

from polychromic.cli.console import json_option, show
from polychromic.core.errors import InputError


@click.command()
@click.argument("shelf", required=False)
@click.option("--with", "brought", multiple=True, help="A kind of yours, ./FILE.py:NAME; needs SHELF; may be repeated.")
@click.option("--config", type=click.Path(), help="A configuration, whose own kinds are listed too.")
@json_option
def command(shelf: str | None, brought: tuple[str, ...], config: str | None, as_json: bool) -> None:
    """List the kinds on a SHELF, or on all of them, with options, types and defaults.

    Those of installed packages (entry points) are among them, and yours that --with or a configuration names.
    """
    from polychromic.settings.catalog import SHELVES, kinds

    if brought and shelf is None:
        raise click.UsageError("--with needs a SHELF")
    yours = _named_in(config) if config is not None else []
    found = {
        each: {
            name: _described(each, name)
            for name in dict.fromkeys([*kinds(each), *brought, *(kind for home, kind in yours if home == each)])
        }
        for each in ([shelf] if shelf else SHELVES)
    }
    show({"shelves": found}, as_json, list(_lines(found)))


def _named_in(config: str) -> list[tuple[str, str]]:
    """The kinds from outside that a configuration names, each after its shelf."""
    from polychromic.settings.load import load_settings, resolved
    from polychromic.settings.names import SHELF_OF, entries

    values = resolved(load_settings(config))
    shelved = [(SHELF_OF[str(path[0]), str(path[1])], entry) for path, entry in entries(values)]
    return [found for shelf, entry in shelved for found in _named(shelf, entry)]


def _named(shelf: str, entry: Any) -> Iterator[tuple[str, str]]:
    """The kinds from outside in an entry, and in its options: those of a mixture's parts, a task's post-processing."""
    from polychromic.settings.catalog import SHELVES, split

    if not isinstance(entry, str | dict):
        return
    kind, options = split(entry)
    if ":" in kind:
        yield shelf, kind
    for key, option in options.items():
        if key in SHELVES or key == "parts":
            for item in option if isinstance(option, list) else [option]:
                yield from _named(key if key in SHELVES else shelf, item)


def _described(shelf: str, kind: str) -> dict[str, Any]:
    """A kind's first line, its needs, and its options with type and default."""
    import dataclasses

    from polychromic.settings.catalog import kind_class, options

    cls = kind_class(shelf, kind)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    return {
        "says": (inspect.getdoc(cls) or "").partition("\n")[0],
        "needs": _needs(shelf, kind),
        "options": {name: _option(fields[name]) for name in options(shelf, kind)},
    }


def _needs(shelf: str, kind: str) -> list[str]:
    """What the kind needs with the options as they are; nothing where it cannot be built without options."""
    from polychromic.settings.catalog import outline

    try:
        return list(getattr(outline(shelf, kind), "needs", ()))
    except InputError:
        return []


def _option(field: Any) -> dict[str, str]:
    import dataclasses

    kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    if field.default is not dataclasses.MISSING:
        return {"type": kind, "default": repr(field.default)}
    made = "" if field.default_factory is dataclasses.MISSING else repr(field.default_factory())
    return {"type": kind, "default": made}


def _lines(shelves: dict[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    for shelf, found in shelves.items():
        yield click.style(shelf, bold=True)
        for name, kind in found.items():
            needs = f"  [needs {', '.join(kind['needs'])}]" if kind["needs"] else ""
            yield f"  {name}: {kind['says']}{needs}"
            for option, facts in kind["options"].items():
                yield f"      {option}: {facts['type']} = {facts['default']}"
        yield ""
