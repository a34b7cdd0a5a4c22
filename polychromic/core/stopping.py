"""Being asked to stop: SIGINT, SIGHUP, SIGTERM and SIGUSR1 all mean "save and stop", and a second one means now.

Terminals, tmux, schedulers and clouds each ask by another signal. A signal that was ignored when the program started
(``nohup``, a shell's background) stays ignored.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from polychromic.core.errors import PolychromicError

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
AGAIN_SECONDS = 1.0
"""What comes sooner after the first signal is the same request: a terminal that closes may ask twice."""


class StoppedError(PolychromicError):
    """The work was asked to stop and did, after saving; the same command continues it. Exit status: 128 + signal."""

    def __init__(self, message: str, number: int = signal.SIGTERM) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class StopNow(KeyboardInterrupt):
    """Stops at once, wherever the program is; as an interruption, so that nothing takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped at once by {signal.Signals(number).name}")
        self.number = number


class Stop:
    """Whether, and by which signal, this process was asked to stop."""

    def __init__(self) -> None:
        self.number = 0
        self.work: list[str] = []
        self._pid, self._when = os.getpid(), 0.0

    @property
    def heard(self) -> bool:
        """Whether a signal has come."""
        return self.number != 0

    def check(self, kept: str = "what is done is kept") -> None:
        """Raises StoppedError when a signal has come: to be called where everything is saved."""
        if self.heard:
            self.obey(kept)

    def obey(self, kept: str) -> NoReturn:
        """Raises StoppedError, also in a process whose signal another has heard: SIGTERM stands for it."""
        drop_dead_streams()
        number = self.number or signal.SIGTERM
        raise StoppedError(f"stopped by {signal.Signals(number).name}; {kept}, and the same command continues", number)

    def hear(self, number: int, frame: FrameType | None) -> None:
        """The signals' handler."""
        if os.getpid() != self._pid:
            _end_of_a_child(number)
        elif not self.work:
            drop_dead_streams()
            raise StopNow(number)
        elif not self.heard:
            self.number, self._when = number, time.monotonic()
            drop_dead_streams()
            name = signal.Signals(number).name
            _say(f"polychromic: {name}: stopping when {self.work[0]} is done and saved; once more stops at once\n")
        elif time.monotonic() - self._when >= AGAIN_SECONDS:
            raise StopNow(number)


_current: Stop | None = None


@contextmanager
def listening() -> Iterator[Stop]:
    """Within it the signals are heard, outside ``finishing`` with effect at once; inside another it is that one.

    In threads other than the main one nothing is changed.
    """
    global _current
    if _current is not None or threading.current_thread() is not threading.main_thread():
        yield _current or Stop()
        return
    _current = stop = Stop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = [number for number in SIGNALS if before[number] not in (signal.SIG_IGN, None)]
    try:
        for number in heard:
            signal.signal(number, stop.hear)
        yield stop
    finally:
        _current = None
        for number in heard:
            signal.signal(number, before[number])


@contextmanager
def finishing(work: str) -> Iterator[Stop]:
    """Within it the first signal waits: the caller asks ``stop.heard`` or ``stop.check()`` where its work is saved.

    Raises:
        StoppedError: on leaving the outermost one, when a signal came.
    """
    with listening() as stop:
        stop.work.append(work)
        try:
            yield stop
        finally:
            stop.work.pop()
        if not stop.work:
            stop.check()


def drop_dead_streams() -> None:
    """Turns stdout and stderr to nowhere where their terminal or reader is gone: a word less must not end the work."""
    for descriptor in (1, 2):
        watch = select.poll()
        watch.register(descriptor, 0)
        if watch.poll(0):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


def _end_of_a_child(number: int) -> None:
    """What a forked worker makes of the group's signals: its parent ends it, or SIGTERM does."""
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _say(text: str) -> None:
    """Past Python's buffers, which the signal may have come into."""
    with suppress(OSError):
        os.write(2, text.encode())
