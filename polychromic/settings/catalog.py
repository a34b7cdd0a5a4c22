"""The folder is the registry: a file on a shelf holds kinds, and a kind's dataclass fields are its options.

A kind is a public frozen dataclass that keeps the shelf's contract. Its name is the ``kind`` that it states
(``kind: ClassVar[str] = "jaccard"``), else that of its file, so one file may hold several. Only the file of the kind
that is asked for is imported, and no file on a shelf imports torch before it is used. From outside the package come
``./file.py:Name``, ``package.module:Name``, and the names that installed packages declare as entry points.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, get_args

from polychromic.core import protocols
from polychromic.core.errors import InputError, SettingsError
from polychromic.settings import outside
from polychromic.settings.functions import function_kind
from polychromic.settings.introspection import FieldType, field_types, nearest


class Shelf(NamedTuple):
    """A shelf's package, the method that tells its kinds from helpers in the same file, and what one kind is called.

    ``contract`` is the protocol that each kind keeps.
    """

    package: str
    method: str
    noun: str
    contract: type


SHELVES = {
    "samplers": Shelf("polychromic.samplers", "sample", "sampler", protocols.Sampler),
    "rewards": Shelf("polychromic.rewards", "evidence", "reward", protocols.Reward),
    "gates": Shelf("polychromic.gates", "validity", "gate", protocols.Gate),
    "tasks": Shelf("polychromic.tasks", "verify", "task", protocols.Task),
    "metrics": Shelf("polychromic.metrics", "measure", "metric", protocols.Metric),
    "post_processing": Shelf(
        "polychromic.code.post_processing", "program", "post-processing", protocols.PostProcessing
    ),
    "scorers": Shelf("polychromic.code.scorers", "scores", "scorer", protocols.Scorer),
    "demonstration": Shelf(
        "polychromic.objective.demonstration", "loss", "demonstration loss", protocols.DemonstrationLoss
    ),
}
PARTS = frozenset({"embedder", "task", "reference", "references", "demonstrations", "model", "tokenizer"})
"""Fields that the wiring fills; no YAML may. A task takes no parts, so there the same names are options."""
Entry = str | Mapping[str, Any] | object
"""What names a kind: its name, a mapping with its options, or in Python the kind itself: object, class or function."""
_STATED = re.compile(r'^    kind: ClassVar\[str\] = "(\w+)"', re.MULTILINE)


def kinds(shelf: str) -> list[str]:
    """The kinds on a shelf and those that installed packages declare, sorted; imports all of the shelf's files."""
    homes = _homes(_shelf(shelf).package)
    own = {name for name, module in homes.items() if name in _kinds_in(shelf, importlib.import_module(module))}
    return sorted(own | set(outside.installed(shelf)))


def parts_on(shelf: str) -> frozenset[str]:
    """The fields of a shelf's kinds that the wiring fills."""
    return frozenset() if shelf == "tasks" else PARTS


def options(shelf: str, kind: str) -> dict[str, FieldType]:
    """The options a YAML may set on a kind, with their types.

    Raises:
        SettingsError: there is no such kind on the shelf.
    """
    return _options_of(shelf, kind_class(shelf, kind))


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


def check(shelf: str, value: Entry) -> None:
    """Nothing when ``value`` describes a kind that keeps its contract, with options that it takes.

    Raises:
        SettingsError: it does not; the message names the option, and its nearest neighbour.
    """
    outline(shelf, value)


def outline(shelf: str, value: Entry) -> Any:
    """The kind built with its parts left open: it tells what it is and needs, and cannot work yet.

    Raises:
        SettingsError: unknown kind or option, an option's value that the kind refuses, or a broken contract.
    """
    built = build(shelf, value, **dict.fromkeys(parts_on(shelf), _Open()))
    _refuse_wrong_facts(_name_of(value), built)
    return built


def build(shelf: str, value: Entry, **parts: Any) -> Any:
    """The object a shelf entry describes; of ``parts`` it takes the ones it has fields for.

    An object that keeps the contract is taken as it is.

    Raises:
        SettingsError: unknown kind or option, or an option's value that the kind refuses.
        InputError: the kind needs a part that is not given.
    """
    if not isinstance(value, str | Mapping | type | FunctionType):
        refuse_incomplete(shelf, _name_of(value), value)
        return value
    kind, given = split(value) if isinstance(value, str | Mapping) else (_name_of(value), {})
    cls = kind_class(shelf, kind) if isinstance(value, str | Mapping) else _as_class(shelf, kind, value)
    _check_options(shelf, kind, cls, given)
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
        SettingsError: there is no such kind on the shelf, or what is brought from outside breaks the contract.
    """
    if ":" in kind:
        return _as_class(shelf, kind, outside.load(kind))
    module = _homes(_shelf(shelf).package).get(kind)
    found = _kinds_in(shelf, importlib.import_module(module)) if module is not None else {}
    if kind in found:
        return found[kind]
    declared = outside.installed(shelf).get(kind)
    if declared is None:
        raise SettingsError(f"unknown {_shelf(shelf).noun} {kind!r}{nearest(kind, kinds(shelf))}")
    return _as_class(shelf, kind, outside.load(declared.value))


def refuse_incomplete(shelf: str, name: str, kind: Any) -> None:
    """Nothing when a class or object has all that the shelf's contract asks for.

    Raises:
        SettingsError: something is missing.
    """
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    contract = _shelf(shelf).contract
    asked = {fact for base in contract.__mro__ for fact in {**vars(base), **inspect.get_annotations(base)}}
    lacking = sorted(fact for fact in asked - fields if not fact.startswith("_") and not hasattr(kind, fact))
    if lacking:
        raise SettingsError(f"{name}: lacks {', '.join(lacking)}, which a {_shelf(shelf).noun} states")


def _check_options(shelf: str, kind: str, cls: Any, given: Mapping[str, Any]) -> None:
    allowed = _options_of(shelf, cls)
    for name, option in given.items():
        if name in parts_on(shelf):
            raise SettingsError(f"{name}: is filled in by the program and cannot be set")
        if name not in allowed:
            hint = nearest(name, allowed) if allowed else "; it has no options"
            raise SettingsError(f"{name}: unknown option of {kind}{hint}")
        refusal = allowed[name].refusal(option)
        if refusal:
            raise SettingsError(f"{name}: {refusal}")


def _options_of(shelf: str, cls: Any) -> dict[str, FieldType]:
    return {name: kind for name, kind in field_types(cls).items() if name not in parts_on(shelf)}


def _as_class(shelf: str, name: str, found: Any) -> Any:
    """A class or function from outside as a kind's dataclass, which it is or becomes."""
    if isinstance(found, FunctionType):
        return function_kind(shelf, name, found)
    if not isinstance(found, type) or not dataclasses.is_dataclass(found):
        raise SettingsError(f"{name}: is neither a function nor a dataclass")
    if not found.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise SettingsError(f"{name}: can be changed after it is built; make it @dataclass(frozen=True)")
    refuse_incomplete(shelf, name, found)
    return found


def _name_of(value: Entry) -> str:
    if isinstance(value, str | Mapping):
        return split(value)[0]
    return value.__name__ if isinstance(value, type | FunctionType) else type(value).__name__


class _Open:
    """Stands for a part that the wiring fills later, while a kind is only asked what it is."""

    def __getattr__(self, name: str) -> Any:
        raise SettingsError("uses its parts while it is built; they may be used from the first call of its method on")


def _refuse_wrong_facts(name: str, built: Any) -> None:
    """Refuses words of facts that nothing knows, such as a need of ``gpu``."""
    for need in getattr(built, "needs", ()):
        if need not in protocols.NEEDS:
            raise SettingsError(f"{name}: needs {need!r}{nearest(str(need), protocols.NEEDS)}")
    an_option = "form" in {field.name for field in dataclasses.fields(built)}  # reasoning_gym has one of that name
    form = None if an_option else getattr(built, "form", None)
    if form is not None and form not in get_args(protocols.Form):
        raise SettingsError(f"{name}: form is {form!r}{nearest(str(form), get_args(protocols.Form))}")


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
