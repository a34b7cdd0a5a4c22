"""Foreign samples of programming problems -> samples.jsonl, verdicts.jsonl and code.json, in one folder.

A row is HumanEval's own (``task_id``, ``completion``: continues the prompt, unchanged) or a whole answer (``task_id``,
``text``: the program is extracted). What cannot be used is counted and named; it never stops the run and never passes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from polychromic.code.extraction import Extraction
from polychromic.code.gold import check_golds, footing
from polychromic.code.nouns import ForeignResult
from polychromic.code.problems import Problem
from polychromic.code.prompting import processed, resolved
from polychromic.code.results import KS, cost_per_pass, summary
from polychromic.code.task import CodeTask
from polychromic.code.verifier import verify_completions
from polychromic.core.errors import InputError, RecordError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Verdict
from polychromic.core.protocols import Progress, no_progress
from polychromic.records.costs import read_costs
from polychromic.records.evaluation import EvaluationFolder
from polychromic.records.jsonl import scan_rows, write_json, write_rows
from polychromic.records.samples import StoredSet, sample_rows
from polychromic.records.verdicts import verdict_keys
from polychromic.reporting.code_page import write_code_report
from polychromic.stages import verify
from polychromic.stages.identity import checkers

NAMED_ROWS = 5


class Sample(NamedTuple):
    """One usable row: the problem, which of its samples this is, the answer and its form."""

    problem: Problem
    number: int
    text: str
    form: Literal["completion", "text", "unusable"]
    temperature: float

    def extraction(self, task: CodeTask) -> Extraction:
        """The program: prompt and completion as they stand, or what the task finds in the answer."""
        if self.form == "unusable":
            return Extraction("", "bad_row")
        asked = "ast" if task.post_processing == "auto" else task.judging.post_processing
        how = resolved("completion" if self.form == "completion" else asked, task.prompting)
        return processed(how, self.text, self.problem.entry_point, self.problem.prompt)


class Reading(NamedTuple):
    """The usable samples of a file, and the rows that are not, by reason with the first few places."""

    samples: list[Sample]
    refused: dict[str, int]
    places: list[str]


def run(
    path: str | Path, task: CodeTask, folder: str | Path, model: str = "", progress: Progress = no_progress
) -> Path:
    """The path of ``code.json`` in ``folder``; verdicts that an earlier, broken-off run found there are kept.

    Raises:
        MissingResourceError: there is no samples file, or no problem data.
        InputError: the file holds no usable row, or the folder holds the samples of another file.
        SandboxError: the sandbox cannot be trusted here.
    """
    folder, model = Path(folder), model or Path(path).stem
    reading = read_samples(path, task.problems)
    if not reading.samples:
        named = "; ".join(f"{count} x {reason}" for reason, count in reading.refused.items()) or "it is empty"
        raise InputError(f"{path}: no row can be used: {named}")
    attempted = {sample.problem.id: sample.problem for sample in reading.samples}
    check = check_golds(list(attempted.values()), task.judging)
    sets = _store(folder, reading.samples, model)

    def verified(places: Sequence[int]) -> Iterator[tuple[int, Verdict]]:
        items = [(reading.samples[place].problem, reading.samples[place].extraction(task)) for place in places]
        return ((places[index], verdict) for index, verdict in verify_completions(items, task.judging))

    by = checkers(task, [stored.samples.prompt for stored in sets])
    due = [
        verify.Due(verdict_keys(stored)[0], stored.digests[0], f"{checker}-{sample.form}")
        for stored, sample, checker in zip(sets, reading.samples, by, strict=True)
    ]
    verdicts = verify.complete(folder, due, verified, progress)
    by_task: dict[str, list[Verdict]] = {}
    for sample, verdict in zip(reading.samples, verdicts, strict=True):
        if sample.problem.id not in check.failed:
            by_task.setdefault(sample.problem.id, []).append(verdict)
    found = summary(by_task, _useful(by_task), {each.id: each.category for each in task.problems})
    result = ForeignResult(
        **vars(found),
        **footing(task, check),
        model=model,
        not_attempted=len(task.problems) - len(attempted),
        identical=len(reading.samples) - len({(s.problem.id, s.text) for s in reading.samples}),
        refused=reading.refused,
        refused_places=tuple(reading.places),
        cost=cost_per_pass(read_costs(folder), found.passed),
    )
    write_json(folder / "code.json", result)
    write_code_report(folder)
    return folder / "code.json"


def _useful(by_task: dict[str, list[Verdict]]) -> list[int]:
    most = max(len(given) for given in by_task.values())
    return [k for k in KS if k <= most]


def read_samples(path: str | Path, problems: Sequence[Problem]) -> Reading:
    """The samples of a JSONL file in its order; a row of a known problem without an answer is a sample that fails."""
    known = {problem.id: problem for problem in problems}
    samples: list[Sample] = []
    refused: Counter[str] = Counter()
    places: list[str] = []
    drawn: Counter[str] = Counter()
    seen: set[tuple[str, int]] = set()
    for line, row in scan_rows(path):
        found = _usable(row, known, drawn, seen)
        if isinstance(found, Sample):
            seen.add((found.problem.id, found.number))
            drawn[found.problem.id] += 1
            samples.append(found)
            continue
        refused[found] += 1
        if len(places) < NAMED_ROWS:
            places.append(str(row) if isinstance(row, RecordError) else f"{path}:{line}: {found}")
    return Reading(samples, dict(refused), places)


def _usable(
    row: dict[str, Any] | RecordError, known: dict[str, Problem], drawn: Counter[str], seen: set[tuple[str, int]]
) -> Sample | str:
    """The sample, or why the row cannot be one."""
    if isinstance(row, RecordError):
        return "malformed row"
    task_id = row.get("task_id")
    if not isinstance(task_id, str):
        return "no task_id"
    if task_id not in known:
        return "unknown task_id"
    index = row.get("sample_index", drawn[task_id])
    if not isinstance(index, int) or isinstance(index, bool):
        return "sample_index is no integer"
    return "duplicate id" if (task_id, index) in seen else _sample(known[task_id], index, row)


def _sample(problem: Problem, index: int, row: dict[str, Any]) -> Sample:
    form: Literal["completion", "text", "unusable"] = "completion" if "completion" in row else "text"
    text, temperature = row.get(form), row.get("temperature", 1.0)
    if not isinstance(text, str):
        form, text = "unusable", ""
    is_number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    return Sample(problem, index, text, form, float(temperature) if is_number else 1.0)


def _store(folder: Path, samples: Sequence[Sample], model: str) -> list[StoredSet]:
    """The samples in the house's own form, one set each, written so that every later stage can read them.

    Samples of an older state of the file are replaced: verdicts know what they are about.

    Raises:
        InputError: the folder holds another model's samples, or what is no file of samples.
    """
    sets: list[StoredSet] = []
    for sample in samples:
        prompt = Prompt(sample.problem.id, sample.problem.prompt, {"entry_point": sample.problem.entry_point})
        drawn = SampleSet(prompt, (Completion(sample.text),), Decoding(temperature=sample.temperature), model)
        sets.append(StoredSet(drawn, "", 0, (sample.number,)))
    held = EvaluationFolder(folder)
    if any(stored.model != model for stored in held.sets()):
        raise InputError(f"{folder}: holds the samples of another file; choose another folder with --out")
    write_rows(held.samples, (row for stored in sets for row in sample_rows(stored)))
    return sets
