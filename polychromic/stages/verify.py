"""samples.jsonl -> verdicts.jsonl: every completion judged by the task's checker, only what is missing or stale."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.nouns import Completion, Prompt, Verdict
from polychromic.core.protocols import BilledTask, ClusteringTask, Crew, Progress, Task, no_progress, verdicts_on
from polychromic.policy.chat import in_format
from polychromic.records import costs
from polychromic.records.evaluation import EvaluationFolder, Folder, opened
from polychromic.records.jsonl import AppendLog
from polychromic.records.verdicts import VerdictKey, VerdictRow, verdict_keys, verdict_row
from polychromic.settings import catalog
from polychromic.stages.identity import checkers

ROWS_PER_WRITE = 256

Asked = Sequence[tuple[Prompt, Completion]]
Verifier = Callable[[Sequence[int]], Iterator[tuple[int, Verdict]]]
"""Given the places of samples without a verdict, each of them with its verdict, in any order."""


@dataclass(frozen=True, slots=True)
class Due:
    """A sample that needs a verdict: its key, and the digests of what the verdict is made of."""

    key: VerdictKey
    sample: str
    checker: str

    def met_by(self, row: VerdictRow | None) -> bool:
        """Whether the row is this sample's verdict by this checker."""
        return row is not None and (row.sample, row.checker) == (self.sample, self.checker)


Judges = Callable[[Sequence[Asked]], Iterable[list[Verdict]]]
"""Given batches of prompts with their completions, the verdicts on each batch, in order."""


def run(
    folder: Folder, task: Task, progress: Progress = no_progress, split: str = "test", judges: Judges | None = None
) -> Path:
    """The path of ``verdicts.jsonl``, with a verdict on every sample of the folder.

    A verdict that was made of another text, other tests or by other code is made anew. What the task knows of a prompt
    in ``split`` today, such as the right answer in its row, counts; for other prompts what the samples hold. The
    verdicts may be found elsewhere, by ``judges``.

    Raises:
        MissingResourceError: the folder has no samples.
        RecordError: a row is wrong.
    """
    folder = opened(folder)
    if not folder.samples.exists():
        raise MissingResourceError(f"{folder.samples}: there are no samples; draw some with `polychromic sample`")
    prompts = _prompts(folder, task, split)
    by = dict(zip(prompts, checkers(task, list(prompts.values())), strict=True))
    due: list[Due] = []
    asked: list[tuple[Prompt, Completion]] = []
    for stored in folder.sets():
        name = stored.samples.prompt.id
        due += [Due(key, digest, by[name]) for key, digest in zip(verdict_keys(stored), stored.digests, strict=True)]
        asked += [(prompts[name], completion) for completion in stored.samples.completions]

    def here(batch: Asked) -> list[Verdict]:
        with costs.billed(folder.path, task):
            return _verdicts(task, batch)

    def verified(places: Sequence[int]) -> Iterator[tuple[int, Verdict]]:
        batches = [places[start : start + ROWS_PER_WRITE] for start in range(0, len(places), ROWS_PER_WRITE)]
        shown = [[asked[place] for place in batch] for batch in batches]
        found = judges(shown) if judges is not None else map(here, shown)
        for batch, verdicts in zip(batches, found, strict=True):
            yield from zip(batch, verdicts, strict=True)

    complete(folder, due, verified, progress)
    if isinstance(task, ClusteringTask):
        _cluster(folder, task, {one.key: one for one in due})
    return folder.verdicts


def elsewhere(crew: Crew | None, entry: Any, task: Task) -> Judges | None:
    """The crew as judges by ``task``, which ``entry`` names; None without one, or where verdicts are paid for.

    What a judge costs is counted where it is asked.
    """
    if crew is None or isinstance(task, BilledTask):
        return None
    return functools.partial(crew.each, functools.partial(_judged, json.dumps(entry)))


def _judged(entry: str, batch: Asked) -> list[Verdict]:
    return _verdicts(_built(entry), batch)


@functools.cache
def _built(entry: str) -> Task:
    task: Task = catalog.build("tasks", json.loads(entry))
    return task


def _verdicts(task: Task, batch: Asked) -> list[Verdict]:
    prompts, completions = zip(*batch, strict=True)
    return verdicts_on(task, prompts, completions)


def _cluster(folder: EvaluationFolder, task: ClusteringTask, due: Mapping[VerdictKey, Due]) -> None:
    """Gives the right completions of each set their cluster as their answer; rows that change are written anew."""
    judged, changed = folder.judged(), []
    for stored in folder.sets():
        right = [
            (key, completion.text)
            for key, completion in zip(verdict_keys(stored), stored.samples.completions, strict=True)
            if judged[key].passed
        ]
        answers = task.standing_for([text for _, text in right]) if right else None
        for (key, _), answer in zip(right, answers or (), strict=False):
            if judged[key].answer != answer:
                one = due[key]
                changed.append(verdict_row(key, replace(judged[key], answer=answer), one.sample, one.checker))
    if changed:
        with AppendLog(folder.verdicts) as log:
            log.append(changed)


def _prompts(folder: EvaluationFolder, task: Task, split: str) -> dict[str, Prompt]:
    """The folder's prompts by id, each as the task has it today where that is still the prompt that was sampled."""
    found = {stored.samples.prompt.id: stored.samples.prompt for stored in folder.sets()}
    try:
        today = task.prompts(split)
    except InputError:  # a judge whose rows come from elsewhere
        return found
    for prompt, turn in zip(today, in_format(today, "chat"), strict=True):
        sampled = found.get(prompt.id)
        if sampled is not None and sampled.content in (prompt.content, turn.content):
            found[prompt.id] = replace(sampled, payload=prompt.payload)
    return found


def complete(folder: Folder, due: Sequence[Due], verified: Verifier, progress: Progress = no_progress) -> list[Verdict]:
    """A verdict for each sample, in order: those of the folder's file, and those found now, written as they are found.

    Verdicts that were made of something else are made anew, with a warning that counts them.
    """
    folder, meter = opened(folder), costs.Meter()
    with AppendLog(folder.verdicts) as log:
        held = folder.verdict_rows()
        known = {one.key: held[one.key].verdict for one in due if one.met_by(held.get(one.key))}
        missing = [place for place, one in enumerate(due) if one.key not in known]
        _say_stale(folder.verdicts, sum(due[place].key in held for place in missing))
        if missing:
            progress("verify", 0, len(missing))
        waiting: list[Due] = []
        done = 0
        try:
            for place, verdict in verified(missing):
                known[due[place].key] = verdict
                waiting.append(due[place])
                done += 1
                if len(waiting) >= ROWS_PER_WRITE or done == len(missing):
                    full, waiting = waiting, []  # first, so that an interruption does not write them twice
                    log.append(_row(one, known) for one in full)
                    costs.append(folder.path, [costs.TimingRow("verify", *meter.elapsed())])
                    progress("verify", done, len(missing))
        finally:
            log.append(_row(one, known) for one in waiting)
    return [known[one.key] for one in due]


def _row(one: Due, known: dict[VerdictKey, Verdict]) -> VerdictRow:
    return verdict_row(one.key, known[one.key], one.sample, one.checker)


def _say_stale(path: Path, count: int) -> None:
    if count:
        warnings.warn(
            f"{path}: {count} verdicts were made of other samples, other tests or by other code, or do not say of "
            "what; they are made anew",
            stacklevel=3,
        )
