"""The confined side of the conversation: the program's objects by number, and stubs for what the tests pass.

A request is ``(arguments,)`` or ``(arguments, keywords)`` for the entry point, or ``(operation, number, ...)`` for
another object. A reply is ``("ok", value)``, ``("raise", class, arguments, text, number)`` for an exception of the
program's, or ``("fault", outcome, detail)`` when there will be no further answers; the first two may end in what else
happened, the arguments changed in place and the text printed. In between the program may
``("ask", operation, number, ...)`` for what the tests have passed; the judge then answers ``("ret", value)`` or
``("err", type, arguments)``.
"""

from __future__ import annotations

import builtins
import importlib
import marshal
import operator
import time
import types
from collections.abc import Callable
from typing import Any, NoReturn

from polychromic.sandbox import frames, standard, stubs, wire
from polychromic.sandbox.bases import base_of, content
from polychromic.sandbox.confine import CHANNEL
from polychromic.sandbox.stubs import SPECIALS

TRUSTED = 10_000  # levels of nesting in what the judge sends, which has its own bound
TEXT = 300  # characters of an exception's text
NAME = 100  # characters of a class's name
FETCH_SECONDS = 0.001  # of fetching an iterator's items ahead
ENTRY = 0  # the entry point's number


class Conversation:
    """Answers the judge's requests about one program, and is the codec of what crosses.

    ``end`` reports a last word and leaves the process; ``printed`` gives what was printed since it was last asked.
    """

    is_mutable = staticmethod(standard.is_mutable)

    def __init__(self, end: Callable[[str, str], NoReturn], printed: Callable[[], str]) -> None:
        self.end, self.printed = end, printed
        self.limit, self.depth = 0, 0
        self.table: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.sent: set[int] = set()
        self.lent: dict[int, tuple[int, Any]] = {}

    def open(self, module: dict[str, Any], entry_point: Any, bounds: tuple[int, int]) -> None:
        """Begins with a program whose module has run: its namespace, its entry point, bytes and depth of an answer."""
        self.module, (self.limit, self.depth) = module, bounds
        self.number(entry_point)

    def serve(self) -> NoReturn:
        """Answers until the judge goes away, which raises GoneError."""
        while True:
            self._perform(*self._received())

    def ask(self, operation: str, number: int, *rest: Any) -> Any:
        """What the judge answers for an object that the tests passed; it may ask back in between."""
        frames.send(CHANNEL, wire.encode(("ask", operation, number, *rest), 2**30, self.depth + 2, self))
        while True:
            message, shared = self._received()
            if message[0] == "ret":
                return message[1]
            if message[0] == "err":
                raise getattr(builtins, message[1])(*message[2])
            self._perform(message, shared)

    def _received(self) -> tuple[Any, wire.Shared]:
        shared = wire.Shared()
        return wire.decode(frames.receive(CHANNEL, 2**30), TRUSTED, self, shared), shared

    def rehearse(self, frame: bytes) -> bytes:
        """The reply to a request that is not sent."""
        shared = wire.Shared()
        return self._reply(wire.decode(frame, TRUSTED, self, shared), shared)

    def _perform(self, request: tuple[Any, ...], shared: wire.Shared) -> None:
        frames.send(CHANNEL, self._reply(request, shared))

    def _reply(self, request: tuple[Any, ...], shared: wire.Shared) -> bytes:
        before = _snapshot(request) if shared.items else None
        try:
            if type(request[0]) is str:
                value = getattr(self, "do_" + request[0])(*request[1:])
            else:
                value = self.table[ENTRY](*request[0], **(request[1] if len(request) == 2 else {}))
            reply: tuple[Any, ...] = ("ok", value)
        except SystemExit as error:
            self.end("exited", words(error))
        except BaseException as error:  # noqa: BLE001 - the program may raise anything
            reply = ("raise", *self._error(error))
        known, changes = None, {}
        if shared.items:
            known = wire.Shared(shared.items)
            if before is None or _snapshot(request) != before:
                changes = {place: standard.held_by(item) for place, item in enumerate(shared.items)}
        if (printed := self.printed()) or changes:
            reply = (*reply, changes, printed)
        return self._encoded(reply, known)

    def _encoded(self, reply: tuple[Any, ...], known: wire.Shared | None) -> bytes:
        try:
            return wire.encode(reply, self.limit, self.depth + 1, self, known)
        except wire.WireError as error:
            if reply[0] == "raise":  # its arguments are too much
                return wire.encode((*reply[:2], None, *reply[3:5]), self.limit, self.depth, self)
            self.end("output_limit" if isinstance(error, wire.TooLargeError) else "not_plain_data", str(error))
        except MemoryError:
            self.end("memory", "out of memory in the answer")

    # The codec.

    def number(self, value: Any) -> int:
        """The number of an object, which is kept from now on."""
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.table)
            self.table.append(value)
        return self.numbers[id(value)]

    def describe(self, value: Any) -> tuple[str, Any]:
        """Name and payload of what the judge shall get for ``value``; an object is named by its number and class."""
        found = standard.describe(value)
        if found is not None:
            return found
        kind = type(value)
        if id(value) in self.lent:
            return "yours", self.lent[id(value)][0]
        if issubclass(kind, type):
            return "class", self._class(value)
        if issubclass(kind, BaseException):
            return "error", self._error(value)
        if kind is types.CoroutineType:
            return "coroutine", self.number(value)
        base = base_of(kind)
        if base is not None:
            return "held", (self.number(value), kind, content(value, base))
        return "object", (self.number(value), kind)

    def _class(self, kind: type) -> tuple[Any, ...]:
        number = self.number(kind)
        if number in self.sent:
            return (number,)
        self.sent.add(number)
        own = [name for name in SPECIALS if getattr(kind, name, None) not in (None, getattr(object, name, None))]
        if "__eq__" in own and _compares_fields(kind):
            own.append("fields")
        return number, kind.__name__[:NAME], kind.__module__ == "builtins", kind.__bases__, tuple(own)

    def _error(self, error: BaseException) -> tuple[Any, ...]:
        kind = type(error)
        number = -1 if kind in standard.NAMES else self.number(error)
        return kind, error.args, words(error), number

    def build(self, name: str, payload: Any) -> Any:
        """What the judge sends: an object of the program's, a standard value or function, or a stub."""
        if name == "yours":
            return self.table[payload]
        if name == "global":
            return operator.attrgetter(payload[1])(importlib.import_module(payload[0]))
        if name == "error":
            return payload[0](*payload[1])
        if name == "lent":
            stub = stubs.stub(self.ask, *payload)
            self.lent[id(stub)] = payload[0], stub
            return stub
        return standard.build(name, payload)

    # The operations.

    def do_call(self, number: int, arguments: Any, keywords: Any) -> Any:
        """The result of calling an object."""
        return self.table[number](*arguments, **keywords)

    def do_get(self, number: int, name: str) -> Any:
        """An attribute."""
        return getattr(self.table[number], name)

    def do_set(self, number: int, name: str, value: Any) -> None:
        """Sets an attribute."""
        setattr(self.table[number], name, value)

    def do_delete(self, number: int, name: str) -> None:
        """Deletes an attribute."""
        delattr(self.table[number], name)

    def do_special(self, number: int, name: str, arguments: Any) -> Any:
        """What a special method returns, looked up as the interpreter does."""
        value = self.table[number]
        return getattr(type(value), name)(value, *arguments)

    def do_next(self, number: int, count: int) -> tuple[list[Any], bool, BaseException | None]:
        """Up to ``count`` items of an iterator, fewer if it is slow; whether it ended; what it raised."""
        items: list[Any] = []
        iterator, started = self.table[number], time.monotonic()
        try:
            while len(items) < count and (not items or time.monotonic() - started < FETCH_SECONDS):
                items.append(next(iterator))
        except StopIteration:
            return items, True, None
        except Exception as error:  # noqa: BLE001 - the program may raise anything
            return items, True, error
        return items, False, None

    def do_state(self, number: int) -> dict[str, Any]:
        """The attributes of an object, of a dataclass those that it compares."""
        value = self.table[number]
        fields = getattr(type(value), "__dataclass_fields__", None)
        if fields is not None:
            return {name: getattr(value, name) for name, field in fields.items() if field.compare}
        slots = [name for kind in type(value).__mro__ for name in _slots(kind) if hasattr(value, name)]
        return {name: getattr(value, name) for name in slots} | getattr(value, "__dict__", {})

    def do_names(self, _: int, names: Any) -> dict[str, Any]:
        """Where those of ``names`` come from that the program's module defines, with the value if it is its own."""
        return {name: _origin(name, self.module[name]) for name in names if name in self.module}

    def do_await(self, number: int) -> Any:
        """The result of a coroutine."""
        return importlib.import_module("asyncio").run(self.table[number])


def words(error: BaseException) -> str:
    """An exception's text, shortened, after its class's name if that is not a built-in."""
    own = "" if type(error).__module__ == "builtins" else f"{type(error).__name__}: "
    try:
        return f"{own}{error}"[:TEXT]
    except BaseException:  # noqa: BLE001 - a program's own __str__
        return own


def _origin(name: str, value: Any) -> tuple[str, Any]:
    """``("module", its name)``, ``("import", module)`` for something imported from there, or ``("own", value)``."""
    if isinstance(value, types.ModuleType):
        return "module", value.__name__
    module = getattr(value, "__module__", None)
    if module in standard.MODULES and getattr(value, "__name__", None) == name:
        return "import", module
    return "own", value


def _snapshot(request: tuple[Any, ...]) -> bytes | None:
    """Equal for equal requests; None where one holds more than built-ins (it is then taken to have changed)."""
    try:
        return marshal.dumps(request, 2)
    except ValueError:
        return None


def _slots(kind: type) -> Any:
    slots = kind.__dict__.get("__slots__", ())
    return [slots] if isinstance(slots, str) else slots


def _compares_fields(kind: type) -> bool:
    """Whether ``==`` is the one that dataclasses write."""
    parameters = kind.__dict__.get("__dataclass_params__")
    code = getattr(kind.__dict__.get("__eq__"), "__code__", None)
    return bool(parameters and parameters.eq) and getattr(code, "co_filename", "") == "<string>"
