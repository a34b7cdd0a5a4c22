"""Rows in and out of JSONL files, such that a reader learns the line that is wrong and a crash loses nothing.

Reading names ``file:line: reason`` and never echoes what the line holds. Writing is atomic (whole files) or
append-only with fsync (logs). What JSON cannot say is made plain: NaN and infinities become null, numpy scalars
become numbers.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from polychromic.core.errors import InputError, RecordError
from polychromic.core.inputs import open_input, read_input
from polychromic.records.locks import hold

MAX_LINE_BYTES = 32 * 2**20
_CHUNK = 2**20
_BOM = b"\xef\xbb\xbf"

Row = dict[str, Any]


def read_rows(path: str | Path) -> Iterator[tuple[int, Row]]:
    """Each object of a JSONL file with its line number (from 1); blank lines are passed over.

    A byte-order mark and CRLF line ends are tolerated.

    Raises:
        RecordError: ``file:line: reason`` for the first line that is not an object of UTF-8 JSON.
        MissingResourceError: there is no such file.
    """
    for line, row in scan_rows(path):
        if isinstance(row, RecordError):
            raise row
        yield line, row


def read_log(path: str | Path) -> Iterator[tuple[int, Row]]:
    """Like ``read_rows``, of a log of ours: a last line that a crash cut or left as NUL bytes is left out, and said.

    Whoever opens the log to write removes that line; ``AppendLog`` does.

    Raises:
        RecordError, MissingResourceError: as ``read_rows``, for a line that is wrong and not the torn last one.
    """
    wrong: RecordError | None = None
    for line, row in scan_rows(path):
        if wrong is not None:
            raise wrong
        if isinstance(row, RecordError):
            wrong = row
        else:
            yield line, row
    if wrong is None:
        return
    if not _torn(_last_line(path)):
        raise wrong
    warnings.warn(f"{path}: the last row was cut off by a crash; it is left out", stacklevel=2)


def scan_rows(path: str | Path) -> Iterator[tuple[int, Row | RecordError]]:
    """Like ``read_rows``, with the error in place of each row that is wrong, so that a caller may pass over it."""
    with open_input(path) as file:
        for number, raw in enumerate(_lines(file), start=1):
            if raw is None:
                yield number, RecordError(f"{path}:{number}: the line is longer than {MAX_LINE_BYTES // 2**20} MB")
                continue
            if number == 1:
                raw = raw.removeprefix(_BOM)
            if not raw.strip():
                continue
            try:
                yield number, _parse(raw)
            except ValueError as error:
                yield number, RecordError(f"{path}:{number}: {error}")


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Lines without their end; None for one that is too long, which is never held in memory whole."""
    while raw := file.readline(MAX_LINE_BYTES + 1):
        if len(raw) <= MAX_LINE_BYTES:
            yield raw
            continue
        while not raw.endswith(b"\n") and (raw := file.readline(_CHUNK)):
            pass
        yield None


def parse_json(raw: bytes) -> Any:
    """The value of UTF-8 JSON, NaN and infinities as None.

    Raises:
        ValueError: what is wrong, without the content.
    """
    if b"\x00" in raw:
        raise ValueError(f"NUL byte at column {raw.index(0) + 1}")
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=lambda _: None, object_pairs_hook=_object)
    except _TwiceError:
        raise ValueError("an object gives a key twice") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        reason = error.msg.lower().removesuffix(" at")
        raise ValueError(f"not JSON: {reason} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("not usable JSON: nested too deeply") from None
    except ValueError:
        raise ValueError("not usable JSON: a number with too many digits") from None


def _parse(raw: bytes) -> Row:
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {_KINDS.get(type(value), 'something else')}")
    return value


class _TwiceError(Exception):
    """An object gives a key twice; which of the two values counts would be anyone's guess."""


def _object(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError
    return found


_KINDS = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "a boolean", type(None): "null"}


def to_jsonable(value: Any) -> Any:
    """``value`` as JSON can say it: NaN and infinities become None, dataclasses objects, numpy values plain ones."""
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_jsonable(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_jsonable(getattr(value, each.name)) for each in fields(value)}
    if hasattr(value, "model_dump"):  # a section of the settings
        return to_jsonable(value.model_dump(mode="json", by_alias=True))
    if hasattr(value, "tolist"):
        return to_jsonable(value.tolist())
    raise InputError(f"a {type(value).__name__} cannot be written as JSON")


def encode(row: Any) -> bytes:
    """One line of UTF-8 JSON, with its line end, of a mapping or a noun."""
    value = to_jsonable(row)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate: keep it, escaped
        return (json.dumps(value, allow_nan=False) + "\n").encode("ascii")


def write_rows(path: str | Path, rows: Iterable[Any]) -> None:
    """Writes a whole JSONL file, or leaves what was there: temporary file, fsync, rename, fsync of the folder."""
    write_bytes(path, (encode(row) for row in rows))


def write_json(path: str | Path, value: Any) -> None:
    """Writes one indented JSON object, atomically."""
    write_bytes(path, [(json.dumps(to_jsonable(value), indent=2, allow_nan=False) + "\n").encode("ascii")])


def read_json(path: str | Path) -> Row:
    """The object a JSON file holds.

    Raises:
        RecordError: ``file: reason`` when it is not an object of UTF-8 JSON.
        MissingResourceError: there is no such file.
        InputError: it is no file, or too large to be one of these.
    """
    content = read_input(path)
    try:
        return _parse(content.removeprefix(_BOM))
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from None


def write_bytes(path: str | Path, chunks: Iterable[bytes]) -> None:
    """Replaces a file by ``chunks`` in one step; when anything fails the old file is untouched."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        give_usual_mode(Path(name))
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def give_usual_mode(*places: Path) -> None:
    """Files, and all files in folders, get the mode of a new file under this process's umask: others made them private.

    Where the file system has no modes nothing is done.
    """
    mask = os.umask(0o077)
    os.umask(mask)
    for place in places:
        for path in place.rglob("*") if place.is_dir() else (place,):
            if path.is_file() and not path.is_symlink():
                with suppress(OSError):
                    path.chmod(0o666 & ~mask)


def sync_folder(folder: Path) -> None:
    """Makes the folder's entries durable, where the file system can."""
    try:
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def append_rows(path: str | Path, rows: Iterable[Any]) -> None:
    """Adds rows in one durable write, which needs no lock: processes may do so side by side."""
    path, data = Path(path), b"".join(encode(row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            data = data if file.read(1) == b"\n" else b"\n" + data  # a crash cut the last row
        file.write(data)
        os.fsync(file.fileno())


class AppendLog:
    """A JSONL file that only grows: each ``append`` is durable when it returns.

    A last line that a crash cut in half is removed on opening. One process may hold a log at a time.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(f".{self.path.name}.lock")
        self._lock = hold(lock, self.path, "writing this file")
        self._file = self.path.open("a+b", buffering=0)
        self._mend()

    def append(self, rows: Iterable[Any]) -> None:
        """Adds rows, then fsyncs; when it fails (a full disk) none of them is left half-written."""
        start = self._file.seek(0, os.SEEK_END)
        data = memoryview(b"".join(encode(row) for row in rows))
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except BaseException:  # a signal among them
            self._file.truncate(start)
            raise

    def close(self) -> None:
        """Closes the file and gives up its lock."""
        self._file.close()
        self._lock.release()

    def __enter__(self) -> AppendLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _mend(self) -> None:
        """Ends the file at a line end: completes a whole last row, removes half a one, or one of NUL bytes."""
        last = _last_line(self.path)
        if _torn(last):
            self._file.truncate(self._file.seek(0, os.SEEK_END) - len(last))
        elif last and not last.endswith(b"\n"):
            self._file.write(b"\n")


def _last_line(path: str | Path) -> bytes:
    """The file's last line, with its end if it has one."""
    with Path(path).open("rb") as file:
        tail, start = b"", file.seek(0, os.SEEK_END)
        while start and b"\n" not in tail[:-1]:
            step = min(_CHUNK, start)
            start -= step
            file.seek(start)
            tail = file.read(step) + tail
    body = tail[:-1].rpartition(b"\n")[2]
    return body + tail[-1:]


def _torn(line: bytes) -> bool:
    """Whether a last line is what a crash leaves: one without an end that is no row, or one with NUL bytes in it."""
    if b"\0" in line:
        return True
    if line.endswith(b"\n") or not line.strip():
        return False
    try:
        _parse(line)
    except ValueError:
        return True
    return False
