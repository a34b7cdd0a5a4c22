"""A bundle: a tar whose bytes follow from its content alone, and a manifest with the digest of every file in it."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.records.jsonl import encode, read_json

MANIFEST = "bundle.json"
EXECUTABLE = ".sh"
Content = bytes | Path


def pack(archive: str | Path, files: Mapping[str, Content], facts: Mapping[str, object]) -> Path:
    """The archive with the files and ``bundle.json``: ``facts`` and every file's SHA-256; no clock and no user in it.

    Raises:
        MissingResourceError: a file is not there.
    """
    place = Path(archive)
    digests = {name: digest(content) for name, content in sorted(files.items())}
    manifest = encode({**facts, "files": digests})
    place.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(place, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in [(MANIFEST, manifest), *sorted(files.items())]:
            _add(tar, name, content)
    return place


def _add(tar: tarfile.TarFile, name: str, content: Content) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = 0o755 if name.endswith(EXECUTABLE) else 0o644
    if isinstance(content, bytes):
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
        return
    entry.size = content.stat().st_size
    with content.open("rb") as file:
        tar.addfile(entry, file)


def digest(content: Content) -> str:
    """The SHA-256 of bytes or of a file, in hex.

    Raises:
        MissingResourceError: there is no such file.
    """
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    try:
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        raise MissingResourceError(f"{content}: there is no such file") from None


def unpack(archive: str | Path, folder: str | Path) -> Path:
    """The folder with the archive's files in it; nothing is written outside of it, and nothing in it before.

    Raises:
        MissingResourceError: there is no such archive.
        InputError: it is no bundle, holds a link, a device or a path that leads out of the folder, does not fit the
            disk, or the folder is not empty.
    """
    source, place = Path(archive), Path(folder)
    if not source.is_file():
        raise MissingResourceError(f"{source}: there is no such archive")
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise InputError(f"{place}: is not empty; choose another --to")
    try:
        with tarfile.open(source, "r:") as tar:
            entries = tar.getmembers()
            _refuse_unsafe(source, entries)
            _refuse_large(source, sum(entry.size for entry in entries), place)
            place.mkdir(parents=True, exist_ok=True)
            tar.extractall(place, entries, filter="data")
    except tarfile.TarError as error:
        raise InputError(f"{source}: is no bundle: {error}") from None
    return place


def _refuse_unsafe(source: Path, entries: list[tarfile.TarInfo]) -> None:
    names = [entry.name for entry in entries]
    if MANIFEST not in names:
        raise InputError(f"{source}: is no bundle: it holds no {MANIFEST}")
    for entry in entries:
        path = PurePosixPath(entry.name)
        if not entry.isreg() or path.is_absolute() or ".." in path.parts or str(path) != entry.name:
            raise InputError(
                f"{source}: holds {entry.name[:80]!r}, which is no plain file inside the bundle; not unpacked"
            )
    if len(set(names)) < len(names):
        raise InputError(f"{source}: holds a file twice; not unpacked")


def _refuse_large(source: Path, size: int, place: Path) -> None:
    there = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise InputError(f"{source}: takes {size / 2**30:.1f} GiB, and {free / 2**30:.1f} are free in {there}")


def manifest_of(folder: str | Path) -> dict[str, object]:
    """What ``bundle.json`` says, once every file has the digest that it states.

    Raises:
        InputError: a file is missing or has another content; the first is named.
        MissingResourceError: the folder holds no bundle.
    """
    place = Path(folder)
    if not (place / MANIFEST).is_file():
        raise MissingResourceError(f"{place}: holds no {MANIFEST}; unpack a bundle there first")
    found = read_json(place / MANIFEST)
    files = found.get("files")
    if not isinstance(files, dict):
        raise InputError(f"{place / MANIFEST}: names no files")
    for name, stated in files.items():
        path = place / name
        if not path.is_file():
            raise InputError(f"{path}: is missing from the bundle; copy it again")
        if digest(path) != stated:
            raise InputError(f"{path}: is not the file that was bundled; copy the bundle again")
    return found
