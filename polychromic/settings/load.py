"""A configuration file and command-line overrides to Settings, or one line that says what is wrong and where.

Precedence: command line, then the file, then the file it extends, then the defaults. Checked here, before any model
or torch is loaded: names, types, borrowed keys (TRL, PEFT, bitsandbytes), kinds and their options.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from polychromic.core.errors import InputError, SettingsError
from polychromic.core.secrets import secrets_in
from polychromic.settings import catalog
from polychromic.settings.introspection import brief, nearest
from polychromic.settings.layers import read_layers
from polychromic.settings.names import SHELF_OF, check_names, entries, error_at
from polychromic.settings.outside import digests
from polychromic.settings.schema import Settings
from polychromic.settings.yaml_lines import Path_, Source


def load_settings(path: str | Path, overrides: Sequence[str] = ()) -> Settings:
    """The settings of a file, with ``section.key=value`` overrides.

    Raises:
        SettingsError: one line ``file:line: key.path: what is wrong; did you mean ...?``
        MissingResourceError: there is no such file.
    """
    return _validated(read_layers(Path(path), overrides))


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Settings from plain values, checked as a file's would be.

    Raises:
        SettingsError: as ``load_settings``, with ``configuration`` for the place.
    """
    return _validated(Source(json.loads(json.dumps(values))))


def resolved(settings: Settings) -> dict[str, Any]:
    """Every setting as plain values, defaults included; ``settings_from`` takes it back."""
    return settings.model_dump(mode="json", by_alias=True)


def identity(settings: Settings) -> dict[str, Any]:
    """``resolved``, and under ``files`` the digest of every file from outside the package that decides a training."""
    built = [
        catalog.outline(SHELF_OF[str(keys[0]), str(keys[1])], value)
        for keys, value in entries(resolved(settings))
        if keys[0] in ("data", "polychromic")
    ]
    found = digests(built)
    return resolved(settings) | ({"files": found} if found else {})


def resolved_yaml(settings: Settings) -> str:
    """``resolved`` as a configuration file that ``load_settings`` takes back."""
    return yaml.safe_dump(resolved(settings), sort_keys=False, allow_unicode=True)


def _validated(source: Source) -> Settings:
    check_names(source)
    refuse_secrets(source)
    try:
        settings = Settings.model_validate_json(json.dumps(source.values), strict=True)
    except ValidationError as error:
        raise _plain_error(source, error) from None
    named = [(SHELF_OF[str(path[0]), str(path[1])], path, value) for path, value in entries(source.values)]
    for shelf, path, value in [*named, *_matrix_metrics(settings)]:
        try:
            catalog.check(shelf, value)
        except InputError as error:
            option, _, reason = str(error).partition(": ")
            if isinstance(value, dict) and option in value:
                raise error_at(source, (*path, option), reason) from None
            raise error_at(source, path, str(error)) from None
    return settings


def _matrix_metrics(settings: Settings) -> list[tuple[str, Path_, Any]]:
    """The metrics that the decision matrix names; the default ones are known."""
    thresholds = settings.evaluation.thresholds
    rows = thresholds.matrix if "matrix" in thresholds.model_fields_set else ()
    place = ("evaluation", "thresholds", "matrix")
    return [("metrics", (*place, index, "metric"), row.metric) for index, row in enumerate(rows)]


def refuse_secrets(source: Source) -> None:
    """Raises SettingsError, with the place and not the value, when a configuration holds a secret."""
    for path, reason in secrets_in(source.values):
        raise error_at(source, path, reason)


def _plain_error(source: Source, error: ValidationError) -> SettingsError:
    """The first of pydantic's findings in one line; the branches of a union count as one finding."""
    reasons: dict[Path_, list[str]] = {}
    for finding in error.errors():
        path = tuple(finding["loc"])
        if finding["type"] == "missing":
            return error_at(source, path, "is missing")
        while _missing(source.values, path):
            path = path[:-1]
        if finding["type"] == "extra_forbidden":
            return error_at(source, path, f"unknown key{nearest(str(path[-1]), _keys_at(path[:-1]))}")
        message = finding["msg"].removeprefix("Value error, ").replace("Input should", "must")
        reasons.setdefault(path, []).append(message[0].lower() + message[1:])
    path, (message, *others) = next(iter(reasons.items()))
    value: Any = source.values
    for part in path:
        value = value[part]
    got = "" if isinstance(value, dict) else f", got {brief(value)}"
    return error_at(source, path, " or ".join([message, *(text.removeprefix("must be ") for text in others)]) + got)


def _keys_at(path: Path_) -> list[str]:
    """The keys that a section inside another may have."""
    model: Any = Settings
    for part in path:
        model = get_args(model)[0] if isinstance(part, int) else model.model_fields[part].annotation
        if isinstance(model, UnionType):  # a section or nothing
            model = get_args(model)[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _missing(values: Any, path: Path_) -> bool:
    for part in path:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return True
    return False
