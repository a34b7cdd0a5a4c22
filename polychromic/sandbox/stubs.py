"""What a program gets in the place of a callable, an iterator or an object of the tests': each use asks the judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OPERATORS = tuple(
    f"__{name}__"
    for stem in [
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "pow",
        "matmul",
        "and",
        "or",
        "xor",
        "lshift",
        "rshift",
    ]
    for name in (stem, "r" + stem, "i" + stem)
)
"""Special methods that are given another operand."""
ORDERINGS = ("__lt__", "__le__", "__gt__", "__ge__")
READINGS = (
    "__call__ __len__ __iter__ __next__ __reversed__ __getitem__ __setitem__ __delitem__ __bool__ __int__ __float__ "
    "__index__ __complex__ __round__ __floor__ __ceil__ __trunc__ __neg__ __pos__ __abs__ __invert__ __str__ "
    "__repr__ __format__ __bytes__ __enter__ __exit__"
)
SPECIALS = (*READINGS.split(), *OPERATORS, *ORDERINGS, "__contains__", "__eq__")
"""The special methods that one side may use on an object of the other's."""

Ask = Callable[..., Any]


def stub(ask: Ask, number: int, name: str, kind: str, specials: tuple[str, ...]) -> Any:
    """A stand-in for the judge's object ``number``: a function (kind ``call``), an iterator or an object."""
    if kind == "call":
        return _function(ask, number, name)
    namespace: dict[str, Any] = {special: _special(ask, number, special) for special in specials}
    if kind == "object":
        namespace["__getattr__"] = lambda self, attribute: ask("get", number, attribute)
        namespace["__setattr__"] = lambda self, attribute, value: ask("set", number, attribute, value)
        namespace["__hash__"] = object.__hash__
    else:
        namespace["__iter__"] = lambda self: self
    return type(name, (), namespace)()


def _function(ask: Ask, number: int, name: str) -> Any:
    def function(*arguments: Any, **keywords: Any) -> Any:
        return ask("call", number, arguments, keywords)

    function.__name__ = function.__qualname__ = name
    return function


def _special(ask: Ask, number: int, special: str) -> Any:
    return lambda self, *arguments: ask("special", number, special, arguments)
