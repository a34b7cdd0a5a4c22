"""samples.jsonl -> verdicts.jsonl: every completion judged by the task's checker, only the missing ones."""

from __future__ import annotations

from pathlib import Path

from polychromic.core.errors import MissingResourceError
from polychromic.core.protocols import Progress, Task, silent, verdicts_on
from polychromic.records.costs import spending
from polychromic.records.jsonl import AppendLog
from polychromic.records.samples import read_sets
from polychromic.records.verdicts import read_verdicts, verdict_keys, verdict_row

ROWS_PER_WRITE = 256


def run(folder: str | Path, task: Task, progress: Progress = silent) -> Path:
    """The path of ``verdicts.jsonl``, with a verdict on every sample of the folder.

    Raises:
        MissingResourceError: the folder has no samples.
        RecordError: a row is wrong.
    """
    samples, path = Path(folder) / "samples.jsonl", Path(folder) / "verdicts.jsonl"
    if not samples.exists():
        raise MissingResourceError(f"{samples}: there are no samples; draw some with `polychromic sample`")
    sets = read_sets(samples)
    with AppendLog(path) as log:
        judged = read_verdicts(path)
        missing = [
            (key, stored.samples.prompt, completion)
            for stored in sets
            for key, completion in zip(verdict_keys(stored), stored.samples.completions, strict=True)
            if key not in judged
        ]
        for start in range(0, len(missing), ROWS_PER_WRITE):
            batch = missing[start : start + ROWS_PER_WRITE]
            keys, prompts, completions = zip(*batch, strict=True)
            with spending(folder, "verify"):
                verdicts = verdicts_on(task, prompts, completions)
            log.append(verdict_row(key, verdict) for key, verdict in zip(keys, verdicts, strict=True))
            progress("verify", start + len(batch), len(missing))
    return path
