"""The folder is the registry: a file NAME.py of a shelf is the kind NAME, its public dataclass's fields the options.

What kinds and options there are is read from the source; a shelf's file is imported only when it is built.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polychromic
from polychromic.core.errors import InputError, SettingsError
from polychromic.settings.fields import ANYTHING, FieldType, class_fields, classes, nearest, source_of, tree_of

SHELVES = {
    "samplers": ("polychromic.samplers", "sample"),
    "rewards": ("polychromic.rewards", "evidence"),
    "gates": ("polychromic.gates", "validity"),
    "tasks": ("polychromic.tasks", "verify"),
    "metrics": ("polychromic.metrics", "measure"),
    "scorers": ("polychromic.code.scorers", "scores"),
    "demonstration": ("polychromic.objective.demonstration", ""),
}
"""Shelf: its package, and the method that tells its dataclass from helpers in the same file."""
PARTS = frozenset({"embedder", "task", "reference", "demonstrations", "model", "tokenizer"})
"""Fields that the wiring fills; no YAML may. A task takes no parts, so there the same names are options."""
BUILT_IN = {"demonstration": "nll"}
"""Kinds without a file: the negative log-likelihood is the trainer's own loss."""

Entry = tuple[Path, ast.ClassDef]


def kinds(shelf: str) -> list[str]:
    """The kinds on a shelf, sorted."""
    package, _ = _shelf(shelf)
    folder = Path(polychromic.__path__[0]).joinpath(*package.split(".")[1:])
    names = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    found = {name for name in names if not name.startswith("_") and _entry(shelf, name) is not None}
    return sorted(found | ({BUILT_IN[shelf]} if shelf in BUILT_IN else set()))


def parts_on(shelf: str) -> frozenset[str]:
    """The fields of a shelf's kinds that the wiring fills."""
    return frozenset() if shelf == "tasks" else PARTS


def options(shelf: str, kind: str) -> dict[str, FieldType] | None:
    """The options a YAML may set on a kind, with their types; None when they cannot be told from the source.

    Raises:
        SettingsError: there is no such kind on the shelf.
    """
    entry = _entry(shelf, kind)
    if entry is None and BUILT_IN.get(shelf) == kind:
        return {}
    if entry is None:
        raise SettingsError(f"{kind!r} is no kind of {shelf}{nearest(kind, kinds(shelf))}")
    path, node = entry
    found = _fields(path, node)
    return None if found is None else {name: kind for name, kind in found.items() if name not in parts_on(shelf)}


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
        if allowed is None:
            continue
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
    unknown = [name for name in given if name not in fields]
    if unknown:
        raise SettingsError(
            f"{unknown[0]}: unknown option of {kind}{nearest(unknown[0], set(fields) - parts_on(shelf))}"
        )
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
    entry = _entry(shelf, kind)
    if entry is None:
        raise SettingsError(f"{kind!r} is no kind of {shelf}{nearest(kind, kinds(shelf))}")
    module = importlib.import_module(f"{_shelf(shelf)[0]}.{kind}")
    return getattr(module, entry[1].name)


def _shelf(shelf: str) -> tuple[str, str]:
    if shelf not in SHELVES:
        raise SettingsError(f"there is no shelf {shelf!r}{nearest(shelf, SHELVES)}")
    return SHELVES[shelf]


def _entry(shelf: str, kind: str) -> Entry | None:
    """The file and class of a kind; None when the name is no kind."""
    package, method = _shelf(shelf)
    if not kind.isidentifier() or kind.startswith("_"):
        return None
    path = source_of(f"{package}.{kind}")
    if path is None:
        return None
    found = [(path, node) for node in classes(path).values()]
    if path.name == "__init__.py":
        found += _exported(path)
    public = [(file, node) for file, node in found if _is_dataclass(node) and not node.name.startswith("_")]
    if method:
        public = [(file, node) for file, node in public if _has_method(file, node, method)]
    return public[0] if len(public) == 1 else None


def _exported(init: Path) -> list[Entry]:
    """The classes a folder's ``__init__`` takes from its own files."""
    found = []
    for node in tree_of(init).body:
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        source = source_of(node.module)
        if source is not None and source != init and init.parent in source.parents:
            found += [(source, classes(source)[name.name]) for name in node.names if name.name in classes(source)]
    return found


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any(ast.unparse(mark).partition("(")[0].endswith("dataclass") for mark in node.decorator_list)


def _has_method(path: Path, node: ast.ClassDef, method: str) -> bool:
    """Whether the class defines or inherits the method; a base that cannot be read is believed to have it."""
    if any(isinstance(item, ast.FunctionDef) and item.name == method for item in node.body):
        return True
    return any(base is None or _has_method(*base, method) for base in _bases(path, node))


def _bases(path: Path, node: ast.ClassDef) -> list[Entry | None]:
    return [_class_named(path, ast.unparse(base)) for base in node.bases]


def _class_named(path: Path, name: str) -> Entry | None:
    """The class of that name as the file knows it: its own, or imported from a file that can be found."""
    if name in classes(path):
        return path, classes(path)[name]
    for node in tree_of(path).body:
        if isinstance(node, ast.ImportFrom) and node.module and name in {part.name for part in node.names}:
            source = source_of(node.module)
            return (source, classes(source)[name]) if source is not None and name in classes(source) else None
    return None


def _fields(path: Path, node: ast.ClassDef) -> dict[str, FieldType] | None:
    found: dict[str, FieldType] = {}
    for base in _bases(path, node):
        inherited = None if base is None else _fields(*base)
        if inherited is None:
            return None
        found |= inherited
    return found | {name: kind or ANYTHING for name, kind in class_fields(node)}
