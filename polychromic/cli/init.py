"""``polychromic init``: the first configuration, from a few questions or options."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import click

from polychromic.cli.console import json_option, show

GIB = 1024
"""MiB, the unit of nvidia-smi."""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False), default="experiment")
@click.option("--data", help="Demonstrations: JSONL, JSON, CSV or Parquet, a hub dataset, or a task such as countdown.")
@click.option("--judge", help="none, a kind of task such as answer, {kind: NAME, ...}, or ./judge.py:function.")
@click.option("--model", help="A hub name, a folder, or embedded:countdown.  [default: Qwen/Qwen3-8B]")
@click.option("--gpu", help="cpu, rtx4090, l40s, a100, h100 or h200.  [default: what is here]")
@click.option("--eval-data", help="JSONL of prompts for the evaluation.  [default: a tenth of --data is held out]")
@click.option("--lambda", "strength", default=1.0, show_default=True, help="Weight of the diversity term.")
@json_option
def command(folder: str, strength: float, as_json: bool, **given: str | None) -> None:
    """Write FOLDER/baseline.yaml and FOLDER/diverse.yaml, with comments, ready to be trained.

    In a terminal it asks for what no option says; elsewhere it never asks.
    """
    from polychromic.project import init

    answers = init.Answers(**_answered(given), strength=strength)
    written = init.write(folder, answers)
    lines = [
        *([] if given["judge"] else [f"judge: {json.dumps(answers.judge)}"]),
        *(f"note: {note}" for note in written.notes),
        str(written.baseline),
        str(written.diverse),
        f"next: polychromic doctor {written.diverse}",
        f"      polychromic plan {written.baseline} {written.diverse}",
        f"      polychromic launch {written.baseline} {written.diverse}",
    ]
    show(written, as_json, lines)


def _answered(given: dict[str, str | None]) -> dict[str, Any]:
    """What the options say, and the person where one is there to be asked."""
    from polychromic.project import init
    from polychromic.settings.yaml_lines import COMMAND_LINE, read_value

    data = given["data"] or _ask("demonstrations (a file, a hub dataset, or countdown)", None)
    if data is None:
        raise click.UsageError("--data: is missing; give a JSONL file, a hub dataset, or a task such as countdown")
    own = init.is_task(data)
    suggested = init.NO_JUDGE if own else init.suggested_judge(data)
    judge = given["judge"] or (init.NO_JUDGE if own else _ask("who judges an answer (none, answer, ...)", suggested))
    model = "embedded:countdown" if data == "countdown" else "Qwen/Qwen3-8B"
    return {
        "data": data,
        "judge": judge if ".py:" in judge else read_value(judge, COMMAND_LINE),
        "model": given["model"] or _ask("model", model),
        "device": given["gpu"] or _ask("GPU (cpu, rtx4090, l40s, a100, h100, h200)", here()),
        "eval_data": given["eval_data"],
    }


def _ask(question: str, default: str | None) -> Any:
    """The person's answer; the default where nobody sits at a terminal."""
    return click.prompt(question, default=default, err=True) if sys.stdin.isatty() else default


def here() -> str:
    """The device of the forecast that is nearest to this machine's first GPU: the largest that has no more memory."""
    from polychromic.project.plan import DEVICES

    if shutil.which("nvidia-smi") is None:
        return "cpu"
    asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20)
    try:
        memory = float(done.stdout.splitlines()[0]) / GIB
    except (IndexError, ValueError):
        return "cpu"
    held = [name for name, device in DEVICES.items() if name != "cpu" and device.memory <= memory * 1.05]
    return max(held, key=lambda name: DEVICES[name].memory, default="rtx4090")
