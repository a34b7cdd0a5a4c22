"""A configuration file and command-line overrides to Settings, or one line that says what is wrong and where.

Precedence: command line, then the file, then the file it extends, then the defaults. Checked here, before any model
or torch is loaded: names, types, borrowed keys (TRL, PEFT, bitsandbytes), kinds and their options.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from polychromic.core.errors import InputError, SettingsError
from polychromic.settings import catalog
from polychromic.settings.fields import BORROWED, borrowed_fields, brief, nearest
from polychromic.settings.outside import anchored, files
from polychromic.settings.schema import Settings
from polychromic.settings.source import COMMAND_LINE, Path_, Source, dotted, read_source, read_value

OWNED: dict[tuple[str, ...], str] = {
    ("training", "output_dir"): "is made of experiment.output_root and experiment.name",
    ("training", "run_name"): "is experiment.name",
    ("training", "seed"): "is experiment.seed",
    ("training", "data_seed"): "is experiment.seed",
    ("training", "report_to"): "is tracking.wandb",
    ("training", "hub_token"): "is a secret: log in or set HF_TOKEN in the environment",
    ("training", "resume_from_checkpoint"): "is decided by the run's own checkpoints",
    ("training", "model_init_kwargs"): "is the section model",
    ("training", "compute_loss_func"): "is the objective of the section polychromic",
    **{
        ("polychromic", key): "would draw from another distribution than the one whose gradient is taken; training "
        "samples come from the policy itself, at polychromic.temperature"
        for key in (
            "top_p",
            "top_k",
            "min_p",
            "typical_p",
            "repetition_penalty",
            "presence_penalty",
            "frequency_penalty",
        )
    },
}
SHELF_OF: dict[tuple[str, str], str] = {
    ("data", "task"): "tasks",
    ("polychromic", "reward"): "rewards",
    ("polychromic", "gate"): "gates",
    ("polychromic", "demonstration_loss"): "demonstration",
    ("evaluation", "task"): "tasks",
    ("evaluation", "metrics"): "metrics",
    ("evaluation", "engine"): "samplers",
}
_SECRET = re.compile(r"\b(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|wandb_v1_[A-Za-z0-9]{16,}|[0-9a-f]{40})\b")


def load_settings(path: str | Path, overrides: Sequence[str] = ()) -> Settings:
    """The settings of a file, with ``section.key=value`` overrides.

    Raises:
        SettingsError: one line ``file:line: key.path: what is wrong; did you mean ...?``
        MissingResourceError: there is no such file.
    """
    source = _extended(Path(path))
    for override in overrides:
        _override(source, override)
    return _validated(source)


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Settings from plain values, checked as a file's would be.

    Raises:
        SettingsError: as ``load_settings``, with ``configuration`` for the place.
    """
    return _validated(Source(json.loads(json.dumps(values))))


def outside_files(settings: Settings, sections: Sequence[str]) -> list[Path]:
    """The files of all kinds that these sections bring from outside the package, sorted."""
    found = {
        path
        for keys, value in _entries(resolved(settings))
        if keys[0] in sections
        for path in files(catalog.outline(SHELF_OF[str(keys[0]), str(keys[1])], value))
    }
    return sorted(found)


def resolved(settings: Settings) -> dict[str, Any]:
    """Every setting as plain values, defaults included; ``settings_from`` takes it back."""
    return settings.model_dump(mode="json", by_alias=True)


def resolved_yaml(settings: Settings) -> str:
    """``resolved`` as a configuration file that ``load_settings`` takes back."""
    return yaml.safe_dump(resolved(settings), sort_keys=False, allow_unicode=True)


def _extended(path: Path) -> Source:
    source = read_source(path)
    for keys, entry in _entries(source.values):
        _put(source.values, keys, anchored(entry, path.parent))
    parent = source.values.pop("extends", None)
    if parent is None:
        return source
    place = source.place(("extends",))
    if not isinstance(parent, str):
        raise SettingsError(f"{place}: extends: must be the path of one file, got {brief(parent)}")
    base_path = path.parent / parent
    if not base_path.is_file():
        raise SettingsError(f"{place}: extends: there is no file {base_path}")
    base = read_source(base_path)
    if "extends" in base.values:
        raise SettingsError(f"{place}: extends: {base_path} extends another file itself; only one step is allowed")
    _check_names(base)
    _check_names(source)
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
    if not equals or not all(keys) or len(keys) < 2:
        raise SettingsError(f"{COMMAND_LINE}: {brief(text)}: expected section.key=value")
    _check_names(source)
    if keys[0] in Settings.model_fields:
        keys = (keys[0], _canonical(keys[0], keys[1]), *keys[2:])
    values = source.values
    for depth, key in enumerate(keys[:-1], start=1):
        inner = values.get(key)
        if keys[:depth] in SHELF_OF and not isinstance(inner, dict):
            inner = {"kind": inner or _default(keys[0], keys[1])}
        if inner is not None and not isinstance(inner, dict):
            raise SettingsError(f"{COMMAND_LINE}: {dotted(keys)}: {dotted(keys[:depth])} is not a section")
        values[key] = dict(inner or {})
        values = values[key]
    values[keys[-1]] = read_value(written, COMMAND_LINE)
    for length in range(1, len(keys) + 1):
        if length == len(keys) or keys[:length] not in source.places:
            source.places[keys[:length]] = COMMAND_LINE


def _sections() -> dict[str, type[BaseModel] | None]:
    """Every section with its model, None for those that hold another library's names."""
    return {
        name: None if name in BORROWED else field.annotation  # type: ignore[misc]
        for name, field in Settings.model_fields.items()
    }


def _canonical(section: str, key: str) -> str:
    """The name a key is kept by: the alias where there is one, such as ``lambda`` for ``diversity_weight``."""
    model = _sections().get(section)
    return _names(model).get(key, key) if model else key


def _default(section: str, key: str) -> Any:
    model = _sections()[section]
    return model.model_fields[key].default if model and key in model.model_fields else None


def _names(model: type[BaseModel]) -> dict[str, str]:
    """Allowed names, aliases included, each with the name it is kept by."""
    kept = {name: field.alias or name for name, field in model.model_fields.items()}
    return kept | {name: name for name in kept.values()}


def _check_names(source: Source) -> None:
    """Refuses unknown sections and keys; afterwards every key has the name it is kept by."""
    sections = _sections()
    for section, content in list(source.values.items()):
        if section not in sections:
            raise _error(source, (section,), f"unknown section{nearest(section, sections)}")
        if content is None:
            content = source.values[section] = {} if section != "quantization" else None
        if content is not None and not isinstance(content, dict):
            raise _error(source, (section,), f"must hold keys, got {brief(content)}")
        model = sections[section]
        if model is None:
            _check_borrowed(source, (section,), content or {})
        else:
            source.values[section] = _own_names(source, section, model)


def _own_names(source: Source, section: str, model: type[BaseModel]) -> dict[str, Any]:
    names, found = _names(model), {}
    for key, value in source.values[section].items():
        if (section, key) in OWNED:
            raise _error(source, (section, key), f"cannot be set here: it {OWNED[section, key]}")
        if key not in names:
            raise _error(source, (section, key), f"unknown key{_elsewhere(section, key) or nearest(key, names)}")
        name = names[key]
        if name in found:
            raise _error(source, (section, key), f"is the same as {section}.{name}, which is given too")
        found[name] = value
        if name != key:
            for path in [path for path in source.places if path[:2] == (section, key)]:
                source.places[(section, name, *path[2:])] = source.places[path]
    return found


def _check_borrowed(source: Source, section: tuple[str, ...], content: Mapping[str, Any]) -> None:
    """Refuses keys and types that the class behind a section does not have."""
    allowed = borrowed_fields(section[-1])
    for key, value in content.items():
        path = (*section, key)
        if path in OWNED:
            raise _error(source, path, f"cannot be set here: it {OWNED[path]}")
        if not allowed:
            continue
        if key not in allowed:
            raise _error(source, path, f"unknown key{_elsewhere(section[0], key) or nearest(key, allowed)}")
        refusal = allowed[key].refusal(value)
        if refusal:
            raise _error(source, path, refusal)


def _elsewhere(section: str, key: str) -> str:
    """A hint when the key belongs to another section."""
    for other, model in _sections().items():
        names = borrowed_fields(other) if model is None else _names(model)
        if other != section and key in names:
            return f"; did you mean {other}.{key}?"
    return ""


def _validated(source: Source) -> Settings:
    _check_names(source)
    _check_secrets(source, source.values, ())
    try:
        settings = Settings.model_validate_json(json.dumps(source.values), strict=True)
    except ValidationError as error:
        raise _plain_error(source, error) from None
    for path, value in _entries(source.values):
        try:
            catalog.check(SHELF_OF[str(path[0]), str(path[1])], value)
        except InputError as error:
            option, _, reason = str(error).partition(": ")
            if isinstance(value, dict) and option in value:
                raise _error(source, (*path, option), reason) from None
            raise _error(source, path, str(error)) from None
    _check_borrowed(source, ("polychromic", "schedule"), settings.polychromic.schedule)
    return settings


def _entries(values: Mapping[str, Any]) -> Iterator[tuple[Path_, Any]]:
    """Every shelf entry of a configuration with its path."""
    for section, key in SHELF_OF:
        entry = (values.get(section) or {}).get(key)
        if isinstance(entry, list):
            yield from (((section, key, index), item) for index, item in enumerate(entry))
        elif entry is not None:
            yield (section, key), entry


def _check_secrets(source: Source, value: Any, path: Path_) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_secrets(source, item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_secrets(source, item, (*path, index))
    elif isinstance(value, str) and path != ("model", "revision") and _SECRET.search(value):
        raise _error(source, path, "looks like a secret; secrets come from the environment, never from a file")


def _plain_error(source: Source, error: ValidationError) -> SettingsError:
    """The first of pydantic's findings in one line; the branches of a union count as one finding."""
    reasons: dict[Path_, list[str]] = {}
    for finding in error.errors():
        path = tuple(finding["loc"])
        if finding["type"] == "missing":
            return _error(source, path, "is missing")
        while _missing(source.values, path):
            path = path[:-1]
        message = finding["msg"].removeprefix("Value error, ").replace("Input should", "must")
        reasons.setdefault(path, []).append(message[0].lower() + message[1:])
    path, (message, *others) = next(iter(reasons.items()))
    value: Any = source.values
    for part in path:
        value = value[part]
    got = "" if isinstance(value, dict) else f", got {brief(value)}"
    return _error(source, path, " or ".join([message, *(text.removeprefix("must be ") for text in others)]) + got)


def _put(values: Any, path: Path_, value: Any) -> None:
    for part in path[:-1]:
        values = values[part]
    values[path[-1]] = value


def _missing(values: Any, path: Path_) -> bool:
    for part in path:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return True
    return False


def _error(source: Source, path: Path_, reason: str) -> SettingsError:
    return SettingsError(f"{source.place(path)}: {dotted(path)}: {reason}")
