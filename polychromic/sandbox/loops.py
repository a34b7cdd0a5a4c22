"""An asyncio event loop that needs no descriptor: it waits for the clock and for threads, not for files."""

from __future__ import annotations

import asyncio
import selectors
import threading
from typing import Any


class _Waiting(selectors.BaseSelector):
    """A selector without files: woken by the clock or by ``wake``."""

    def __init__(self) -> None:
        self.woken = threading.Event()

    def register(self, fileobj: Any, events: int, data: Any = None) -> Any:
        """Refuses: there is nothing to open here."""
        raise OSError("a confined program has no files or sockets to wait for")

    def unregister(self, fileobj: Any) -> Any:
        """Knows none."""
        raise KeyError(fileobj)

    def select(self, timeout: float | None = None) -> list[Any]:
        """Nothing, after ``timeout`` seconds or when woken."""
        self.woken.wait(timeout)
        self.woken.clear()
        return []

    def get_map(self) -> Any:
        """No files."""
        return {}


class Loop(asyncio.SelectorEventLoop):
    """The usual loop over that selector."""

    def __init__(self) -> None:
        self._waiting = _Waiting()
        super().__init__(self._waiting)

    def _make_self_pipe(self) -> None:
        """A thread wakes the loop through the selector."""

    def _close_self_pipe(self) -> None:
        """There is none."""

    def _write_to_self(self) -> None:
        self._waiting.woken.set()


def install() -> None:
    """Makes it the loop of ``asyncio.run``."""
    asyncio.DefaultEventLoopPolicy._loop_factory = Loop  # type: ignore[attr-defined]
