"""What follows a training: the command that evaluates the run, beside the runs that it can be compared with."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polychromic.core.errors import InputError
from polychromic.records.artefacts import RunFolder, differences
from polychromic.settings import catalog
from polychromic.settings.load import load_settings, resolved
from polychromic.settings.schema import Settings

YOUR_PROMPTS = "YOUR_PROMPTS.jsonl"
SHARED = ("model", "quantization", "data")
"""Sections that are equal in runs which one evaluation can compare."""


@dataclass(frozen=True, slots=True)
class Following:
    """The next command, and how a person is told of it; both empty when the run is not finished."""

    command: str
    lines: tuple[str, ...]


def after(folder: Path) -> Following:
    """What to do with the run in ``folder`` when it is finished.

    The models are the base, the run, and the finished runs beside it with the same base and data; one of lambda 0 is
    the baseline.
    """
    run = RunFolder(folder)
    if not run.finished or not run.adapter.exists():
        return Following("", ())
    settings = load_settings(run.resolved)
    runs = {folder.name: settings} | _beside(folder, settings)
    plain = [name for name, own in runs.items() if own.polychromic.diversity_weight == 0 and own.data.harvest is None]
    places = {name: str(folder.parent / name) for name in sorted(runs)}
    command = evaluate_command(str(run.resolved), settings, places, plain[0] if plain and len(runs) > 1 else None)
    lines = [f"next: {command}"]
    if not plain:
        lines.append("no run of lambda 0 is beside it: train one too, as what the verdict compares with")
    if YOUR_PROMPTS in command:
        lines.append(f'{YOUR_PROMPTS}: prompts that were not learnt from, one {{"prompt": ...}} a line')
    return Following(command, tuple(lines))


def evaluate_command(config: str, settings: Settings, runs: Mapping[str, str], baseline: str | None) -> str:
    """The command that evaluates the base and ``runs`` (name: folder) with the settings of ``config``, beside them."""
    models = [f"base={settings.model.name_or_path}", *(f"{name}={folder}" for name, folder in runs.items())]
    words = ["polychromic", "evaluate", "--config", config, "--models", ",".join(models), *_task(settings)]
    words += ["--baseline", baseline] if baseline is not None else []
    return shlex.join([*words, "--out", str(Path(next(iter(runs.values()))).parent / "evaluation")])


def _beside(folder: Path, settings: Settings) -> dict[str, Settings]:
    """The finished runs in the same folder that share base and data."""
    own, found = resolved(settings), {}
    for path in sorted(folder.parent.iterdir()):
        other = RunFolder(path)
        if path == folder or not other.run_json.is_file() or not other.adapter.exists() or not other.finished:
            continue
        try:
            theirs = load_settings(other.resolved)
        except InputError:
            continue  # of another version: not to be compared without a look
        values = resolved(theirs)
        if not any(differences(_plain(own[name]), _plain(values[name])) for name in SHARED):
            found[path.name] = theirs
    return found


def _plain(section: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (section or {}).items() if key != "harvest"}


def _task(settings: Settings) -> list[str]:
    """``--task``, where the configuration has none for the evaluation."""
    if settings.evaluation.task is not None:
        return []
    judge = settings.data.task
    own = settings.data.train_file is None and settings.data.dataset is None
    if judge is not None and own:
        return ["--task", _written(catalog.split(judge))]
    kind, options = catalog.split(judge) if judge is not None else ("conversations", {})
    return ["--task", _written((kind, options | {"path": YOUR_PROMPTS}))]


def _written(entry: tuple[str, dict[str, Any]]) -> str:
    kind, options = entry
    return json.dumps({"kind": kind} | options) if options else kind
