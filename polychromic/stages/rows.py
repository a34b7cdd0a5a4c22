"""The rows of a configuration's section ``data``: read from one source or several, and mixed by their weights."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Example
from polychromic.core.seeds import child_seed
from polychromic.records.conversations import DataRow, Met, OnBadRow, demonstrations
from polychromic.records.sources import Source
from polychromic.settings.schema import DataSection


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """What was read: the examples, how many rows of each form they came from, and how many each source gave."""

    examples: Sequence[Example]
    forms: Mapping[str, int]
    sources: Sequence[tuple[str, int]]


def sources_of(section: DataSection) -> list[Source]:
    """Where the section's rows come from, in its order; none where a task gives them."""
    if section.sources:
        return [
            Source(one.file or "", one.dataset or "", one.subset, one.split, one.columns) for one in section.sources
        ]
    if section.train_file is None and section.dataset is None:
        return []
    where = section.train_file or "", section.dataset or "", section.subset, section.split
    return [Source(*where, section.columns, section.max_examples)]


def read_demonstrations(section: DataSection, on_bad_row: OnBadRow) -> Demonstrations:
    """The section's demonstrations: all rows of its sources in order, or the mixture that their weights ask for.

    A row is used once: of sources whose weights ask for less than they hold, a part is drawn, the same one
    in every run. With ``max_examples`` and one source no further row is read.

    Raises:
        RecordError: a bad row, unless ``on_bad_row`` lets it pass; two rows with one id and different prompts; or a
            source without a demonstration.
        MissingResourceError: there is no such file or data set.
    """
    met: Met = {}
    read: list[list[DataRow]] = []
    sources = sources_of(section)
    for source in sources:
        read.append(list(islice(demonstrations(source, on_bad_row, met), source.head)))
        if not read[-1]:
            raise RecordError(f"{source.name}: holds no demonstration; a row needs prompt and completion, or messages")
    kept = _mixed(read, [one.weight for one in section.sources if one.weight is not None])
    chosen = [row for rows in kept for row in rows][: section.max_examples]
    return Demonstrations(
        [row.example for row in chosen],
        dict(Counter(row.form for row in chosen)),
        [(source.name, len(rows)) for source, rows in zip(sources, kept, strict=True)],
    )


def _mixed(read: Sequence[list[DataRow]], weights: Sequence[float]) -> Sequence[list[DataRow]]:
    """The largest part of each source such that the parts' sizes are as the weights and no row counts twice."""
    if not weights:
        return read
    total = min(len(rows) / weight for rows, weight in zip(read, weights, strict=True))
    kept = []
    for place, (rows, weight) in enumerate(zip(read, weights, strict=True)):
        size = min(len(rows), max(1, round(total * weight)))
        draw = random.Random(child_seed(0, "mixture of sources", place))
        kept.append([rows[index] for index in sorted(draw.sample(range(len(rows)), size))])
    return kept


def differing_columns(examples: Sequence[Example]) -> tuple[int, str]:
    """How many prompts have rows with other columns than their first row, which is what a judge sees; and a column."""
    first: dict[str, Mapping[str, object]] = {}
    found: set[str] = set()
    column = ""
    for example in examples:
        prompt = example.prompt
        seen = first.setdefault(prompt.id, prompt.payload)
        if seen != prompt.payload:
            found.add(prompt.id)
            column = column or next(
                name for name in (*seen, *prompt.payload) if seen.get(name) != prompt.payload.get(name)
            )
    return len(found), column
