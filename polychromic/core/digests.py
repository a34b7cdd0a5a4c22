"""What a thing is by its content: 16 hex digits of SHA-256, by which artefacts name what they are made of."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from polychromic.core.errors import MissingResourceError

DIGITS = 16
LARGE = 16 * 2**20
"""Bytes from which a file is read once in a process, as long as its size and time stay the same."""


def text_digest(*parts: str) -> str:
    """The digest of one text, or of several in their order, whose borders count."""
    texts = [part.encode("utf-8", "surrogatepass") for part in parts]
    if len(texts) == 1:
        return hashlib.sha256(texts[0]).hexdigest()[:DIGITS]
    found = hashlib.sha256()
    for text in texts:
        found.update(b"%d:" % len(text) + text)
    return found.hexdigest()[:DIGITS]


def file_digest(path: str | Path) -> str:
    """The digest of a file's content, such as an adapter's weights.

    Raises:
        MissingResourceError: there is no such file.
    """
    path = Path(path)
    try:
        facts = path.stat()
        if facts.st_size < LARGE:
            return _content(path)
        return _known(path, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    except FileNotFoundError:
        raise MissingResourceError(f"{path}: there is no such file") from None
    except OSError as error:
        raise MissingResourceError(f"{path}: cannot be read: {(error.strerror or 'unreadable').lower()}") from None


def files_digest(folder: Path, paths: Iterable[Path]) -> str:
    """The digest of several files of a folder: their names in it and their contents, in any order."""
    named = sorted((str(path.relative_to(folder)), file_digest(path)) for path in paths)
    return text_digest("files", *(part for pair in named for part in pair))


@functools.lru_cache(maxsize=256)
def _known(path: Path, *stamp: int) -> str:
    return _content(path)


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
