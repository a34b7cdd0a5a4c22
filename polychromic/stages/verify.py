"""samples.jsonl -> verdicts.jsonl: every completion judged by the task's checker, only the missing ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from polychromic.core.errors import MissingResourceError
from polychromic.core.nouns import Verdict
from polychromic.core.protocols import BilledTask, Progress, Task, silent, verdicts_on
from polychromic.records import costs
from polychromic.records.evaluation import Folder, opened
from polychromic.records.jsonl import AppendLog
from polychromic.records.verdicts import VerdictKey, verdict_keys, verdict_row

ROWS_PER_WRITE = 256

Verifier = Callable[[Sequence[int]], Iterator[tuple[int, Verdict]]]
"""Given the places of samples without a verdict, each of them with its verdict, in any order."""


def run(folder: Folder, task: Task, progress: Progress = silent) -> Path:
    """The path of ``verdicts.jsonl``, with a verdict on every sample of the folder.

    Raises:
        MissingResourceError: the folder has no samples.
        RecordError: a row is wrong.
    """
    folder = opened(folder)
    if not folder.samples.exists():
        raise MissingResourceError(f"{folder.samples}: there are no samples; draw some with `polychromic sample`")
    every = [
        (key, stored.samples.prompt, completion)
        for stored in folder.sets()
        for key, completion in zip(verdict_keys(stored), stored.samples.completions, strict=True)
    ]

    def verified(places: Sequence[int]) -> Iterator[tuple[int, Verdict]]:
        for start in range(0, len(places), ROWS_PER_WRITE):
            batch = places[start : start + ROWS_PER_WRITE]
            _, prompts, completions = zip(*(every[place] for place in batch), strict=True)
            yield from zip(batch, verdicts_on(task, prompts, completions), strict=True)

    try:
        complete(folder, [key for key, _, _ in every], verified, progress)
    finally:
        bill = task.bill() if isinstance(task, BilledTask) else None
        if bill is not None:
            costs.append(folder.path, [costs.TimingRow("judge", 0.0, 0.0, task.name, bill=bill)])
    return folder.verdicts


def complete(
    folder: Folder, keys: Sequence[VerdictKey], verified: Verifier, progress: Progress = silent
) -> list[Verdict]:
    """A verdict for each key, in order: those of the folder's file, and those found now, written as they are found."""
    folder, meter = opened(folder), costs.Meter()
    with AppendLog(folder.verdicts) as log:
        known = dict(folder.judged())
        missing = [place for place, key in enumerate(keys) if key not in known]
        waiting: list[VerdictKey] = []
        done = 0
        try:
            for place, verdict in verified(missing):
                known[keys[place]] = verdict
                waiting.append(keys[place])
                done += 1
                if len(waiting) >= ROWS_PER_WRITE or done == len(missing):
                    full, waiting = waiting, []  # first, so that an interruption does not write them twice
                    log.append(verdict_row(key, known[key]) for key in full)
                    costs.append(folder.path, [costs.TimingRow("verify", *meter.elapsed())])
                    progress("verify", done, len(missing))
        finally:
            log.append(verdict_row(key, known[key]) for key in waiting)
    return [known[key] for key in keys]
