"""The program's classes and objects as the tests see them: local stand-ins whose every use is a request.

What a test is told is the program's answer; what it concludes is decided here. So ``==`` never asks the program: an
object equals itself, and one of the same class with the same attributes. Operators that would hand the program the
value that the test expects (``answer - 3.5``, ``3 in answer``) are passed on only to objects of classes that the
tests name themselves. Everything else is refused, which ends the program as ``not_plain_data``.
"""

from __future__ import annotations

import types
from typing import Any, NoReturn, Protocol

from polychromic.sandbox import standard, wire
from polychromic.sandbox.bases import base_of
from polychromic.sandbox.stubs import OPERATORS, ORDERINGS, SPECIALS

MOST_FETCHED = 256  # items of an iterator in one request
ONE_BY_ONE = 16  # so many are fetched one at a time first
NEEDS_INPROC = "use judge='inproc'"
NUMBER, ITERATION = " number", " iteration"  # keys that are no attribute's name
_HIDDEN = {"__name__", "__qualname__", "__wrapped__"}  # dunder attributes that are asked for
_GIVEN_OPERANDS = {*OPERATORS, *ORDERINGS, "__contains__"}
_ON_HELD = {"__str__", "__repr__", "__call__", "__enter__", "__exit__"}
_DISGUISES: dict[str, type] = {
    "generator": types.GeneratorType,
    "function": types.FunctionType,
    "method": types.MethodType,
    "builtin_function_or_method": types.BuiltinFunctionType,
    **{kind.__name__: kind for kind in (map, filter, zip, enumerate, reversed)},
}


class Asks(Protocol):
    """What stand-ins need of a session."""

    def request(self, *message: Any) -> Any:
        """The program's answer."""

    def refuse(self, words: str) -> NoReturn:
        """Ends the program."""

    def throw(self, error: BaseException) -> NoReturn:
        """Raises what the program raised."""

    def named(self, kind: type) -> bool:
        """Whether the tests name this class of the program's."""


class RemoteClass(type):
    """The class of the program's classes."""

    __asks__: Asks
    __number__: int

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        """A new object, made by the program."""
        if "__number__" not in cls.__dict__:
            cls.__asks__.refuse(f"the tests derive a class from one of the program's: {NEEDS_INPROC}")
        return cls.__asks__.request("call", cls.__number__, arguments, keywords)

    def __getattr__(cls, name: str) -> Any:
        """A class attribute."""
        if name.startswith("__"):
            raise AttributeError(name)
        return cls.__asks__.request("get", cls.__number__, name)

    def __iter__(cls) -> Any:
        """The members of an enumeration."""
        return cls.__asks__.request("special", cls.__number__, "__iter__", ())

    def __len__(cls) -> Any:
        """Their number."""
        return cls.__asks__.request("special", cls.__number__, "__len__", ())

    def __bool__(cls) -> bool:
        """A class is true."""
        return True

    def __getitem__(cls, key: Any) -> Any:
        """A member of an enumeration by name."""
        return cls.__asks__.request("special", cls.__number__, "__getitem__", (key,))


class Remote:
    """The base of the program's objects."""

    __asks__: Asks
    __specials__: frozenset[str] = frozenset()

    def __getattr__(self, name: str) -> Any:
        """An attribute of the program's object."""
        if name.startswith("__") and name not in _HIDDEN:
            raise AttributeError(name)
        return self.__asks__.request("get", self.__dict__[NUMBER], name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute of the program's object."""
        if name.startswith("__"):
            object.__setattr__(self, name, value)
        else:
            self.__asks__.request("set", self.__dict__[NUMBER], name, value)

    def __delattr__(self, name: str) -> None:
        """Deletes an attribute of the program's object."""
        self.__asks__.request("delete", self.__dict__[NUMBER], name)

    def __hash__(self) -> int:
        """The same for all objects of a class, since equality is decided by attributes."""
        return hash(type(self).__name__)

    def __repr__(self) -> str:
        """A description that asks nobody."""
        return f"<{type(self).__name__} object>"

    def __eq__(self, other: object) -> Any:
        """Whether both are the same object, or of one class with the same attributes; see the module."""
        if self is other:
            return True
        own = "__eq__" in self.__specials__ or "__eq__" in getattr(type(other), "__specials__", ())
        if not own or other is None:
            return False
        if type(other) is type(self):
            states = [self.__asks__.request("state", each.__dict__[NUMBER]) for each in (self, other)]
            if states[0] == states[1] or "fields" in self.__specials__:
                return bool(states[0] == states[1])
        elif "fields" in self.__specials__:
            return NotImplemented
        return self.__asks__.refuse(f"{type(self).__name__} decides itself what equals it: {NEEDS_INPROC}")


def _forwarder(name: str) -> Any:
    def forward(self: Any, *arguments: Any) -> Any:
        if name in _GIVEN_OPERANDS and not self.__asks__.named(type(self)):
            self.__asks__.refuse(
                f"{type(self).__name__} would be asked {name} of what the tests expect: {NEEDS_INPROC}"
            )
        if name == "__exit__":
            arguments = (None, None, None) if arguments[0] is None else (type(arguments[1]), arguments[1], None)
        return self.__asks__.request("special", self.__dict__[NUMBER], name, arguments)

    return forward


def _call(self: Any, *arguments: Any, **keywords: Any) -> Any:
    return self.__asks__.request("call", self.__dict__[NUMBER], arguments, keywords)


def _next(self: Any) -> Any:
    """The next item; from the ``ONE_BY_ONE``-th on some are fetched ahead."""
    state = self.__dict__.setdefault(ITERATION, {})
    while not state.get("waiting"):
        if state.get("over"):
            error, state["error"] = state.get("error"), None
            if error is not None:
                self.__asks__.throw(error)
            raise StopIteration
        fetched = state.get("fetched", 0)
        count = 1 if fetched < ONE_BY_ONE else min(fetched, MOST_FETCHED)
        items, over, error = self.__asks__.request("next", self.__dict__[NUMBER], count)
        state.update(waiting=list(reversed(items)), over=over, error=error, fetched=fetched + len(items))
    return state["waiting"].pop()


_FORWARDERS = {name: _forwarder(name) for name in SPECIALS if name != "__eq__"}
_FORWARDERS |= {"__call__": _call, "__next__": _next}


class Mirrors:
    """The stand-ins of one session, by number, and what makes them."""

    def __init__(self, asks: Asks) -> None:
        self.asks = asks
        self.classes: dict[int, RemoteClass] = {}
        self.objects: dict[int, Any] = {}

    def build(self, name: str, payload: Any) -> Any:
        """The stand-in that is described; None when the name is none of ours.

        Raises:
            WireError: nobody honest would describe it so.
        """
        try:
            match name, payload:
                case "class", (int(number),):
                    return self.classes[number]
                case "class", (int(number), str(title), bool(), tuple(bases), tuple(specials)):
                    disguise = _DISGUISES.get(title) if payload[2] else None
                    return self.classes.get(number) or self._class(number, title, bases, (specials, disguise))
                case "object", (int(number), kind):
                    return self._object(number, kind)
                case "held", (int(number), kind, content):
                    return self._held(number, kind, content)
                case "error", (kind, arguments, str(text), int(number)):
                    return error_of(kind, arguments, text, number)
                case "coroutine", int(number):
                    return self._awaited(number)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise wire.WireError(f"garbled data ({type(error).__name__})") from error
        return None

    def _class(self, number: int, title: str, bases: tuple[Any, ...], traits: tuple[Any, Any]) -> RemoteClass:
        solid = next((base for base in bases if _is_solid(base)), None)
        remote = tuple(base for base in bases if type(base) is RemoteClass)
        allowed = _ON_HELD if solid or any(base.__dict__.get("__held__") for base in remote) else _FORWARDERS.keys()
        specials = frozenset(name for name in traits[0] if name in allowed or name in ("__eq__", "fields"))
        namespace: dict[str, Any] = {name: _FORWARDERS[name] for name in specials if name in _FORWARDERS}
        if "__next__" in namespace:
            namespace["__iter__"] = lambda self: self
        if "__iter__" in namespace:
            namespace.pop("__contains__", None)  # the items are looked through here
        if traits[1] is not None:
            namespace["__class__"] = property(lambda self: traits[1])
        namespace |= {"__asks__": self.asks, "__number__": number, "__specials__": specials}
        namespace |= {"__held__": allowed is _ON_HELD, "__module__": "candidate"}
        parents = (*((solid,) if solid else ()), *(remote or (Remote,)))
        try:
            made = RemoteClass(title, parents, namespace)
        except TypeError:  # bases in an order that ours do not allow
            made = RemoteClass(title, (*((solid,) if solid else ()), Remote), namespace)
        self.classes[number] = made
        return made

    def _object(self, number: int, kind: Any) -> Any:
        if number not in self.objects:
            if type(kind) is not RemoteClass or kind.__dict__["__held__"]:
                raise wire.WireError("garbled data (class)")
            self.objects[number] = _numbered(_blank(kind), number)
        return self.objects[number]

    def _held(self, number: int, kind: Any, content: Any) -> Any:
        """An instance of a built-in's subclass: the data is here, everything else is asked for."""
        base = type(content)
        if type(kind) is not RemoteClass or not issubclass(kind, base) or base_of(kind) is not base:
            raise wire.WireError("garbled data (class)")
        made = _blank(kind) if base in (list, dict, set, bytearray) else _blank(kind, content)
        if base in (list, bytearray):
            base.extend(made, content)
        elif base in (dict, set):
            base.update(made, content)
        return _numbered(made, number)

    def _awaited(self, number: int) -> Any:
        async def remote() -> Any:
            return self.asks.request("await", number)

        return remote()


class ProgramError(Exception):
    """Stands for an exception of the program's that cannot be raised as itself."""


# Exceptions with a meaning to loops and interpreters: raised in a test, they could end it early and look like success.
NEVER_RAISED = (StopIteration, StopAsyncIteration, GeneratorExit, KeyboardInterrupt, SystemExit, BaseExceptionGroup)


def error_of(kind: Any, arguments: Any, text: str, number: int) -> BaseException:
    """An exception like the program's: of its class, with its arguments where they crossed."""
    if not isinstance(kind, type) or not issubclass(kind, BaseException):
        raise wire.WireError("garbled data (exception)")
    name = kind.__name__
    given = arguments if type(arguments) is tuple else (text,)
    if issubclass(kind, NEVER_RAISED):
        return ProgramError(f"{name}: {text}")
    try:
        if type(kind) is RemoteClass:
            return _numbered(_blank(kind, *given), number)
        return kind(*given)
    except (TypeError, ValueError):
        return ProgramError(f"{name}: {text}")


def _blank(kind: Any, *content: Any) -> Any:
    """An instance that no program was asked to make."""
    return kind.__new__(kind, *content)


def _is_solid(base: Any) -> bool:
    """Whether a stand-in may derive from it: a built-in that holds data, or an exception."""
    return base in standard.NAMES and (base_of(base) is base or issubclass(base, BaseException))


def _numbered(value: Any, number: int) -> Any:
    value.__dict__[NUMBER] = number
    return value


def number_of(value: Any) -> int | None:
    """The program's number of a class or object of the program's, None for anything else."""
    if type(value) is RemoteClass:
        found = value.__dict__.get("__number__")
        return found if type(found) is int else None
    if type(type(value)) is RemoteClass:
        return getattr(value, "__dict__", {}).get(NUMBER)
    return None
