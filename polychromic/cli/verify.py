"""``polychromic verify``: a task's checker over samples, ours or foreign ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from polychromic.cli.console import json_option, progress_bars, show, table
from polychromic.core.errors import InputError

TASK_HELP = "A kind of the tasks shelf, or {kind: NAME, option: value}."


@click.command()
@click.argument("folder", type=click.Path(), required=False)
@click.option("--task", required=True, help=TASK_HELP)
@click.option("--samples", type=click.Path(), help="A JSONL of programs: task_id with completion, or with text.")
@click.option("--out", type=click.Path(), help="Where verdicts on --samples go (default: FILE's name, _verified).")
@json_option
def command(folder: str | None, task: str, samples: str | None, out: str | None, as_json: bool) -> None:
    """Judge FOLDER/samples.jsonl, or a foreign FILE of programs; verdicts that exist are kept."""
    if (folder is None) == (samples is None):
        raise click.UsageError("give either a FOLDER of samples, or --samples FILE")
    from polychromic.settings.catalog import build
    from polychromic.settings.yaml_lines import COMMAND_LINE, read_value

    checker = build("tasks", read_value(task, COMMAND_LINE))
    if samples is not None:
        _foreign(samples, checker, out, as_json)
        return
    from polychromic.stages import verify

    assert folder is not None
    with progress_bars() as progress:
        path = verify.run(folder, checker, progress)
    show({"verdicts": str(path)}, as_json, [str(path)])


def _foreign(samples: str, task: Any, out: str | None, as_json: bool) -> None:
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
    show(result, as_json, [*_lines(result), str(path)])


def _lines(result: Mapping[str, Any]) -> list[str]:
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
