from __future__ import annotations

import json
import math

from polychromic.cli import console
from polychromic.cli.evaluate import _folded


def test_a_table_is_aligned_and_folded_to_the_screen():
    assert console.table(["m", "x"], [["long", "1"], ["s", "23"]]) == ["m      x", "long   1", "s     23"]
    header = ["model", *(f"a metric called {i}" for i in range(9))]
    lines = _folded(header, [["sft", *("0.123" for _ in range(9))]])
    assert max(map(len, lines)) <= 96
    assert sum(line.count("a metric called") for line in lines) == 9
    assert sum(line.startswith("sft") for line in lines) == sum(line.startswith("model") for line in lines) > 1


def test_json_is_one_line_that_a_machine_can_read(capsys):
    console.show({"a": math.nan, "b": "é"}, True, ["text"])
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": "é"}
    console.show({"a": 1}, False, ["one", "two"])
    assert capsys.readouterr().out == "one\ntwo\n"


def test_without_a_terminal_progress_is_a_line_now_and_then_with_the_time_left(capsys, monkeypatch):
    clock = iter([0.0, 1.0, 16.0, 20.0, 40.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress_bars() as report:
        for done in (0, 1, 4, 5, 10):
            report("sample", done, 10)
    assert capsys.readouterr().err.splitlines() == [
        "sample: 4/10 in 16 s, 24 s left",
        "sample: 10/10 in 40 s",
    ]


def test_work_of_a_name_that_is_done_twice_has_a_clock_of_its_own_each_time(capsys, monkeypatch):
    clock = iter([0.0, 30.0, 100.0, 120.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress_bars() as report:
        for done in (0, 10, 0, 10):
            report("sample", done, 10)
    assert capsys.readouterr().err.splitlines() == ["sample: 10/10 in 30 s", "sample: 10/10 in 20 s"]
