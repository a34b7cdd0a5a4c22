"""Rows from anywhere: files (JSONL, JSON, CSV, Parquet) and data sets of the hub, each row with its place.

CSV and JSON are read here and not by ``datasets``: its readers guess types (``007`` becomes 7, ``NA`` nothing) and name
no line. Parquet and the hub are its own; it is imported when they are asked for.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any

from polychromic.core.errors import InputError, MissingResourceError, RecordError
from polychromic.core.extras import absent
from polychromic.core.hub import use_hub, why_offline
from polychromic.core.inputs import checked, read_input
from polychromic.records.jsonl import Row, parse_json, scan_rows

Scanned = Iterator[tuple[int, Row | RecordError]]


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or a hub's data set (or its local folder) with subset and split.

    ``columns`` gives columns other names, ``{prompt: question}``: the old ones stay, for a judge to see. With ``head``
    only the first so many rows are wanted, so that a data set of the hub is streamed and not fetched whole.
    """

    file: str | Path = ""
    dataset: str = ""
    subset: str | None = None
    split: str = "train"
    columns: Mapping[str, str] = field(default_factory=dict)
    head: int | None = None

    @property
    def name(self) -> str:
        """What errors call it."""
        return str(self.file) or "/".join(filter(None, (self.dataset, self.subset, self.split)))


def source_of(where: Source | str | Path) -> Source:
    """A file's path as a source."""
    return where if isinstance(where, Source) else Source(where)


def scan(source: Source) -> Scanned:
    """Each row with its number, or the error in the place of a row that is wrong.

    The number is the line of a JSONL or CSV file (where the row begins), else the row's, from 1.

    Raises:
        MissingResourceError: there is no such file or data set.
        InputError: it cannot be read at all.
    """
    for number, row in _scanned(source):
        if isinstance(row, RecordError):
            yield number, row
            continue
        try:
            yield number, _renamed(row, source.columns)
        except ValueError as error:
            yield number, RecordError(f"{source.name}:{number}: {error}")


def _scanned(source: Source) -> Scanned:
    if not source.file:
        return _hub(source)
    path = Path(source.file)
    readers = {".csv": _csv, ".tsv": _csv, ".json": _json, ".parquet": _parquet}
    read = readers.get(path.suffix.lower(), scan_rows)
    if read is not scan_rows:
        _refuse_unreadable(path)
    return read(path)


def _renamed(row: Row, columns: Mapping[str, str]) -> Row:
    for old in columns.values():
        if old not in row:
            raise ValueError(f"there is no column {old!r}; the row has {', '.join(map(repr, sorted(row))) or 'none'}")
    return row | {new: row[old] for new, old in columns.items()}


def _refuse_unreadable(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: cannot be read: it is a folder; data.dataset takes one")
    checked(path, lambda: None)


def _csv(path: Path) -> Scanned:
    """The rows under the header, all values texts; an empty field is a column that the row does not have."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
        header, end = next(reader, []), reader.line_num
        if len(set(header)) != len(header):
            raise RecordError(f"{path}:1: the header names a column twice")
        while True:
            number, end = end + 1, end
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield number, RecordError(f"{path}:{number}: not CSV: {error}")
                return
            end = reader.line_num
            if fields:
                yield number, _csv_row(path, number, header, fields)


def _csv_row(path: Path, number: int, header: list[str], fields: list[str]) -> Row | RecordError:
    if len(fields) != len(header):
        return RecordError(f"{path}:{number}: {len(fields)} fields, and the header has {len(header)}")
    for text in fields:
        if "\x00" in text:
            return RecordError(f"{path}:{number}: NUL character")
        if any("\udc80" <= sign <= "\udcff" for sign in text):
            return RecordError(f"{path}:{number}: not UTF-8")
    return {name: text for name, text in zip(header, fields, strict=True) if text}


def _json(path: Path) -> Scanned:
    """The objects of a list; a file of objects line by line is read as JSONL."""
    raw = read_input(path).removeprefix(b"\xef\xbb\xbf")
    if not raw.lstrip().startswith(b"["):
        yield from scan_rows(path)
        return
    try:
        rows = parse_json(raw)
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from None
    for number, row in enumerate(rows, start=1):
        wrong = RecordError(f"{path}:{number}: expected an object in the list")
        yield number, row if isinstance(row, dict) else wrong


def _parquet(path: Path) -> Scanned:
    return _of_datasets(str(path), "parquet", data_files=str(path), split="train", streaming=True)


def _hub(source: Source) -> Scanned:
    use_hub()  # without one the cache alone is read
    return _of_datasets(
        source.name, source.dataset, source.subset, split=source.split, streaming=source.head is not None
    )


def _of_datasets(name: str, *where: str | None, **options: Any) -> Scanned:
    """The rows that ``datasets.load_dataset`` gives; its errors in one line."""
    try:
        from datasets import disable_progress_bars, load_dataset
    except ImportError:
        raise absent("datasets", "give a JSONL, JSON or CSV file") from None
    disable_progress_bars()
    number = 0
    try:
        for number, row in enumerate(load_dataset(*where, **options), start=1):
            yield number, _plain_row(name, number, row)
    except (InputError, GeneratorExit):
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        place = f" after row {number}" if number else ""
        told = f"{name}: cannot be read{place}: {type(error).__name__}: {reason}"
        if "offline" in f"{type(error).__name__} {reason}".lower():
            told = (
                f"{name}: cannot be read: it is not in the cache, and {why_offline()}; give a file in data.train_file"
            )
        raise MissingResourceError(told) from error


def _plain_row(name: str, number: int, row: Mapping[str, Any]) -> Row | RecordError:
    """The row as JSON has it, with times as text; a row with anything else could not be kept with its samples."""
    try:
        return dict(json.loads(json.dumps(dict(row), default=_as_text), parse_constant=lambda _: None))
    except TypeError as error:
        return RecordError(f"{name}:{number}: {error}")


def _as_text(value: Any) -> str:
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(f"a column holds a {type(value).__name__}, which is neither text nor number")
