"""The foreign-file form of ``polychromic verify``: a JSONL of programs in, pass@k and what went wrong out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polychromic.cli.console import progress_bars, show, table
from polychromic.core.errors import InputError


def verify(samples: str, task: Any, out: str | None, as_json: bool) -> None:
    """Judges the file's programs and prints what was found.

    Raises:
        InputError: the task judges no programs, or no row of the file can be used.
    """
    from polychromic.records.jsonl import read_json
    from polychromic.stages import verify_code

    if not hasattr(task, "judging"):
        raise InputError(f"--samples: {task.name} judges no programs; allowed tasks: functions18, humaneval")
    folder = Path(out) if out else Path(samples).with_name(f"{Path(samples).stem}_verified")
    with progress_bars() as progress:
        path = verify_code.run(samples, task, folder, progress=progress)
    result = read_json(path)
    show(result, as_json, [*lines(result), str(path)])


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result as a person reads it."""
    said = [f"{result['samples']} samples of {result['tasks']} problems, {result['passed']} passed"]
    if result.get("not_attempted"):
        said.append(f"{result['not_attempted']} problems of the task were not attempted; pass@k is over the others")
    said += table(["", "score", "95 % interval", "passed/total"], [_rate(k, r) for k, r in result["pass_at_k"].items()])
    for name in ("outcomes", "rules", "refused"):
        if result.get(name):
            said.append(f"{name}: " + ", ".join(f"{key} {count}" for key, count in result[name].items()))
    said += [f"  {place}" for place in result.get("refused_places", ())]
    return [*said, f"sandbox: {result['sandbox'].get('level', 'unknown')}"]


def _rate(k: str, rate: Mapping[str, Any]) -> list[str]:
    if rate["score"] is None:
        return [f"pass@{k}", "-", rate["reason"], "-"]
    interval = "-" if rate["low"] is None else f"{rate['low']:.3f} to {rate['high']:.3f}"
    return [f"pass@{k}", f"{rate['score']:.3f}", interval, f"{rate['passed']}/{rate['total']}"]
