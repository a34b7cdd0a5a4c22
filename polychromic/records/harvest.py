"""A harvest's pool: ``harvest.jsonl``, a row for each completion that has credit, and ``harvest.json`` beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from polychromic.core.digests import file_digest
from polychromic.core.errors import MissingResourceError, RecordError
from polychromic.core.nouns import Example, Prompt
from polychromic.records.jsonl import write_json, write_rows
from polychromic.records.rows import read_noun, read_nouns
from polychromic.records.samples import content_in, content_out

POOL, ABOUT = "harvest.jsonl", "harvest.json"


@dataclass(frozen=True, slots=True)
class Harvested:
    """A completion worth learning from: ``credit`` (above 0) is that of all its equal copies, ``copies`` of ``n``.

    ``answer`` is the canonical answer, None where nobody judged; ``model`` and ``adapter`` (a digest) say who drew it.
    """

    example: Example
    credit: float
    copies: int
    n: int
    answer: str | None = None
    model: str = ""
    adapter: str = ""
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class HarvestAccount:
    """What a harvest drew and kept. ``mass`` is the mean over prompts of the mean credit of their samples.

    ``unfinished`` samples were cut off at the token limit; ``kept`` are the rows of the pool, ``digest`` is that of
    their file, empty in an account of an older version.
    """

    prompts: int
    prompts_without: int
    samples: int
    valid: int
    unfinished: int
    kept: int
    mass: float
    made_of: str = ""
    digest: str = ""

    def lines(self) -> list[str]:
        """The account as a person reads it."""
        return [
            f"{self.samples} samples of {self.prompts} prompts: {self.valid} valid, {self.kept} different kept; "
            f"{self.prompts_without} prompts without any, {self.unfinished} samples cut off at the token limit",
            f"mean credit {self.mass:.4g}",
        ]


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as read: its rows, its account, and the digest of its file."""

    rows: tuple[Harvested, ...]
    account: HarvestAccount
    digest: str


def write_pool(folder: Path, rows: Iterable[Harvested], account: HarvestAccount) -> Path:
    """The path of ``harvest.jsonl``, written with its account, whole or not at all."""
    path = folder / POOL
    write_rows(path, map(_row, rows))
    write_json(folder / ABOUT, replace(account, digest=file_digest(path)))
    return path


def unchanged(folder: Path, account: HarvestAccount) -> bool:
    """Whether a folder's pool is there, as it was when its account was written."""
    path = folder / POOL
    return path.exists() and account.digest in ("", file_digest(path))


def read_account(folder: Path) -> HarvestAccount | None:
    """The account of a folder's pool; None when the folder has none.

    Raises:
        RecordError: it is damaged.
    """
    path = folder / ABOUT
    return read_noun(path, HarvestAccount) if path.exists() else None


def read_pool(where: str | Path) -> Pool:
    """The pool in a folder.

    Raises:
        MissingResourceError: there is none.
        RecordError: ``file:line: reason`` for a row that is none of a pool, or the pool was changed after it was drawn.
    """
    folder = Path(where)
    path, account = folder / POOL, read_account(folder)
    if account is None or not path.exists():
        raise MissingResourceError(f"{folder}: holds no harvest; `polychromic harvest CONFIG --out {folder}` makes one")
    rows = tuple(_checked(f"{path}:{line}", row) for line, row in read_nouns(path, _PoolRow))
    if not unchanged(folder, account):
        raise RecordError(f"{path}: is not the file that {ABOUT} gives account of; put it back, or harvest it anew")
    return Pool(rows, account, file_digest(path))


def write_merged(pools: Sequence[Pool], folder: Path) -> Path:
    """``folder``, which then holds the pools as one, and an account that adds up what was drawn.

    An answer (or text, where none is known) counts where it was first found, at the credit it had there.
    """
    found: dict[tuple[str, str], int] = {}
    rows = []
    for place, pool in enumerate(pools):
        for row in pool.rows:
            key = (row.example.prompt.id, row.example.demonstration if row.answer is None else row.answer)
            if found.setdefault(key, place) == place:
                rows.append(row)
    accounts = [pool.account for pool in pools]
    prompts = max(account.prompts for account in accounts)
    with_any = len({row.example.prompt.id for row in rows})
    account = HarvestAccount(
        prompts,
        prompts - with_any,
        sum(account.samples for account in accounts),
        sum(account.valid for account in accounts),
        sum(account.unfinished for account in accounts),
        len(rows),
        sum(row.credit / row.n for row in rows) / prompts,
        made_of=" ".join(pool.digest for pool in pools),
    )
    held = read_account(folder)
    if held is None or replace(held, digest="") != account or not unchanged(folder, held):
        write_pool(folder, rows, account)
    return folder


@dataclass(frozen=True, slots=True)
class _PoolRow:
    """A ``Harvested`` as it stands in the file."""

    prompt_id: str
    prompt: Any
    completion: str
    credit: float
    copies: int
    n: int
    payload: Mapping[str, Any] = field(default_factory=dict)
    answer: str | None = None
    model: str = ""
    adapter: str = ""
    temperature: float = 1.0


_SHARED = ("credit", "copies", "n", "answer", "model", "adapter", "temperature")


def _row(kept: Harvested) -> _PoolRow:
    prompt, shared = kept.example.prompt, {name: getattr(kept, name) for name in _SHARED}
    completion = kept.example.demonstration
    return _PoolRow(prompt.id, content_out(prompt), completion, payload=prompt.payload, **shared)


def _checked(place: str, row: _PoolRow) -> Harvested:
    if not row.completion or not row.credit > 0.0:
        raise RecordError(f"{place}: not a row of a harvest: a row needs a completion and a credit above 0")
    try:
        prompt = Prompt(row.prompt_id, content_in(row.prompt), row.payload)
    except (TypeError, ValueError, KeyError) as error:
        raise RecordError(f"{place}: not a row of a harvest: {error}") from None
    return Harvested(Example(prompt, row.completion), **{name: getattr(row, name) for name in _SHARED})
