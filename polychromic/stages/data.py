"""A look at a data file before it costs anything: counts, lengths, duplicates, rows that would be dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from polychromic.core.errors import InputError, RecordError
from polychromic.core.nouns import Example, Prompt
from polychromic.records.conversations import DataRow, Met, conversations, demonstrations, refuse
from polychromic.records.sources import Source
from polychromic.settings import catalog
from polychromic.settings.load import load_settings
from polychromic.settings.schema import ModelSection
from polychromic.stages.rows import differing_columns, read_demonstrations, sources_of


@dataclass(frozen=True, slots=True)
class Lengths:
    """Words per text: the middle, the 95th percentile and the longest."""

    median: int
    p95: int
    longest: int


@dataclass(frozen=True, slots=True)
class DataReport:
    """What a data file holds; ``bad`` has one ``file:line: reason`` for each row that training would refuse.

    ``lacking`` are columns that only some rows have, with how many have not; ``differing`` counts the prompts whose
    rows differ in other columns than the completion, of which a judge sees the first.
    """

    path: str
    rows: int
    forms: dict[str, int]
    prompts: int
    repeated_rows: int
    shared_prompts: int
    prompt_words: Lengths | None
    completion_words: Lengths | None
    bad: tuple[str, ...]
    plain: int = 0
    lacking: Mapping[str, int] = field(default_factory=dict)
    differing: int = 0


def examine(path: str | Path) -> DataReport:
    """Counts and lengths of a file, or of the rows that a configuration (YAML) learns from; bad rows included.

    Raises:
        MissingResourceError: there is no such file.
        RecordError: the file holds no row at all.
    """
    bad: list[RecordError] = []
    met: Met = {}
    rows = [row for source in _sources(Path(path)) for row in conversations(source, bad.append, met)]
    if not rows and not bad:
        raise RecordError(f"{path}: is empty")
    columns = Counter(name for row in rows for name in row.example.prompt.payload)
    prompts = Counter(row.example.prompt.content for row in rows)
    pairs = Counter((row.example.prompt.content, row.example.demonstration) for row in rows)
    return DataReport(
        path=str(path),
        rows=len(rows) + len(bad),
        forms=dict(Counter(row.form for row in rows)),
        prompts=len(prompts),
        repeated_rows=sum(count - 1 for count in pairs.values()),
        shared_prompts=sum(1 for count in prompts.values() if count > 1),
        prompt_words=_lengths([_words(row.example.prompt) for row in rows]),
        completion_words=_lengths([_demonstration_words(row) for row in rows if row.demonstrated]),
        bad=tuple(str(error) for error in bad),
        plain=sum(isinstance(row.example.prompt.content, str) for row in rows),
        lacking={name: len(rows) - count for name, count in sorted(columns.items()) if count < len(rows)},
        differing=differing_columns([row.example for row in rows])[0],
    )


def _sources(path: Path) -> list[Source]:
    """The file itself, or the sources of a configuration.

    Raises:
        InputError: the configuration's rows come from a task.
    """
    if path.suffix not in (".yaml", ".yml"):
        return [Source(path)]
    found = sources_of(load_settings(path).data)
    if not found:
        raise InputError(f"{path}: data: its rows are a task's; give train_file, dataset or sources")
    return found


def read_head(where: str | Path, count: int, model: str | None = None) -> tuple[ModelSection, list[Example]]:
    """The model and the first ``count`` demonstrations of a configuration, or of a file with the model of that name.

    Raises:
        InputError: a bad row, a file without a model, or a configuration with one.
    """
    path = Path(where)
    if path.suffix in (".yaml", ".yml"):
        settings = load_settings(path)
        section = settings.model if model is None else settings.model.model_copy(update={"name_or_path": model})
        data = settings.data.model_copy(update={"max_examples": count})
        if sources_of(data):
            return section, list(read_demonstrations(data, refuse).examples)
        return section, list(catalog.build("tasks", data.task).examples(data.split))[:count]
    if model is None:
        raise InputError(f"{path}: give --model, or a configuration, which names one; the template is the model's")
    rows = islice(demonstrations(Source(path)), count)
    return ModelSection(name_or_path=model), [row.example for row in rows]


def _words(prompt: Prompt) -> int:
    turns = [prompt.content] if isinstance(prompt.content, str) else [turn.content for turn in prompt.content]
    return sum(len(turn.split()) for turn in turns)


def _demonstration_words(row: DataRow) -> int:
    return len(row.example.demonstration.split())


def _lengths(counts: list[int]) -> Lengths | None:
    if not counts:
        return None
    ordered = sorted(counts)
    return Lengths(ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)], ordered[-1])
