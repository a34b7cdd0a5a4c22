"""The tests' own callables, iterators and objects that a program is lent, and what it may do with them.

It may call a callable, take the next item of an iterator, and read, set and call public attributes of an object whose
class the tests define. What it gets of them crosses under the same rules: no frame, code, module or function ever does.
"""

from __future__ import annotations

import operator
import sys
import types
from typing import Any

from polychromic.sandbox.stubs import SPECIALS
from polychromic.sandbox.wire import WireError

SPACE = "judge"
"""The module name of what the tests and the task's own code define."""
_NEVER = (types.FrameType, types.CodeType, types.ModuleType, types.TracebackType, types.CoroutineType)


class Lent:
    """Objects by number."""

    def __init__(self) -> None:
        self.table: list[tuple[Any, str]] = []
        self.numbers: dict[int, int] = {}

    def describe(self, value: Any) -> tuple[str, Any]:
        """Name and payload under which the program gets ``value``.

        Raises:
            WireError: it may not.
        """
        found = _standard_name(value)
        if found is not None:
            return "global", found
        kind, name = _kind(value), str(getattr(value, "__name__", type(value).__name__))
        if not kind:
            raise WireError(f"{type(value).__name__[:60]} is not plain data")
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.table)
            self.table.append((value, kind))
        own = tuple(special for special in SPECIALS if _has(type(value), special)) if kind != "call" else ()
        return "lent", (self.numbers[id(value)], name, kind, own)

    def use(self, number: int, operation: str, rest: tuple[Any, ...]) -> Any:
        """The result of what the program asks for.

        Raises:
            WireError: it may not.
        """
        if not 0 <= number < len(self.table):
            raise WireError("garbled data (number)")
        value, kind = self.table[number]
        match operation, rest:
            case "call", (tuple(arguments), dict(keywords)) if kind == "call":
                return value(*arguments, **keywords)
            case "special", (str(name), tuple(arguments)) if kind == "object" and name in SPECIALS:
                return getattr(type(value), name)(value, *arguments)
            case "special", ("__next__", ()) if kind == "iterator":
                return next(value)
            case "special", (str(name), tuple(arguments)) if kind == "iterator" and name == "__length_hint__":
                return operator.length_hint(value)
            case "get", (str(name),) if kind == "object" and not name.startswith("_"):
                return getattr(value, name)
            case "set", (str(name), content) if kind == "object" and not name.startswith("_"):
                return setattr(value, name, content)
        raise WireError("garbled data (use)")


def _kind(value: Any) -> str:
    """``call``, ``iterator`` or ``object``; "" for what no program may have."""
    kind = type(value)
    if isinstance(value, _NEVER):
        return ""
    if kind.__module__ == SPACE:
        return "object"
    if hasattr(kind, "__next__"):
        return "iterator"
    return "call" if callable(value) else ""


def _has(kind: type, special: str) -> bool:
    return getattr(kind, special, None) not in (None, getattr(object, special, None))


def _standard_name(value: Any) -> tuple[str, str] | None:
    """Module and name of a function or class of the standard library (or numpy), which the program has as well."""
    owner = getattr(value, "__objclass__", None) or value
    module, name = getattr(owner, "__module__", None), getattr(value, "__qualname__", None)
    if type(module) is not str or type(name) is not str or module == SPACE:
        return None
    if module.split(".")[0] not in (*sys.stdlib_module_names, "numpy") or module not in sys.modules:
        return None
    try:
        return (module, name) if operator.attrgetter(name)(sys.modules[module]) is value else None
    except AttributeError:
        return None
