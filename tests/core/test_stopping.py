"""Four signals that all mean "save and stop", and a second one that means now."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from polychromic.core import stopping
from polychromic.core.stopping import SIGNALS, StopNow, StoppedError, finishing, listening


def ask(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


def work(*numbers, then):
    """Work that is asked to stop while it goes on, and then does something."""
    with finishing("this step") as stop:
        assert not stop.heard
        for number in numbers:
            ask(number)
        then(stop)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_work_is_finished_first(number, capfd):
    done = []
    with pytest.raises(StoppedError, match=signal.Signals(number).name) as caught:
        work(number, then=lambda stop: done.append(stop.heard))
    assert done == [True]
    assert caught.value.exit_code == 128 + number
    said = capfd.readouterr().err
    assert said.startswith(f"polychromic: {signal.Signals(number).name}: stopping when this step is done and saved")
    assert said.count("\n") == 1


def test_a_second_one_stops_at_once(monkeypatch):
    monkeypatch.setattr(stopping, "AGAIN_SECONDS", 0.0)
    with pytest.raises(StopNow) as caught:
        work(signal.SIGHUP, signal.SIGINT, then=lambda stop: pytest.fail("went on"))
    assert caught.value.number == signal.SIGINT


def test_the_same_request_given_twice_is_one():
    done = []
    with pytest.raises(StoppedError):
        work(signal.SIGHUP, signal.SIGHUP, then=lambda stop: done.append(stop.number))
    assert done == [signal.SIGHUP]


def test_where_nothing_is_to_be_saved_the_first_one_stops():
    with pytest.raises(StopNow), listening():
        ask()


def test_inner_work_ends_where_it_is_saved_and_handlers_come_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(StoppedError, match="3 of 9 are kept"), finishing("all"):
        work(signal.SIGTERM, then=lambda stop: stop.check("3 of 9 are kept"))
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_what_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with finishing("this step") as stop:
            ask(signal.SIGHUP)
            assert not stop.heard
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_forked_worker_leaves_the_stopping_to_its_parent():
    with finishing("this step") as stop:
        child = os.fork()
        if child == 0:
            ask(signal.SIGINT)
            os._exit(7 if not stop.heard else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        child = os.fork()
        if child == 0:
            ask(signal.SIGTERM)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


IN_A_TERMINAL = """
import pathlib, signal, sys, time
from polychromic.core.stopping import finishing
place = pathlib.Path(sys.argv[1])
with finishing("this step") as stop:
    place.write_text("begun")
    while not stop.heard:
        time.sleep(0.01)
    for line in range(100):
        print("a line that nobody reads", file=sys.stderr, flush=True)
    place.write_text("saved")
"""


def test_a_terminal_that_closes_does_not_end_the_work(tmp_path):
    """The kernel sends SIGHUP, and every write to the terminal fails from then on."""
    place, (ours, theirs) = tmp_path / "state", pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{IN_A_TERMINAL}", place],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    deadline = time.monotonic() + 60
    while not place.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.close(ours)
    assert process.wait(60) in (1, 120)  # StoppedError, raised to the top
    assert place.read_text() == "saved"
