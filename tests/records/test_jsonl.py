from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polychromic.core.errors import InputError, MissingResourceError, RecordError
from polychromic.records import jsonl
from polychromic.records.jsonl import (
    AppendLog,
    encode,
    give_usual_mode,
    read_json,
    read_rows,
    scan_rows,
    write_json,
    write_rows,
)

SECRET = "do-not-echo"


def rows_of(path):
    return [row for _, row in read_rows(path)]


@pytest.mark.parametrize(
    ("raw", "line", "reason"),
    [
        (b'{"a": 1}\n{"a": "do-not-echo" \n', 2, "not JSON"),
        (b'{"a": "do-not-echo\xff"}\n', 1, "not UTF-8 at byte 19"),
        (b'{"a": 1}\n\n[1, "do-not-echo"]\n', 3, "expected an object, got an array"),
        (b'"do-not-echo"\n', 1, "expected an object, got a string"),
        (b'{"a": "do-not-echo\x00"}\n', 1, "NUL byte at column 19"),
        (b"true\n", 1, "got a boolean"),
        (b"null\n", 1, "got null"),
        (b'{"a": ' + b"[" * 100_000 + b"\n", 1, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", 1, "too many digits"),
        (b'{"a": 1}{"b": 2}\n', 1, "not JSON: extra data"),
        (b'{"a": "x\n', 1, "not JSON: invalid control character at column 9"),
        (b'{"do-not-echo": 1, "b": 2, "do-not-echo": 3}\n', 1, "an object gives a key twice"),
        (b'{"a": [{"b": "do-not-echo", "b": 2}]}\n', 1, "an object gives a key twice"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_reason_and_never_echoed(tmp_path, raw, line, reason):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(raw)
    with pytest.raises(RecordError) as caught:
        rows_of(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert reason in message
    assert SECRET not in message
    assert "\n" not in message


def test_bom_crlf_blank_lines_and_a_missing_last_line_end_are_tolerated(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa9"}\r\n\r\n  \n{"a": 2}')
    assert list(read_rows(path)) == [(1, {"a": "é"}), (4, {"a": 2})]


def test_an_empty_file_has_no_rows_and_a_missing_one_is_said_to_be_missing(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    assert rows_of(tmp_path / "empty.jsonl") == []
    with pytest.raises(MissingResourceError, match="there is no such file"):
        rows_of(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        rows_of(tmp_path)


def test_a_50_mb_line_is_refused_without_being_held_and_the_next_line_is_read(tmp_path):
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as file:
        file.write(b'{"a": "')
        for _ in range(50):
            file.write(b"x" * 2**20)
        file.write(b'"}\n{"a": 2}\n')
    code = (
        "import sys\n"
        "from polychromic.records.jsonl import scan_rows\n"
        "out = [(n, r if isinstance(r, dict) else str(r)) for n, r in scan_rows(sys.argv[1])]\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(out, int(peak.split()[1]) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    shown, _, peak_mb = done.stdout.strip().rpartition(" ")
    assert f"{path}:1: the line is longer than 32 MB" in shown
    assert "(2, {'a': 2})" in shown
    assert int(peak_mb) < 120


def test_what_json_cannot_say_is_made_plain(tmp_path):
    row = {
        "nan": math.nan,
        "inf": np.float32("inf"),
        "bool": np.bool_(True),
        "true": True,
        "int": np.int64(3),
        "array": np.array([[1.5, math.nan]]),
        "tuple": (1, None),
        7: {"nested": np.float64(0.5)},
        "path": tmp_path,
        "set": {"b", "a"},
    }
    assert json.loads(encode(row)) == {
        "nan": None,
        "inf": None,
        "bool": True,
        "true": True,
        "int": 3,
        "array": [[1.5, None]],
        "tuple": [1, None],
        "7": {"nested": 0.5},
        "path": str(tmp_path),
        "set": ["a", "b"],
    }
    assert b"true" in encode({"a": True})
    with pytest.raises(InputError, match="object cannot be written"):
        encode({"a": object()})


def test_a_foreign_nan_is_read_as_null(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": NaN, "b": -Infinity}\n')
    assert rows_of(path) == [{"a": None, "b": None}]


texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(texts, values, max_size=4), max_size=4))
def test_rows_come_back_as_they_were_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_rows(path, rows)
    assert rows_of(path) == rows


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_whatever_give_another_error_than_a_record_error(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("fuzz") / "rows.jsonl"
    path.write_bytes(raw)
    for number, row in scan_rows(path):
        assert number >= 1
        assert isinstance(row, dict | RecordError)


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"a": 1}])

    def failing():
        yield {"a": 2}
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_rows(path, failing())
    assert rows_of(path) == [{"a": 1}]
    assert os.listdir(tmp_path) == ["rows.jsonl"]


def test_json_objects_round_trip_and_bad_ones_are_named(tmp_path):
    path = tmp_path / "deep" / "run.json"
    write_json(path, {"a": math.nan, "b": [1]})
    assert read_json(path) == {"a": None, "b": [1]}
    path.write_text("[1]")
    with pytest.raises(RecordError, match=r"run\.json: expected an object"):
        read_json(path)


@pytest.mark.parametrize("torn", [b'{"a": 3', b'{"a": 3, "text": "\xc3', b"\x00\x00\x00", b'{"a": 3}x'])
def test_a_torn_last_line_is_removed_on_reopening(tmp_path, torn):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n' + torn)
    with AppendLog(path) as log:
        log.append([{"a": 4}])
    assert [row["a"] for row in rows_of(path)] == [1, 2, 4]


def test_a_whole_last_row_without_line_end_is_kept(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}')
    with AppendLog(path) as log:
        log.append([{"a": 2}])
    assert [row["a"] for row in rows_of(path)] == [1, 2]


def test_a_torn_line_longer_than_a_chunk_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "_CHUNK", 16)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n' + b'{"a": "' + b"x" * 100)
    AppendLog(path).close()
    assert path.read_bytes() == b'{"a": 1}\n'


def test_a_full_disk_leaves_no_half_row(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    log = AppendLog(path)
    log.append([{"a": 1}])
    real = log._file

    class Full:
        def write(self, data):
            if len(data) > 5:
                return real.write(bytes(data[:5]))
            raise OSError(28, "No space left on device")

        def __getattr__(self, name):
            return getattr(real, name)

    log._file = Full()
    with pytest.raises(OSError, match="No space"):
        log.append([{"a": 2}])
    log._file = real
    log.append([{"a": 3}])
    log.close()
    assert [row["a"] for row in rows_of(path)] == [1, 3]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_is_respected(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_json(tmp_path / "a.json", {})
        (tmp_path / "private").mkdir()
        (tmp_path / "private" / "b").touch(0o600)
        give_usual_mode(tmp_path / "private", tmp_path / "none")
        with AppendLog(tmp_path / "c.jsonl") as log:
            log.append([{}])
    finally:
        os.umask(before)
    for name in ("a.json", "private/b", "c.jsonl"):
        assert (tmp_path / name).stat().st_mode & 0o777 == mode, name
