"""The judge's end of the channel to one confined program: requests, replies, and what both sides lend each other."""

from __future__ import annotations

import copy
import importlib
import select
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from polychromic.sandbox import frames, standard, wire
from polychromic.sandbox.bases import base_of
from polychromic.sandbox.confine import HELLO
from polychromic.sandbox.endings import SELF_REPORTED, BrokenError, Ended, builtin_name, shown
from polychromic.sandbox.lent import Lent
from polychromic.sandbox.mirror import Mirrors, RemoteClass, error_of, number_of
from polychromic.sandbox.nouns import Limits, Outcome

SLACK = 4096  # bytes of a frame around the answer itself
UNHEARD = b""  # stands for an answer that did not come yet
MOST_REMEMBERED = 2**16  # bytes of an answer that is kept; a larger one is asked for again
FED_BACK = 32  # levels that tests may add to an answer which they hand back as an argument
MOST_NESTED = 100  # calls of the program and of the tests' callables inside each other
ENTRY = 0  # the entry point's number
WORDS = 300  # characters of a detail
PATIENCE = 20.0  # milliseconds of waiting for an answer before what is known is reported


class Session:
    """Requests to one program, the codec of what crosses, and what became of the last call.

    The first answers to the calls named in ``remembered`` (by frame) are kept there, so that a call of the tests need
    not be made again to record the program's behaviour. ``on_wait`` is called before a wait that may be long.
    With ``writes_back`` arguments change as the program changes them, else it works on copies and ``changed`` tells.
    """

    is_mutable = staticmethod(standard.is_mutable)

    def __init__(self, channel: int, limits: Limits) -> None:
        self.channel, self.limits = channel, limits
        self.remembered: dict[bytes, bytes] = {}
        self.on_wait: Callable[[], None] | None = None
        self.calls = self.nested = 0
        self.answered = False
        self.label = ""
        self.arguments: tuple[Any, ...] = ()
        self.answer: tuple[Any, ...] = ()
        self.raised: BaseException | None = None
        self.ended: Ended | None = None
        self.mirrors, self.lent = Mirrors(self), Lent()
        self.trusted: set[type] = set()
        self.writes_back = self.changed = False
        self.stdout = sys.stdout

    def open(self, job: dict[str, Any]) -> Any:
        """What the tests call: sends the program as soon as the child is confined, and waits until its module has run.

        Raises:
            Ended: it did not get that far.
            BrokenError: the child could not be confined.
        """
        try:
            hello = frames.receive(self.channel, SLACK)
        except (frames.GoneError, frames.LongError):
            hello = b""
        if hello != HELLO:
            raise BrokenError("the child could not be confined")
        tests = job["setup"] + "\n" + job["tests"] if job["judge"] == "inproc" else ""
        bounds = (self.limits.output_bytes, self.limits.depth)
        self.label = job["entry_point"]
        self.send(wire.encode((job["judge"], job["source"], job["entry_point"], tests, bounds)))
        entry = self._heard(wire.Shared([]))
        if type(entry) is RemoteClass:
            self.trusted.add(entry)
            return entry
        return Stub(self, job["entry_point"])

    def call(self, *arguments: Any, **keywords: Any) -> Any:
        """What the program answers to these arguments, which it may have changed in place.

        Raises:
            Ended: the program is gone or broke a rule; every later call raises it again.
            Exception: the program raised; as the same built-in type where that is harmless.
        """
        self.calls += 1
        self.arguments, self.answer = arguments, ()
        value = self._asked((arguments, keywords) if keywords else (arguments,))
        self.answer, self.answered = (value,), True
        return value

    def request(self, *message: Any) -> Any:
        """What the program answers about one of its objects: an operation, a number and what belongs to it.

        Raises:
            Ended, Exception: as ``call``.
        """
        self.calls += 1
        if message[0] == "get":
            self.label = message[2]
        elif message[0] == "call":
            self.arguments, self.answer = message[2], ()
        value = self._asked(message)
        self.answered = True
        if message[0] == "call":
            self.answer = (value,)
        return value

    def names(self, names: tuple[str, ...]) -> dict[str, Any]:
        """What the program's module calls so, of those that it defines; classes among them are the tests' subject."""
        try:
            found = {name: _resolved(name, *origin) for name, origin in self._asked(("names", ENTRY, names)).items()}
        except (AttributeError, TypeError, ImportError) as error:
            self._end(Outcome.NOT_PLAIN_DATA, f"garbled names ({error})")
        self.trusted |= {value for value in found.values() if type(value) is RemoteClass}
        return {name: value for name, value in found.items() if name in names}

    def again(self, frame: bytes) -> Any:
        """The first answer to the arguments in ``frame``, from memory where the tests have asked already.

        Raises:
            Ended, Exception: as ``call``.
        """
        heard = self.remembered.get(frame, UNHEARD)
        if heard != UNHEARD and not self.ended:
            return self.understood(frame, heard)
        if self.ended:
            raise self.ended
        self.send(frame)
        return self.understood(frame, self.received(frame))

    def framed(self, message: tuple[Any, ...], shared: wire.Shared | None = None) -> bytes:
        """A request's frame; its containers are entered in ``shared``."""
        return wire.encode(message, 2**30, self.limits.depth + FED_BACK, self, shared or wire.Shared())

    def _asked(self, message: tuple[Any, ...]) -> Any:
        if self.ended:
            raise self.ended
        shared = wire.Shared()
        try:
            frame = self.framed(message, shared)
        except wire.WireError as error:
            if self.answered:  # it may be the program's own answer that the tests hand back
                self._end(Outcome.NOT_PLAIN_DATA, f"an answer that cannot be handed back ({error})")
            self._end(Outcome.HARNESS_ERROR, f"the tests pass what is not plain data ({error}): use judge='inproc'")
        self.send(frame)
        return self._heard(wire.Shared(shared.items), frame)

    def send(self, frame: bytes) -> None:
        """Sends a frame, perhaps before the replies to earlier ones are read."""
        try:
            frames.send(self.channel, frame)
        except frames.GoneError:
            self._end(Outcome.KILLED, "")

    def _heard(self, shared: wire.Shared, frame: bytes | None = None) -> Any:
        """What the program's reply means; until it comes, the program may ask for what it was lent."""
        while True:
            received = self._next_frame()
            reply = self._decoded(received, shared)
            match reply:
                case ("ask", str(operation), int(number), *rest):
                    self.send(self._lend(operation, number, tuple(rest)))
                    continue
            self._remember(frame, received)
            return self._understood(received, shared, reply)

    def _next_frame(self) -> bytes:
        if self.on_wait and not _readable(self.channel, PATIENCE):
            self.on_wait()
        try:
            return frames.receive(self.channel, self.limits.output_bytes + SLACK)
        except frames.GoneError:
            self._end(Outcome.KILLED, "")
        except frames.LongError as error:
            self._end(Outcome.OUTPUT_LIMIT, str(error))

    def received(self, call: bytes) -> bytes:
        """The program's next frame, which should answer ``call``; ``understood`` tells what it means.

        Raises:
            Ended: there is none.
        """
        self.calls += 1
        frame = self._next_frame()
        self._remember(call, frame)
        return frame

    def understood(self, call: bytes, received: bytes) -> Any:
        """The answer in a frame to the call of the entry point in another.

        Raises:
            Ended, Exception: as ``call``.
        """
        shared = wire.Shared()
        (self.arguments,) = wire.decode(call, self.limits.depth + FED_BACK, self, shared)
        self.answer, shared = (), wire.Shared(shared.items)
        value = self._understood(received, shared, self._decoded(received, shared))
        self.answer = (value,)
        return value

    def _remember(self, frame: bytes | None, received: bytes) -> None:
        if frame and self.remembered.get(frame) == UNHEARD and len(received) <= MOST_REMEMBERED:
            self.remembered[frame] = received

    def _decoded(self, frame: bytes, shared: wire.Shared) -> Any:
        try:
            return wire.decode(frame, self.limits.depth + 2, self, shared)
        except wire.WireError as error:
            self._end(Outcome.NOT_PLAIN_DATA, str(error))

    def _understood(self, received: bytes, shared: wire.Shared, reply: Any) -> Any:
        """What a reply of the program's means."""
        match reply:
            case ("ok" | "raise", *_, dict(changes), str()) if changes and not self.writes_back:
                self.changed, shared = True, wire.Shared(copy.deepcopy(shared.items))
                reply = self._decoded(received, shared)
        match reply:
            case ("ok", value, *rest):
                self._happened(rest, shared)
                return value
            case ("raise", kind, arguments, str(text), int(number), *rest):
                self._happened(rest, shared)
                try:
                    error = error_of(kind, arguments, text[:WORDS], number)
                except wire.WireError as garbled:
                    self._end(Outcome.NOT_PLAIN_DATA, str(garbled))
                self.throw(error)
            case ("fault", str(outcome), str(detail)) if outcome in SELF_REPORTED:
                self._end(Outcome(outcome), detail[:WORDS])
        self._end(Outcome.NOT_PLAIN_DATA, "garbled answer")

    def _happened(self, rest: list[Any], shared: wire.Shared) -> None:
        """Changes arguments, or their copies, as the program did; prints what it printed where the tests listen."""
        try:
            changes, printed = rest or ({}, "")
            for place, content in changes.items():
                standard.refill(shared.items[place], content)
        except (wire.WireError, ValueError, TypeError, LookupError, AttributeError):
            self._end(Outcome.NOT_PLAIN_DATA, "garbled changes")
        if printed and sys.stdout is not self.stdout:
            sys.stdout.write(str(printed))

    def _lend(self, operation: str, number: int, rest: tuple[Any, ...]) -> bytes:
        """The reply to a program that uses what the tests have passed to it."""
        depth, self.nested = self.limits.depth + FED_BACK, self.nested + 1
        try:
            if self.nested > MOST_NESTED:
                raise RecursionError("callables of the tests and of the program inside each other")
            return wire.encode(("ret", self.lent.use(number, operation, rest)), 2**30, depth, self)
        except Ended:
            raise
        except wire.WireError as error:
            return wire.encode(("err", "TypeError", (str(error),)))
        except BaseException as error:  # noqa: BLE001 - the tests' own code may raise anything
            return wire.encode(("err", builtin_name(error), (str(error),)))
        finally:
            self.nested -= 1

    # The codec, and what stand-ins need.

    def describe(self, value: Any) -> tuple[str, Any] | None:
        """What the program gets for a value of the tests'."""
        number = number_of(value)
        if number is not None:
            return "yours", number
        found = standard.describe(value)
        if found is not None:
            return found
        if type(value) in standard.NAMES and isinstance(value, BaseException):
            return "error", (type(value), value.args)
        return None if base_of(type(value)) else self.lent.describe(value)

    def build(self, name: str, payload: Any) -> Any:
        """What the tests get for a value of the program's."""
        if name == "yours" and type(payload) is int and 0 <= payload < len(self.lent.table):
            return self.lent.table[payload][0]
        for source in (self.mirrors, standard):
            value = source.build(name, payload)
            if value is not None:
                return value
        raise wire.WireError("garbled data (name)")

    def refuse(self, words: str) -> NoReturn:
        """Ends the program: the tests need what only it could decide."""
        self._end(Outcome.NOT_PLAIN_DATA, words)

    def named(self, kind: type) -> bool:
        """Whether the tests name this class of the program's, or one that it derives from."""
        return not self.trusted.isdisjoint(kind.__mro__)

    def throw(self, error: BaseException) -> NoReturn:
        """Raises what the program raised and remembers it, to tell it from an exception of the test's own."""
        self.raised = error
        raise error

    def shown(self) -> str:
        """The last call and its answer, shortened."""
        answer = "".join(f" -> {shown(value)}" for value in self.answer)
        return f"{self.label}({', '.join(map(shown, self.arguments))}){answer}"

    def _end(self, outcome: Outcome, detail: str) -> NoReturn:
        self.ended = Ended(outcome, detail)
        raise self.ended


class Stub:
    """``candidate`` in the tests."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self.__name__ = self.__qualname__ = name

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """What the program answers."""
        self._session.label = self.__name__
        return self._session.call(*arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        """An attribute of the program's function."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self._session.request("get", ENTRY, name)


def _resolved(name: str, origin: str, value: Any) -> Any:
    """What the tests get for a name of the program's: of a usual module the real one, not the program's."""
    if origin == "own":
        return value
    if value not in standard.MODULES:
        raise ImportError(f"{name} is of a module that the tests should import themselves")
    module = importlib.import_module(value)
    return module if origin == "module" else getattr(module, name)


def _readable(descriptor: int, milliseconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(milliseconds))
