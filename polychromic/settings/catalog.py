"""The folder is the registry: a file on a shelf holds kinds, and a kind's dataclass fields are its options.

A kind is a public frozen dataclass with the shelf's method. Its name is the ``kind`` that it states
(``kind: ClassVar[str] = "jaccard"``), else that of its file, so one file may hold several. Only the file of the kind
that is asked for is imported, and no file on a shelf imports torch before it is used.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from polychromic.core.errors import InputError, SettingsError
from polychromic.settings.fields import FieldType, field_types, nearest


class Shelf(NamedTuple):
    """A shelf's package, the method that tells its kinds from helpers in the same file, and what one kind is called."""

    package: str
    method: str
    noun: str


SHELVES = {
    "samplers": Shelf("polychromic.samplers", "sample", "sampler"),
    "rewards": Shelf("polychromic.rewards", "evidence", "reward"),
    "gates": Shelf("polychromic.gates", "validity", "gate"),
    "tasks": Shelf("polychromic.tasks", "verify", "task"),
    "metrics": Shelf("polychromic.metrics", "measure", "metric"),
    "scorers": Shelf("polychromic.code.scorers", "scores", "scorer"),
    "demonstration": Shelf("polychromic.objective.demonstration", "loss", "demonstration loss"),
}
PARTS = frozenset({"embedder", "task", "reference", "references", "demonstrations", "model", "tokenizer"})
"""Fields that the wiring fills; no YAML may. A task takes no parts, so there the same names are options."""
_STATED = re.compile(r'^    kind: ClassVar\[str\] = "(\w+)"', re.MULTILINE)


def kinds(shelf: str) -> list[str]:
    """The kinds on a shelf, sorted; imports all its files."""
    homes = _homes(_shelf(shelf).package)
    return sorted(name for name, module in homes.items() if name in _kinds_in(shelf, importlib.import_module(module)))


def parts_on(shelf: str) -> frozenset[str]:
    """The fields of a shelf's kinds that the wiring fills."""
    return frozenset() if shelf == "tasks" else PARTS


def options(shelf: str, kind: str) -> dict[str, FieldType]:
    """The options a YAML may set on a kind, with their types.

    Raises:
        SettingsError: there is no such kind on the shelf.
    """
    return {name: type_ for name, type_ in field_types(kind_class(shelf, kind)).items() if name not in parts_on(shelf)}


def split(value: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A shelf entry's kind and options.

    Raises:
        SettingsError: it is neither a kind's name nor a mapping with a ``kind``.
    """
    if isinstance(value, str):
        return value, {}
    if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
        raise SettingsError("expected a kind's name or a mapping with a kind, such as {kind: NAME, option: value}")
    return value["kind"], {name: option for name, option in value.items() if name != "kind"}


def check(shelf: str, value: str | Mapping[str, Any]) -> None:
    """Nothing when ``value`` names a kind and options that exist, with values of their types.

    Raises:
        SettingsError: it does not; the message names the option, and its nearest neighbour.
    """
    kind, given = split(value)
    allowed = options(shelf, kind)
    for name, option in given.items():
        if name in parts_on(shelf):
            raise SettingsError(f"{name}: is filled in by the program and cannot be set")
        if name not in allowed:
            hint = nearest(name, allowed) if allowed else "; it has no options"
            raise SettingsError(f"{name}: unknown option of {kind}{hint}")
        refusal = allowed[name].refusal(option)
        if refusal:
            raise SettingsError(f"{name}: {refusal}")


def build(shelf: str, value: str | Mapping[str, Any], **parts: Any) -> Any:
    """The object a shelf entry describes; of ``parts`` it takes the ones it has fields for.

    Raises:
        SettingsError: unknown kind or option, or an option's value that the kind refuses.
        InputError: the kind needs a part that is not given.
    """
    check(shelf, value)
    kind, given = split(value)
    cls = kind_class(shelf, kind)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    taken = {name: part for name, part in parts.items() if name in fields and part is not None}
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in given and name not in taken:
            raise InputError(
                f"{shelf}/{kind}: needs {'a' if name != 'embedder' else 'an'} {name}, and there is none here"
            )
    frozen = {name: tuple(option) if isinstance(option, list) else option for name, option in given.items()}
    try:
        return cls(**frozen, **taken)
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, InputError) else SettingsError(f"{shelf}/{kind}: {error}") from error


def kind_class(shelf: str, kind: str) -> Any:
    """The dataclass of a kind, imported.

    Raises:
        SettingsError: there is no such kind on the shelf.
    """
    module = _homes(_shelf(shelf).package).get(kind)
    found = _kinds_in(shelf, importlib.import_module(module)) if module is not None else {}
    if kind not in found:
        raise SettingsError(f"unknown {_shelf(shelf).noun} {kind!r}{nearest(kind, kinds(shelf))}")
    return found[kind]


def _shelf(shelf: str) -> Shelf:
    if shelf not in SHELVES:
        raise SettingsError(f"there is no shelf {shelf!r}{nearest(shelf, SHELVES)}")
    return SHELVES[shelf]


@functools.cache
def _homes(package: str) -> dict[str, str]:
    """The module that may hold a kind, by the kind's name: the names of a shelf's files, and those stated in them."""
    home: dict[str, str] = {}
    for path in _files(package):
        name = path.parent.name if path.stem == "__init__" else path.stem
        home |= dict.fromkeys([name, *_STATED.findall(path.read_text(encoding="utf-8"))], f"{package}.{name}")
    return home


def _files(package: str) -> Iterator[Path]:
    for folder in importlib.import_module(package).__path__:
        yield from sorted([*Path(folder).glob("[!_]*.py"), *Path(folder).glob("[!_]*/__init__.py")])


def _kinds_in(shelf: str, module: ModuleType) -> dict[str, Any]:
    """The kinds of one file, or of what a folder's ``__init__`` takes from its own files, by name."""
    own = [
        cls
        for name, cls in vars(module).items()
        if isinstance(cls, type)
        and not name.startswith("_")
        and f"{cls.__module__}.".startswith(f"{module.__name__}.")
        and dataclasses.is_dataclass(cls)
        and callable(getattr(cls, _shelf(shelf).method, None))
    ]
    stated = {str(vars(cls)["kind"]): cls for cls in own if "kind" in vars(cls)}
    unnamed = [cls for cls in own if "kind" not in vars(cls)]
    return stated | ({module.__name__.rpartition(".")[2]: unnamed[0]} if len(unnamed) == 1 else {})
