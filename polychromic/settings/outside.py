"""Kinds from outside the package: ``./file.py:Name``, ``package.module:Name`` and installed entry points.

A file's name is looked for in the folder of the configuration that names it. What it holds runs with the rights of
the person who named it, as every import does; it is imported when the configuration is checked.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from polychromic.core.errors import SettingsError
from polychromic.settings.introspection import nearest

_FILE = re.compile(r"^(.+\.py):([A-Za-z_]\w*)$")


def load(kind: str) -> Any:
    """The class, function or object that ``WHERE:Name`` stands for.

    Raises:
        SettingsError: there is no such file or module, importing it fails, or it holds nothing of that name.
    """
    where, _, name = kind.rpartition(":")
    try:
        module = _of_file(Path(where).expanduser()) if where.endswith(".py") else importlib.import_module(where)
    except SettingsError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise SettingsError(f"{kind}: cannot be imported: {type(error).__name__}: {reason}") from error
    if not hasattr(module, name):
        public = [each for each in vars(module) if not each.startswith("_")]
        raise SettingsError(f"{kind}: {where} has no {name}{nearest(name, public)}")
    return getattr(module, name)


def _of_file(path: Path) -> ModuleType:
    """The file as a module, imported once for each content that it has."""
    if not path.is_file():
        raise SettingsError(f"there is no file {path}")
    name = f"{path.stem}_{hashlib.sha256(str(path.resolve()).encode() + path.read_bytes()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def installed(shelf: str) -> dict[str, metadata.EntryPoint]:
    """The entry points of the group ``polychromic.SHELF`` that installed packages declare, by name.

    Raises:
        SettingsError: two packages declare one name.
    """
    found: dict[str, metadata.EntryPoint] = {}
    for point in metadata.entry_points(group=f"polychromic.{shelf}"):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise SettingsError(
                f"two packages declare {point.name} in polychromic.{shelf}: {other.value}, {point.value}"
            )
    return found


def anchored(value: Any, folder: Path) -> Any:
    """A shelf entry whose files, ``./mine.py:Name`` at any depth, are named from the root, looked for in ``folder``."""
    if isinstance(value, Mapping):
        return {key: anchored(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [anchored(item, folder) for item in value]
    if isinstance(value, str) and (found := _FILE.match(value)):
        return f"{(folder / Path(found[1]).expanduser()).resolve()}:{found[2]}"
    return value


def inside(built: Any) -> Iterator[Any]:
    """What was built, and every kind or function inside it, such as the parts of a mixture."""
    if isinstance(built, tuple | list):
        for item in built:
            yield from inside(item)
    elif isinstance(built, FunctionType):
        yield built
    elif dataclasses.is_dataclass(built) and not isinstance(built, type):
        yield built
        for field in dataclasses.fields(built):
            yield from inside(getattr(built, field.name))


def digests(built: Any) -> dict[str, str]:
    """The file of every kind or function from outside the package in what was built, with its content's SHA-256."""
    found = {
        Path(inspect.getfile(home)).resolve()
        for kind in inside(built)
        if not (home := kind if isinstance(kind, FunctionType) else type(kind)).__module__.startswith("polychromic.")
    }
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(found)}
