"""samples.jsonl -> verdicts.jsonl: every completion judged by the task's checker, only the missing ones."""

from __future__ import annotations

from pathlib import Path

from polychromic.core.errors import MissingResourceError
from polychromic.core.protocols import Progress, Task, silent, verdicts_on
from polychromic.records.costs import timed
from polychromic.records.evaluation import Folder, opened
from polychromic.records.jsonl import AppendLog
from polychromic.records.verdicts import verdict_keys, verdict_row

ROWS_PER_WRITE = 256


def run(folder: Folder, task: Task, progress: Progress = silent) -> Path:
    """The path of ``verdicts.jsonl``, with a verdict on every sample of the folder.

    Raises:
        MissingResourceError: the folder has no samples.
        RecordError: a row is wrong.
    """
    folder = opened(folder)
    if not folder.samples.exists():
        raise MissingResourceError(f"{folder.samples}: there are no samples; draw some with `polychromic sample`")
    sets = folder.sets()
    with AppendLog(folder.verdicts) as log:
        judged = folder.judged()
        missing = [
            (key, stored.samples.prompt, completion)
            for stored in sets
            for key, completion in zip(verdict_keys(stored), stored.samples.completions, strict=True)
            if key not in judged
        ]
        for start in range(0, len(missing), ROWS_PER_WRITE):
            batch = missing[start : start + ROWS_PER_WRITE]
            keys, prompts, completions = zip(*batch, strict=True)
            with timed(folder.path, "verify"):
                verdicts = verdicts_on(task, prompts, completions)
            log.append(verdict_row(key, verdict) for key, verdict in zip(keys, verdicts, strict=True))
            progress("verify", start + len(batch), len(missing))
    return folder.verdicts
