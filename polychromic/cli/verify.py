"""``polychromic verify``: a task's checker over samples, ours or foreign ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polychromic.cli.console import json_option, progress_bars, show, table

if TYPE_CHECKING:
    from polychromic.code.nouns import CodeRun, Footing, ForeignResult, PassRate

TASK_HELP = "A kind of the tasks shelf, or {kind: NAME, option: value}."


def task_entry(text: str) -> Any:
    """The entry that ``--task`` stands for: itself, or what a configuration such as a benchmark's has as its task."""
    from polychromic.settings.yaml_lines import COMMAND_LINE, read_source, read_value

    return read_source(text).values.get("task") if text.endswith((".yaml", ".yml")) else read_value(text, COMMAND_LINE)


@click.command()
@click.argument("folder", type=click.Path(), required=False)
@click.option("--task", required=True, help=TASK_HELP + " Or a YAML file with a `task`.")
@click.option("--samples", type=click.Path(), help="A JSONL of programs: task_id with completion, or with text.")
@click.option("--out", type=click.Path(), help="Where verdicts on --samples go (default: FILE's name, _verified).")
@json_option
def command(folder: str | None, task: str, samples: str | None, out: str | None, as_json: bool) -> None:
    """Judge FOLDER/samples.jsonl, or a foreign FILE of programs; verdicts that exist are kept."""
    if (folder is None) == (samples is None):
        raise click.UsageError("give either a FOLDER of samples, or --samples FILE")
    from polychromic.settings.catalog import build

    checker = build("tasks", task_entry(task))
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
    from polychromic.code.nouns import ForeignResult
    from polychromic.code.task import judging_programs
    from polychromic.records.rows import read_noun
    from polychromic.stages import verify_code

    task = judging_programs(task, "--samples")
    folder = Path(out) if out else Path(samples).with_name(f"{Path(samples).stem}_verified")
    with progress_bars() as progress:
        path = verify_code.run(samples, task, folder, progress=progress)
    result = read_noun(path, ForeignResult)
    show(result, as_json, [*_lines(result), str(path)])


def _lines(result: ForeignResult) -> list[str]:
    """The result as a person reads it."""
    absent = f", {result.absent} not judged" if result.absent else ""
    said = [f"{result.samples} samples of {result.tasks} problems, {result.passed} passed{absent}"]
    if result.not_attempted:
        said.append(f"{result.not_attempted} problems of the task were not attempted; pass@k is over the others")
    said += gold_lines(result)
    said += table(["", "score", "95 % interval", "passed/total"], [_rate(k, r) for k, r in result.pass_at_k.items()])
    for name, counts in (("outcomes", result.outcomes), ("rules", result.rules), ("refused", result.refused)):
        if counts:
            said.append(f"{name}: " + ", ".join(f"{key} {count}" for key, count in counts.items()))
    said += [f"  {place}" for place in result.refused_places]
    said += failing_lines(result)
    return [*said, f"sandbox: {result.sandbox.get('level', 'unknown')}"]


MOST_NAMED = 10


def failing_lines(item: CodeRun | ForeignResult) -> list[str]:
    """The first problems that were not always solved, a line each."""
    rows = item.failing
    said = [f"  {row.task}: {row.passed}/{row.judged}  {row.outcome} {row.detail}"[:150] for row in rows[:MOST_NAMED]]
    more = [f"  and {len(rows) - MOST_NAMED} more in report.html"] if len(rows) > MOST_NAMED else []
    name = item.name or "samples"
    return ["", f"{name}: {len(rows)} of {item.tasks} problems were not always solved", *said, *more] if rows else []


def gold_lines(result: Footing) -> list[str]:
    """What the benchmark's own self-check and file said, where there is something to say."""
    gold, said = result.gold, []
    if gold.failed:
        said.append(
            f"{len(gold.failed)} of {gold.checked} gold programs fail their own tests here; "
            "these problems are left out:"
        )
        said += [f"  {name}: {why}" for name, why in gold.failed.items()]
    if result.bad_rows:
        said.append(f"{result.bad_rows} rows of the benchmark's file are no problems:")
        said += [f"  {place}" for place in result.bad_places]
    return said


def _rate(k: str, rate: PassRate) -> list[str]:
    if math.isnan(rate.score):
        return [f"pass@{k}", "-", rate.reason, "-"]
    interval = "-" if math.isnan(rate.low) else f"{rate.low:.3f} to {rate.high:.3f}"
    return [f"pass@{k}", f"{rate.score:.3f}", interval, f"{rate.passed}/{rate.total}"]
