"""W&B's offline file, read without W&B's own reader: what a later sync would send."""

from __future__ import annotations

import json
import struct
import time

from wandb.proto import wandb_internal_pb2


def decoded(folder):
    """The records of the one offline file below ``folder``, whose last wandb writes after ``finish`` has returned."""
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    deadline = time.monotonic() + 60
    while not of_kind(found := _records(path), "exit") and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _records(path):
    """LevelDB's log: blocks of 32 KiB of checked pieces."""
    data, place, whole, found = path.read_bytes(), 7, b"", []
    while place < len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        if len(header := data[place : place + 7]) < 7:
            break
        _, size, kind = struct.unpack("<IHB", header)
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or the last piece of one
            found.append(wandb_internal_pb2.Record.FromString(whole))
            whole = b""
    return found


def facts(items):
    """Names and values of a record's items."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def of_kind(records, kind):
    """The contents of all records of one kind, such as "run", "history" or "summary"."""
    return [getattr(record, kind) for record in records if record.WhichOneof("record_type") == kind]
