"""What a run leaves behind: the names in its folder, ``run.json``, and the signatures stages recognise work by."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from polychromic.core.digests import text_digest
from polychromic.core.errors import InputError
from polychromic.records.health import HealthRecord
from polychromic.records.jsonl import read_json, to_jsonable, write_json
from polychromic.records.logs import seconds_logged
from polychromic.records.rows import read_noun

PACKAGES = (
    "polychromic",
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "numpy",
    "sentence-transformers",
    "sacrebleu",
    "nltk",
)
COSMETIC = (
    ("tracking",),
    ("health",),
    ("training", "report_to"),
    ("experiment", "notes"),
    ("experiment", "group"),
    ("experiment", "output_root"),
    ("experiment", "license"),
)
"""Settings that do not change what a run computes; they may differ on resuming, as may all of ``evaluation`` but the
encoder, which rewards use."""


@dataclass(frozen=True, slots=True)
class WandbId:
    """The run's name at W&B, and how it was kept: "online" or "offline"."""

    id: str
    mode: str = ""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is read of ``run.json``; the file holds more for people, such as the account of a harvest.

    ``started`` and ``finished`` are UTC times, ``seconds`` those of training in all ``parts``: a run has one more with
    every time it was continued. ``made_of`` holds the digests of data, judge, base and tokenizer; empty in a file of an
    older version.
    """

    settings_hash: str = ""
    settings: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    started: str = ""
    finished: str | None = None
    seconds: float | None = None
    parts: int = 0
    wandb: WandbId | None = None
    health: HealthRecord = field(default_factory=HealthRecord)
    made_of: Mapping[str, str] = field(default_factory=dict)

    def setting(self, section: str, *names: str) -> Any:
        """A setting under the first of its names that the file has; None when it has none."""
        found = self.settings.get(section) or {}
        return next((found[name] for name in names if name in found), None)

    def number(self, section: str, *names: str) -> float | None:
        """A setting that is a number; None when it is none."""
        value = self.setting(section, *names)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The names inside one training run's folder."""

    path: Path

    @property
    def adapter(self) -> Path:
        """The trained weights."""
        return self.path / "adapter_model.safetensors"

    @property
    def resolved(self) -> Path:
        """The whole configuration as it ran."""
        return self.path / "resolved.yaml"

    @property
    def run_json(self) -> Path:
        """Settings with their hash, seeds, versions and git revision."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """Every logged number, one row a log."""
        return self.path / "metrics.jsonl"

    @property
    def training_samples(self) -> Path:
        """Some samples of diversity steps, one row each; only when ``tracking.log_samples`` asks."""
        return self.path / "training_samples.jsonl"

    @property
    def held_out_samples(self) -> Path:
        """Some completions of held-out prompts at each evaluation, one row each."""
        return self.path / "held_out_samples.jsonl"

    @property
    def trainer_state(self) -> Path:
        """The trainer's own record, with the log history."""
        return self.path / "trainer_state.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def begun(self) -> bool:
        """Whether anything was trained here that a new start would lose."""
        return self.finished or self.adapter.exists() or any(self.checkpoints.glob("*"))

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.record().finished is not None

    def record(self) -> RunRecord:
        """What ``run.json`` says, an empty record without one; raises RecordError when it is damaged."""
        return read_noun(self.run_json, RunRecord) if self.run_json.exists() else RunRecord()


def open_run(path: str | Path, settings: Mapping[str, Any], seeds: Mapping[str, int]) -> RunFolder:
    """The run's folder, made with its ``run.json`` if it is new, or taken up again if it holds this very configuration.

    A run in which nothing was trained yet is replaced.

    Raises:
        InputError: the folder holds a run of another configuration, or something that is no run at all.
    """
    folder = refuse_other_run(path, settings)
    same = folder.record().settings_hash == settings_hash(settings)
    if folder.begun or same:
        return folder
    write_json(
        folder.run_json,
        {
            "settings_hash": settings_hash(settings),
            "settings": to_jsonable(settings),
            "seeds": seeds,
            "versions": versions(),
            "git_revision": git_revision(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "finished": None,
        },
    )
    return folder


def extend_run(folder: RunFolder, settings: Mapping[str, Any]) -> None:
    """Makes ``settings`` those of a run that goes on by them; ``run.json`` keeps what was changed, and when."""
    old, at = read_json(folder.run_json), datetime.now(UTC).isoformat(timespec="seconds")
    changes = {name: [_at(old["settings"], name), _at(settings, name)] for name in changed_settings(folder, settings)}
    update_run(
        folder,
        settings=to_jsonable(settings),
        settings_hash=settings_hash(settings),
        finished=None,
        extended=[*old.get("extended", []), {"at": at, "finished": old["finished"], "changes": changes}],
    )


def begin_part(folder: RunFolder) -> float:
    """Counts one more part of a run's training; the seconds of the parts before, also of those that were killed."""
    known = folder.record()
    before = max(known.seconds or 0.0, seconds_logged(folder.metrics))
    update_run(folder, parts=known.parts + 1, seconds=before)
    return before


def changed_settings(folder: RunFolder, settings: Mapping[str, Any]) -> list[str]:
    """The dotted names of what ``settings`` change in what the run of the folder computes."""
    stored = folder.record()
    same = stored.settings_hash == settings_hash(settings)
    return [] if same else differences(_decisive(stored.settings), _decisive(settings))


def _at(settings: Mapping[str, Any], name: str) -> Any:
    for part in name.split("."):
        settings = (settings or {}).get(part)  # type: ignore[assignment]
    return settings


def refuse_other_run(path: str | Path, settings: Mapping[str, Any], extended: Sequence[str] = ()) -> RunFolder:
    """The folder, nothing in it changed; what is named in ``extended`` may differ. Raises what ``open_run`` raises."""
    folder = RunFolder(Path(path))
    if folder.run_json.exists():
        if folder.begun:
            _same_configuration(folder, settings, extended)
    elif folder.path.is_file() or (folder.path.is_dir() and any(_visible(folder.path))):
        raise InputError(f"{path}: is not empty and holds no run of ours; choose another folder")
    return folder


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def update_run(folder: RunFolder, **facts: Any) -> None:
    """Adds facts to ``run.json``."""
    write_json(folder.run_json, read_json(folder.run_json) | facts)


def finish_run(folder: RunFolder, **facts: Any) -> None:
    """Marks the run as having come to its end, with further facts for ``run.json``."""
    update_run(folder, finished=datetime.now(UTC).isoformat(timespec="seconds"), **facts)


def _same_configuration(folder: RunFolder, settings: Mapping[str, Any], extended: Sequence[str]) -> None:
    changed = [name for name in changed_settings(folder, settings) if name not in extended]
    if not changed:
        return
    named = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
    raise InputError(
        f"{folder.path}: holds a run of another configuration (different: {named}); "
        "choose another experiment.name or output folder"
    )


def settings_hash(settings: Mapping[str, Any]) -> str:
    """16 hex digits that change when anything changes that the run computes."""
    return signature(_decisive(settings))


def signature(value: Any) -> str:
    """16 hex digits (SHA-256) of a value's canonical JSON."""
    return text_digest(json.dumps(to_jsonable(value), sort_keys=True, separators=(",", ":")))


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys at which two settings differ, sorted; what is empty is as good as not there (a later setting)."""
    found = []
    for key in sorted(set(old) | set(new)):
        a, b = (None if side.get(key) in ({}, [], ()) else side.get(key) for side in (old, new))
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{key}.")
        elif to_jsonable(a) != to_jsonable(b):
            found.append(f"{prefix}{key}")
    return found


def _decisive(settings: Mapping[str, Any]) -> dict[str, Any]:
    kept = json.loads(json.dumps(to_jsonable(settings)))
    for *parents, last in COSMETIC:
        section = kept
        for parent in parents:
            section = section.get(parent, {})
        section.pop(last, None)
    if "evaluation" in kept:
        watched = kept["evaluation"].get("during_training") or {}
        chooses = watched.get("prompts") and kept.get("training", {}).get("metric_for_best_model")
        kept["evaluation"] = {"encoder": kept["evaluation"].get("encoder")}
        if chooses:  # else it only looks
            kept["evaluation"]["during_training"] = watched
    return dict(kept)


def versions() -> dict[str, str]:
    """The installed version of every package that can change a number."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_revision() -> str | None:
    """The revision of the code's own repository, with ``+changed`` when files differ from it; None outside one."""
    here = Path(__file__).parent
    try:
        _git(here, "ls-files", "--error-unmatch", Path(__file__).name)
        revision = _git(here, "rev-parse", "HEAD")
        return revision + ("+changed" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True, timeout=10
    )
    return done.stdout.strip()
