"""Each text is encoded once: vectors kept in memory up to a bound, and on disk when a folder is given."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from polychromic.core.errors import RecordError
from polychromic.core.protocols import Embedder
from polychromic.records.jsonl import give_usual_mode

DEFAULT_BYTES = 96 * 2**20
"""Memory for vectors: about 65,000 of 384 dimensions."""

Keys = bytes


class CachedEmbedder:
    """An embedder that asks another one only for the texts it has not seen.

    In memory the oldest vectors give way when ``max_bytes`` is full. With ``folder`` every newly encoded batch is also
    written as a pair of ``.npy`` files (digests and vectors, never pickled), which later runs find by themselves.
    """

    def __init__(self, inner: Embedder, folder: str | Path | None = None, max_bytes: int = DEFAULT_BYTES) -> None:
        self.inner = inner
        self.name = inner.name
        self.max_bytes = max_bytes
        self.encoded = 0
        self._memory: OrderedDict[Keys, NDArray[np.float32]] = OrderedDict()
        self._disk: dict[Keys, tuple[int, int]] = {}
        self._parts: list[NDArray[np.float32]] = []
        self._folder = None if folder is None else Path(folder) / re.sub(r"[^A-Za-z0-9._-]+", "_", inner.name)
        if self._folder is not None and self._folder.is_dir():
            for path in sorted(self._folder.glob("*.vectors.npy")):
                self._open(path)

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Float32 unit rows of shape [len(texts), d], in the texts' order; only unseen texts reach the encoder."""
        keys = [_digest(text) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        missing = {key: text for key, text in wanted.items() if key not in self._memory and key not in self._disk}
        fresh: dict[Keys, NDArray[np.float32]] = {}
        if missing:
            rows = np.asarray(self.inner.embed(list(missing.values())), dtype=np.float32)
            fresh = dict(zip(missing, rows, strict=True))
            self.encoded += len(rows)
            self._store(list(missing), rows)
        elif not texts:
            return np.asarray(self.inner.embed([]), dtype=np.float32)
        out = np.stack([fresh[key] if key in fresh else self._find(key) for key in keys])
        for key, row in fresh.items():
            self._remember(key, row)
        return out

    def cut(self, texts: Sequence[str]) -> int:
        """How many of the texts are longer than the encoder reads."""
        return self.inner.cut(texts)

    def _find(self, key: Keys) -> NDArray[np.float32]:
        if key in self._memory:
            return self._memory[key]
        part, row = self._disk[key]
        return self._parts[part][row]

    def _remember(self, key: Keys, row: NDArray[np.float32]) -> None:
        self._memory[key] = row.copy()
        while len(self._memory) > max(1, self.max_bytes // row.nbytes):
            self._memory.popitem(last=False)

    def _store(self, keys: list[Keys], rows: NDArray[np.float32]) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        stem = hashlib.sha256(b"".join(keys)).hexdigest()[:24]
        _write(self._folder / f"{stem}.keys.npy", np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, 16))
        _write(self._folder / f"{stem}.vectors.npy", rows)
        self._open(self._folder / f"{stem}.vectors.npy")

    def _open(self, path: Path) -> None:
        try:
            keys = np.load(path.with_name(path.name.replace(".vectors.", ".keys.")), allow_pickle=False)
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            raise RecordError(f"{path}: is no file of cached vectors; delete its folder") from None
        if len(keys) != len(rows):
            raise RecordError(f"{path}: {len(keys)} digests for {len(rows)} vectors; delete its folder")
        self._parts.append(rows)
        self._disk.update({key.tobytes(): (len(self._parts) - 1, row) for row, key in enumerate(keys)})


def _digest(text: str) -> Keys:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _write(path: Path, rows: NDArray[np.generic]) -> None:
    """Writes one ``.npy`` file in one step."""
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, rows, allow_pickle=False)
        give_usual_mode(Path(name))
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
