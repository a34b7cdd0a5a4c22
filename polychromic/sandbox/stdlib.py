"""The standard library in memory: what programs may import although they cannot open files.

Modules in common use are imported before the fork. The rest of the pure-Python library is held as byte code in one
file mapping, which a fork neither copies nor touches, and is imported from there when a program asks. What needs files
of its own (extension modules, numpy) is imported before the fork as well, but in a second, larger zygote: a fork costs
by the page and by the mapping, and few programs want it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import marshal
import mmap
import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import NoReturn

_USUAL = """
bisect cmath codecs collections.abc contextlib copy ctypes dataclasses datetime decimal enum fractions functools gc
heapq io itertools math numbers operator os random re reprlib signal socket string struct sys time traceback types
typing warnings weakref _bisect _datetime _decimal _heapq _random _socket _strptime _struct encodings.ascii
encodings.latin_1 encodings.utf_8
"""
_RARE = """
_blake2 _bz2 _contextvars _csv _elementtree _hashlib _json _lzma _md5 _opcode _pickle _posixsubprocess _queue _sha1
_sha2 _sha256 _sha3 _sha512 _statistics _uuid _zoneinfo array binascii fcntl grp hashlib json mmap pyexpat resource
select statistics termios unicodedata zlib
"""
_SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip"}
_SKIPPED |= {"lib2to3", "pydoc_data", "distutils", "venv", "lib-dynload", "__pycache__", "idle_test", "config"}
OURS = ("polychromic.sandbox.loops",)  # imported with the module it is for
_HEADER = 16  # bytes of a .pyc file before the code


class Archive:
    """An importer for modules kept as byte code; asked for one that is ``elsewhere`` it calls ``leave``."""

    def __init__(self, elsewhere: frozenset[str] = frozenset(), leave: Callable[[], NoReturn] = sys.exit) -> None:
        self.elsewhere, self.leave = elsewhere, leave
        self.places: dict[str, tuple[int, int, bool]] = {}
        with open(_nameless_file(), "w+b") as file:
            for name, path, package in _modules(os.path.dirname(os.__file__), ""):
                start = file.tell()
                self.places[name] = (start, file.write(_byte_code(name, path)), package)
            for name in OURS:
                start, path = file.tell(), f"{os.path.dirname(__file__)}/{name.rpartition('.')[2]}.py"
                self.places[name] = (start, file.write(_byte_code(name, path)), False)
            file.flush()
            # private: what a program may write there is seen by no other
            self._memory = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The import system's question; None for what is not here."""
        if name in self.elsewhere:
            self.leave()
        if name not in self.places:
            return None
        return ModuleSpec(name, self, origin="memory", is_package=self.places[name][2])  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leaves the making of the module to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        """Runs the module's code."""
        start, size, _ = self.places[module.__name__]
        exec(marshal.loads(self._memory[start : start + size]), module.__dict__)
        if module.__name__ == "asyncio":
            importlib.import_module("polychromic.sandbox.loops").install()


def _nameless_file() -> int:
    """A descriptor of a file in memory, or else of a temporary file without a name."""
    with contextlib.suppress(OSError, AttributeError):
        return os.memfd_create("stdlib")
    return os.dup(importlib.import_module("tempfile").TemporaryFile().fileno())


def _modules(folder: str, prefix: str) -> Iterator[tuple[str, str, bool]]:
    """Name, path and whether it is a package, of every pure-Python module below ``folder``."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            stem, extension = os.path.splitext(entry.name)
            if entry.name.split("-")[0] in _SKIPPED or not stem.isidentifier():
                continue
            if entry.is_dir():
                init = os.path.join(entry.path, "__init__.py")
                if os.path.exists(init):
                    yield prefix + stem, init, True
                    yield from _modules(entry.path, f"{prefix}{stem}.")
            elif extension == ".py" and stem != "__init__":
                yield prefix + stem, entry.path, False


def _byte_code(name: str, path: str) -> bytes:
    """Marshalled code, from the interpreter's own cache where that is up to date."""
    with contextlib.suppress(OSError, NotImplementedError):
        with open(importlib.util.cache_from_source(path), "rb") as file:
            data = file.read()
        status = os.stat(path)
        stamp = (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
        size = (status.st_size & 0xFFFFFFFF).to_bytes(4, "little")
        if data[:_HEADER] == importlib.util.MAGIC_NUMBER + bytes(4) + stamp + size:
            return data[_HEADER:]
    with contextlib.suppress(SyntaxError, OSError):
        return marshal.dumps(SourceFileLoader(name, path).get_code(name))
    return marshal.dumps(compile("raise ImportError('cannot be compiled')", path, "exec"))


def load(modules: tuple[str, ...]) -> None:
    """Makes the standard library and ``modules`` importable without files, for this process and its children.

    Raises:
        ImportError: one of ``modules`` is not to be had.
    """
    for name in _RARE.split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in modules:
        importlib.import_module(name)
    _load_usual(Archive())


def load_usual(modules: tuple[str, ...], leave: Callable[[], NoReturn]) -> None:
    """The same for what most programs want; a child that imports another one, or of ``modules``, calls ``leave``."""
    _load_usual(Archive(frozenset((*_RARE.split(), *modules)), leave))


def _load_usual(archive: Archive) -> None:
    for name in _USUAL.split():
        importlib.import_module(name)
    time.localtime()
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, archive]  # type: ignore[list-item]
    sys.path.clear()
    sys.path_importer_cache.clear()
