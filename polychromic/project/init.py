"""From four answers to two configurations that can be trained: a baseline, and the same with the diversity term."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import yaml

from polychromic.analysis.controls import USUAL
from polychromic.core.errors import InputError, MissingResourceError, RecordError
from polychromic.core.nouns import Example, Prompt
from polychromic.project import plan
from polychromic.project.plan_rows import text_of
from polychromic.records.conversations import conversation, read_examples
from polychromic.records.jsonl import Row, write_rows
from polychromic.records.sources import scan, source_of
from polychromic.settings import catalog
from polychromic.settings.load import load_settings, settings_from
from polychromic.settings.schema import Settings
from polychromic.settings.yaml_lines import read_value
from polychromic.stages.demonstrations import load_data, prove_judge

HELD_OUT = 10
"""One prompt in so many is kept for the evaluation, where no file is given for it."""
MOST_HELD_OUT = 200
ENOUGH_PROMPTS = 20
"""With fewer prompts nothing is held out."""
CHARACTERS_PER_TOKEN = 2.5
"""Fewer than usual, so that a limit made from it is rather too high."""
BATCH = 16
NO_JUDGE = "none"
READINGS: tuple[dict[str, Any], ...] = tuple(
    {"kind": "answer", **options}
    for options in (
        {},
        {"after": "####"},
        {"after": "####", "match": "number"},
        {"after": "boxed"},
        {"match": "number"},
        {"match": "choice"},
    )
)
"""Ways to find a row's answer in a completion, the strictest first."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a person says of their project.

    ``data``: a file (JSONL, JSON, CSV, Parquet), a hub dataset, or a task with demonstrations of its own. ``judge``: a
    kind of task with its options, ``./judge.py:function``, or "none". ``device``: one of ``plan.DEVICES``.
    ``eval_data``: a file of prompts.
    """

    data: str
    judge: str | Mapping[str, Any] = NO_JUDGE
    model: str = "Qwen/Qwen3-8B"
    device: str = "cpu"
    eval_data: str | None = None
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Written:
    """The two configurations, and what a person should know of them, a line each."""

    baseline: Path
    diverse: Path
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Material:
    """Where demonstrations and prompts of the evaluation come from, what was seen of them, and files to be written."""

    source: Mapping[str, Any]
    examples: Sequence[Example]
    evaluated: Any
    files: Mapping[Path, Sequence[Any]] = field(default_factory=dict)
    held_out: int = 0


def write(folder: str | Path, answers: Answers) -> Written:
    """Writes ``baseline.yaml`` and ``diverse.yaml`` into a new folder, checked as training checks them.

    Raises:
        InputError: the folder holds a configuration already, a judge that fails on the demonstrations, a bad row.
        MissingResourceError: there is no such file.
    """
    place = Path(folder)
    there = [path for name in ("baseline.yaml", "diverse.yaml") if (path := place / name).exists()]
    if there:
        raise InputError(f"{there[0]}: exists already; choose another FOLDER")
    if answers.device not in plan.DEVICES:
        raise InputError(f"--gpu: {answers.device!r} is not known; allowed: {', '.join(plan.DEVICES)}")
    judge = _judge(answers.judge)
    material = _material(answers, judge, place)
    chosen, notes = _fitted(_facts(answers, judge, material, place), answers)
    if material.examples:
        load_data(_settings(chosen, answers).data)  # the judge proves itself
    texts = {name: _render(f"{name}.yaml.jinja", chosen) for name in ("baseline", "diverse")}
    place.mkdir(parents=True, exist_ok=True)
    for path, rows in material.files.items():
        write_rows(path, rows)
    for name, text in texts.items():
        (place / f"{name}.yaml").write_text(text, encoding="utf-8")
    written = Written(place / "baseline.yaml", place / "diverse.yaml", tuple(notes))
    load_settings(written.diverse)
    return written


def is_task(data: str) -> bool:
    """Whether ``data`` is a task of the shelf, which has demonstrations and a judge of its own."""
    return not Path(data).is_file() and data in catalog.kinds("tasks")


def suggested_judge(data: str) -> str:
    """The judge that a file speaks for: where a column is called ``answer``, the first reading that takes its rows.

    Without a reading that finds the demonstrations right and others wrong it is plain ``answer``, which will say why.
    """
    if not Path(data).is_file() or "answer" not in next(_rows(data), {}):
        return NO_JUDGE
    examples = read_examples(data)
    for reading in READINGS:
        with suppress(InputError):
            prove_judge(catalog.build("tasks", reading | {"path": data}), examples, USUAL)
            return _in_one_line(reading) if len(reading) > 1 else str(reading["kind"])
    return "answer"


def _judge(given: str | Mapping[str, Any]) -> dict[str, Any] | None:
    """The judge as a configuration writes it; files are named from the root."""
    if given == NO_JUDGE:
        return None
    if isinstance(given, str) and ".py:" in given:
        file, _, name = given.rpartition(":")
        return {"kind": "function", "functions": f"{os.path.abspath(file)}:{name}"}
    return {"kind": given} if isinstance(given, str) else dict(given)


def _material(answers: Answers, judge: dict[str, Any] | None, place: Path) -> _Material:
    data = answers.data
    if Path(data).is_file():
        return _of_file(answers, judge, place)
    if data.endswith((".jsonl", ".json", ".csv", ".tsv", ".parquet")):
        raise MissingResourceError(f"--data: there is no file {data}")
    if is_task(data):
        return _Material({"task": {"kind": data}}, catalog.build("tasks", data).examples("train"), {"kind": data})
    if not answers.eval_data:
        raise InputError("--eval-data: a JSONL file of prompts is needed beside a dataset of the hub")
    return _Material({"dataset": data}, (), _over(judge, answers.eval_data))


def _of_file(answers: Answers, judge: dict[str, Any] | None, place: Path) -> _Material:
    """The demonstrations of a file; without one for the evaluation some of its prompts are held out."""
    examples = read_examples(answers.data)
    if answers.eval_data:
        return _Material({"train_file": answers.data}, examples, _over(judge, answers.eval_data))
    kept = _held_out([example.prompt for example in examples])
    if not kept:
        return _Material({"train_file": answers.data}, examples, _over(judge, answers.data))
    files: dict[Path, list[Any]] = {place / "train.jsonl": [], place / "eval.jsonl": []}
    learnt_from, asked = files
    for row in _rows(answers.data):
        files[asked if conversation(row).example.prompt.id in kept else learnt_from].append(row)
    learnt = [example for example in examples if example.prompt.id not in kept]
    return _Material({"train_file": str(learnt_from)}, learnt, _over(judge, str(asked)), files, len(kept))


def _rows(data: str) -> Iterator[Row]:
    """The rows of a file as they stand; raises RecordError for the first bad one."""
    for _, row in scan(source_of(data)):
        if isinstance(row, RecordError):
            raise row
        yield row


def _held_out(prompts: Sequence[Prompt]) -> set[str]:
    """The ids that a hash of each id picks, the same for every order of the rows; none of few prompts."""
    ranked = sorted({prompt.id for prompt in prompts}, key=lambda id_: hashlib.sha256(id_.encode()).digest())
    if len(ranked) < ENOUGH_PROMPTS:
        return set()
    return set(ranked[: min(MOST_HELD_OUT, len(ranked) // HELD_OUT)])


def _over(judge: dict[str, Any] | None, path: str) -> dict[str, Any]:
    return (judge or {"kind": "conversations"}) | {"path": path}


def _facts(answers: Answers, judge: dict[str, Any] | None, material: _Material, place: Path) -> dict[str, Any]:
    """What the templates are filled with, but for what the device decides."""
    own = material.source.get("task")
    longest = max((_tokens(example.demonstration) for example in material.examples), default=256.0)
    whole = max((_tokens(text_of(example.prompt)) for example in material.examples), default=256.0) + longest
    note = f"; {material.held_out} prompts are held out for the evaluation" if material.held_out else ""
    return {
        "folder": place,
        "group": place.resolve().name.replace(" ", "-"),
        "model": answers.model,
        "device": answers.device,
        "gpu": answers.device != "cpu",
        "source": material.source,
        "plain": any(isinstance(example.prompt.content, str) for example in material.examples),
        "judge": judge,
        "judged": catalog.outline("tasks", judge or own).judges if judge or own else False,
        "evaluated": material.evaluated,
        "rows": f"{len(material.examples):,}" if material.examples else "A dataset's",
        "held_out": note,
        "new_tokens": _power_of_two(longest, 16, 1024),
        "length": _power_of_two(whole, 128, 4096),
        "rate": "2e-3" if answers.model.startswith("embedded:") else "1e-4",
        "strength": answers.strength,
    }


def _tokens(text: str) -> float:
    return len(text) / CHARACTERS_PER_TOKEN


def _power_of_two(number: float, least: int, most: int) -> int:
    return min(most, max(least, 2 ** math.ceil(math.log2(max(1.0, number)))))


def _fitted(facts: dict[str, Any], answers: Answers) -> tuple[dict[str, Any], list[str]]:
    """The facts with the largest batch that fits the device, in 4 bits only where nothing else does."""
    for quantized in (False, True) if facts["gpu"] else (False,):
        for batch in (8, 4, 2, 1):
            chosen = facts | {"quantized": quantized, "batch": batch, "accumulation": BATCH // batch}
            forecast = plan.forecast(_settings(chosen, answers), answers.device)
            if forecast.fits:
                return chosen, list(forecast.notes)
    need = sum(forecast.memory.values())
    return chosen, [f"about {need:.0f} GiB are needed, more than one {answers.device} has; choose a smaller model"]


def _settings(chosen: Mapping[str, Any], answers: Answers) -> Settings:
    """The settings of the diverse run, with all rows of a file of which some will be held out."""
    values = read_value(_render("baseline.yaml.jinja", chosen), "baseline.yaml")
    values["polychromic"]["lambda"] = answers.strength
    if "train_file" in values["data"]:
        values["data"]["train_file"] = answers.data
    return settings_from(values)


def _render(name: str, facts: Mapping[str, Any]) -> str:
    loader = jinja2.PackageLoader("polychromic.project")
    templates = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["yaml"] = _in_one_line
    return templates.get_template(name).render(facts)


def _in_one_line(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
