"""What a kind is by its code and options: the sources its file imports, the libraries they use, the files it names."""

from __future__ import annotations

import ast
import dataclasses
import functools
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import FunctionType
from typing import Any

from polychromic.core.digests import file_digest, text_digest
from polychromic.settings import outside

_OF_A_FILE = re.compile(r"^.+\.py:(\w+)$")


def code_digest(*built: Any) -> str:
    """The digest of all code that decides what these kinds do.

    That is the source of each kind (and of those inside it), of every module of its own package that it imports, at
    any depth, and the versions of Python and of the libraries that those import.
    """
    homes = {_module_of(kind) for each in built for kind in (each, *outside.inside(each))}
    reached: dict[str, Path] = {}
    libraries: set[str] = set()
    waiting = [(name, path) for name in sorted(homes) if (path := _file_of_loaded(name)) is not None]
    while waiting:
        name, path = waiting.pop()
        if name in reached:
            continue
        reached[name] = path
        own, others = _imports(name, path, path.stat().st_mtime_ns)
        waiting += own
        libraries |= others
    parts = [part for name, path in sorted(reached.items()) for part in (_unplaced(name, path), file_digest(path))]
    return text_digest("code", platform.python_version(), *parts, *map(_version, sorted(libraries)))


def options(built: Any, leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
    """The options of a kind as plain values; a file that one names stands there by its content, not by its place."""
    how = getattr(type(built), "__dataclass_params__", None)
    if how is None or not how.frozen:
        return {}
    named = (each.name for each in dataclasses.fields(built) if each.init and each.name not in leave_out)
    return {name: plain(getattr(built, name)) for name in named}


def plain(value: Any) -> Any:
    """A setting's value in which every file is its content's digest."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str | Path):
        return _text(str(value))
    if value is None or isinstance(value, bool | int | float):
        return value
    return options(value) or type(value).__qualname__


def written(value: Any) -> str:
    """A value as one text that is the same in every process, whatever order a set has there."""
    if isinstance(value, set | frozenset):
        return f"{{{','.join(sorted(map(written, value)))}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{written(key)}:{written(item)}' for key, item in value.items())}}}"
    return repr(value)


def _text(value: str) -> str:
    if found := _OF_A_FILE.match(value):
        return found[1]  # the file is part of the code
    try:
        path = Path(value).expanduser()
        return f"file {file_digest(path)}" if value and path.is_file() else value
    except (OSError, ValueError, RuntimeError):
        return value


def _module_of(kind: Any) -> str:
    return str((kind if isinstance(kind, FunctionType) else type(kind)).__module__)


def _file_of_loaded(name: str) -> Path | None:
    """The source of a module that was imported; None for one without, such as what is typed into an interpreter."""
    written = getattr(sys.modules.get(name), "__file__", None)
    return Path(written) if written and written.endswith(".py") and Path(written).is_file() else None


@functools.lru_cache(maxsize=1024)
def _imports(name: str, path: Path, stamp: int) -> tuple[tuple[tuple[str, Path], ...], frozenset[str]]:
    """The modules of its own package that a source imports, with their files, and the names of the others."""
    top = name.partition(".")[0]
    own: dict[str, Path] = {}
    others = set()
    for asked in _asked(name, path):
        first = asked.partition(".")[0]
        if first == top:
            found = _file_in_package(asked)
            own |= {asked: found} if found is not None else {}
        elif first not in sys.stdlib_module_names:
            others.add(first)
    return tuple(own.items()), frozenset(others)


def _asked(name: str, path: Path) -> Iterator[str]:
    """Every module that a source may import by a statement: ``from a import b`` asks for ``a`` and perhaps ``a.b``."""
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            home = ".".join([*above, *([node.module] if node.module else [])])
            yield home
            yield from (f"{home}.{each.name}" for each in node.names)


def _file_in_package(name: str) -> Path | None:
    top, *rest = name.split(".")
    for folder in getattr(sys.modules.get(top), "__path__", ()):
        place = Path(folder, *rest)
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                return path
    return None


def _unplaced(name: str, path: Path) -> str:
    """A module's name; that of a file from outside, which has its place in it, is the file's."""
    return name if "." in name else path.stem


@functools.cache
def _version(library: str) -> str:
    try:
        return f"{library} {metadata.version(library.replace('_', '-'))}"
    except (metadata.PackageNotFoundError, ValueError):
        return library
