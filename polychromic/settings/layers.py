"""What a configuration says: a file over the files it extends, and the command line's overrides over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polychromic.core.errors import SettingsError
from polychromic.settings.introspection import brief, nearest
from polychromic.settings.names import SHELF_OF, canonical, check_names, default_of, entries
from polychromic.settings.outside import anchored
from polychromic.settings.schema import Settings
from polychromic.settings.yaml_lines import COMMAND_LINE, Path_, Source, dotted, read_source, read_value

EXPECTED = "expected section.key=value, or section=null to remove a section"


def read_layers(path: Path, overrides: Sequence[str]) -> Source:
    """The values of the file, those of the files it extends below them, and the overrides above them.

    Raises:
        SettingsError: one line that says what is wrong and where.
        MissingResourceError: there is no such file.
    """
    source = _extended(path, ())
    for override in overrides:
        _override(source, override)
    return source


def _extended(path: Path, below: tuple[Path, ...]) -> Source:
    """The file over those that it extends; ``below`` are the files that led here."""
    source = read_source(path)
    parent = source.values.pop("extends", None)
    place = source.place(("extends",))
    removed = [section for section, content in source.values.items() if content is None]
    check_names(source)
    for keys, entry in entries(source.values):
        _put(source.values, keys, anchored(entry, path.parent))
    if parent is None:
        return source
    if not isinstance(parent, str):
        raise SettingsError(f"{place}: extends: must be the path of one file, got {brief(parent)}")
    chain = (*below, path.resolve())
    base_path = path.parent / parent
    if base_path.resolve() in chain:
        raise SettingsError(f"{place}: extends: {base_path} leads back to itself")
    if not base_path.is_file():
        raise SettingsError(f"{place}: extends: there is no file {base_path}")
    base = _extended(base_path, chain)
    for section in removed:
        base.values.pop(section, None)
    base.values = _merged(base.values, source.values)
    base.places |= source.places
    return base


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """``new`` over ``old``, section by section; an entry with a ``kind`` replaces the old one whole."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and "kind" not in value:
            merged[key] = _merged(before, value)
        else:
            merged[key] = value
    return merged


def _override(source: Source, text: str) -> None:
    name, equals, written = text.partition("=")
    keys = tuple(name.strip().split("."))
    if not equals or not all(keys):
        raise SettingsError(f"{COMMAND_LINE}: {brief(text)}: {EXPECTED}")
    value = read_value(written, COMMAND_LINE)
    if len(keys) == 1:
        if value is not None:
            raise SettingsError(f"{COMMAND_LINE}: {brief(text)}: {EXPECTED}")
        _remove(source, keys[0])
        return
    check_names(source)
    if keys[0] in Settings.model_fields:
        keys = (keys[0], canonical(keys[0], keys[1]), *keys[2:])
    values = source.values
    for depth, key in enumerate(keys[:-1], start=1):
        inner = values.get(key)
        if keys[:depth] in SHELF_OF and not isinstance(inner, dict):
            inner = {"kind": inner or default_of(keys[0], keys[1])}
        if inner is not None and not isinstance(inner, dict):
            raise SettingsError(f"{COMMAND_LINE}: {dotted(keys)}: {dotted(keys[:depth])} is not a section")
        values[key] = dict(inner or {})
        values = values[key]
    values[keys[-1]] = anchored(value, Path.cwd()) if keys[:2] in SHELF_OF else value
    for length in range(1, len(keys) + 1):
        if length == len(keys) or keys[:length] not in source.places:
            source.places[keys[:length]] = COMMAND_LINE


def _remove(source: Source, section: str) -> None:
    """Takes a whole section out, for ``section=null``: what is left are the defaults."""
    if section not in Settings.model_fields:
        raise SettingsError(f"{COMMAND_LINE}: {section}: unknown section{nearest(section, Settings.model_fields)}")
    source.values.pop(section, None)


def _put(values: Any, path: Path_, value: Any) -> None:
    for part in path[:-1]:
        values = values[part]
    values[path[-1]] = value
