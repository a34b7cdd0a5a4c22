"""Where a run's numbers go: ``metrics.jsonl`` beside the weights, and Weights & Biases, the only door to wandb.

The file is the record; W&B is a convenience that never stands in the way: without a key or a network the run is kept
offline, and when wandb fails it is left out with one warning.
"""

from __future__ import annotations

import json
import math
import netrc
import os
import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback, get_available_reporting_integrations
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.protocols import Progress
from polychromic.records.artefacts import RunFolder, update_run
from polychromic.records.jsonl import AppendLog, write_rows
from polychromic.records.logs import rows_until
from polychromic.records.metric_names import SECTIONS, in_section
from polychromic.settings.schema import TrackingSection

Send = Callable[[str, Sequence[str], Sequence[Sequence[Any]]], None]
"""Takes rows of a table: its name, columns and rows."""
INIT_SECONDS = 15.0
FINISH_SECONDS = 30.0
WANDB_HOST = "api.wandb.ai"


class MetricsFile(TrainerCallback):  # type: ignore[misc]
    """Appends every log to a JSONL file, durable when written; a resumed run first drops what lies after its step.

    Each row has the ``seconds`` trained so far; ``before`` are those of the run's earlier parts.
    """

    def __init__(self, path: str | Path, before: float = 0.0) -> None:
        self.path, self.before = Path(path), before
        self._began = time.monotonic()
        self._log: AppendLog | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Opens the file at the step the run is at."""
        self._began = time.monotonic()
        if not state.is_world_process_zero:
            return
        AppendLog(self.path).close()  # mends a half-written last line
        kept = rows_until(self.path, state.global_step)
        write_rows(self.path, kept if state.global_step else [])
        self._log = AppendLog(self.path)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Writes the newest log."""
        if self._log is not None and state.log_history:
            row = {"step": state.global_step} | state.log_history[-1] | {"seconds": self.seconds}
            if "train_runtime" in row:
                row["train_runtime"] = self.seconds
            self._log.append([row])

    @property
    def seconds(self) -> float:
        """Trained so far, all parts of the run together; to 0.01."""
        return round(self.before + time.monotonic() - self._began, 2)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Closes the file."""
        self.close()

    def close(self) -> None:
        """Closes the file, also after a run that broke off."""
        if self._log is not None:
            self._log.close()
            self._log = None


class ProgressReport(TrainerCallback):  # type: ignore[misc]
    """Tells a Progress how many steps are done."""

    def __init__(self, progress: Progress, name: str) -> None:
        self.progress, self.name = progress, name

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Shows where the run starts."""
        self.on_step_end(args, state, control, **kwargs)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Shows the step."""
        if state.is_world_process_zero:
            self.progress(self.name, state.global_step, state.max_steps)


class WandbRun(TrainerCallback):  # type: ignore[misc]
    """Logs to W&B, online with a key and a network, else offline; resumes the run named in ``run.json``.

    Sent are the numbers and ``config``, an allow-list: no prompts or completions (but for the tables that
    ``tracking.log_samples`` asks for), no code, no command line.
    """

    def __init__(
        self, section: TrackingSection, folder: RunFolder, name: str, config: Mapping[str, Any], group: str = ""
    ) -> None:
        self.section, self.folder, self.name, self.config, self.group = section, folder, name, dict(config), group
        self._tables: dict[str, Any] = {}
        self._run: Any = None
        self._step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Starts or resumes the run."""
        for attempt in _modes(self.section.wandb) if state.is_world_process_zero else ():
            self._run = self._start(attempt)
            if self._run is not None:
                update_run(self.folder, wandb={"id": self._run.id, "mode": attempt})
                return
            self._try("let go of a failed start", _teardown)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Sends the newest log."""
        if self._run is None or not state.log_history:
            return
        row = {in_section(key): value for key, value in state.log_history[-1].items() if is_number(value)}
        self._try("log", self._run.log, row | {"train/global_step": state.global_step})
        self._step = state.global_step

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Sends rows of a table that grows from log to log, beside the numbers of the newest one."""
        if self._run is None:
            return
        import wandb

        if name not in self._tables:
            self._tables[name] = self._try("make a table", wandb.Table, columns=list(columns), log_mode="INCREMENTAL")
        table = self._tables[name]
        if table is not None:
            for row in rows:
                table.add_data(*(each if isinstance(each, str | bool | int | float) else _text(each) for each in row))
            self._try("log", self._run.log, {name: table, "train/global_step": self._step})

    def alert(self, title: str, text: str) -> None:
        """Sends an alert, where ``tracking.alerts`` asks for it."""
        if self._run is not None and self.section.alerts:
            self._try("alert", self._run.alert, title=title, text=text)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ends the run, waiting for uploads at most ``FINISH_SECONDS``."""
        self.close()

    def close(self) -> None:
        """Ends the run, also one that broke off."""
        if self._run is not None:
            self._try("finish", self._run.finish)
            self._run = None

    def _start(self, mode: str) -> Any:
        import wandb

        settings = _settings(mode)
        run = self._try(
            f"start {mode}",
            wandb.init,
            project=self.section.project,
            entity=self.section.entity,
            tags=list(self.section.tags) or None,
            name=self.name,
            group=self.group or None,
            job_type="train",
            id=self._known_id(),
            resume="allow",
            dir=str(self.folder.path),
            config=self.config,
            mode=mode,
            settings=settings,
        )
        if run is not None:
            for section in SECTIONS:
                self._try("define metrics", run.define_metric, f"{section}/*", step_metric="train/global_step")
        return run

    def _known_id(self) -> str | None:
        stored = self.folder.record().wandb
        return stored.id if stored else None

    def _try(self, what: str, call: Any, *args: Any, **kwargs: Any) -> Any:
        """The call's result; None, with a warning, when wandb fails in any way: a run never stops because of it."""
        try:
            return call(*args, **kwargs)
        except Exception as error:  # noqa: BLE001
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            warnings.warn(f"wandb could not {what}: {reason}; metrics.jsonl has every number", stacklevel=2)
            if what in ("log", "finish"):
                self._run = None
            return None


@dataclass(frozen=True, slots=True)
class Published:
    """A comparison for W&B: tables by name (columns, rows), and the files of an artifact. No prompts or completions.

    ``config`` is what was compared, ``scalars`` are numbers and words by their names in W&B's summary.
    """

    name: str
    config: Mapping[str, Any]
    scalars: Mapping[str, float | str]
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]
    images: Mapping[str, Path]
    files: Sequence[Path]


def publish(section: TrackingSection, folder: Path, content: Published, group: str = "") -> str:
    """Sends a comparison's tables, figures and files as a W&B run of its own; how it went: its mode, or "disabled".

    Without a key or a network the run is kept offline in ``folder``; a failure is a warning and "failed".
    """
    if not (modes := _modes(section.wandb)):
        return "disabled"
    for mode in modes:
        try:
            _send(section, folder, content, {"mode": mode, "group": group or None})
            return mode
        except Exception as error:  # noqa: BLE001
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            warnings.warn(f"wandb could not take the report {mode}: {reason}; it is in {folder}", stacklevel=2)
    return "failed"


def _send(section: TrackingSection, folder: Path, content: Published, how: Mapping[str, Any]) -> None:
    import wandb

    start: Any = wandb.init
    run = start(
        project=section.project,
        entity=section.entity,
        tags=list(section.tags) or None,
        name=content.name,
        job_type="evaluate",
        config=dict(content.config),
        dir=str(folder),
        settings=_settings(how["mode"]),
        **how,
    )
    tables = {
        f"tables/{name}": wandb.Table(columns=list(head), data=list(map(list, rows)))
        for name, (head, rows) in content.tables.items()
    }
    run.summary.update(dict(content.scalars))
    run.log(tables | {f"figures/{name}": wandb.Image(str(path)) for name, path in content.images.items()})
    artifact = wandb.Artifact(re.sub(r"[^A-Za-z0-9._-]", "-", content.name), type="comparison")
    for path in content.files:
        artifact.add_file(str(path))
    run.log_artifact(artifact)
    run.finish()


def trackers(report_to: str | Sequence[str] | None) -> list[str]:
    """The trackers of transformers that ``training.report_to`` names; they log beside ours.

    Raises:
        InputError: W&B is among them, which is ``tracking.wandb``, or one that transformers does not know.
        MissingResourceError: one is not installed.
    """
    named = [report_to] if isinstance(report_to, str) else list(report_to or ())
    known = sorted(set(INTEGRATION_TO_CALLBACK) - {"wandb"})
    for name in (named := [each for each in named if each != "none"]):
        if name not in known:
            said = "wandb is tracking.wandb" if name == "wandb" else f"transformers has no tracker {name!r}"
            raise InputError(f"training.report_to: {said}; allowed: {', '.join(known)}")
        if name not in get_available_reporting_integrations():
            raise MissingResourceError(f"training.report_to: the package of {name} is not installed")
    return named


def keep_beside(trainer: Any, folder: RunFolder) -> None:
    """TensorBoard's files lie in the run's folder, not among its checkpoints, unless TENSORBOARD_LOGGING_DIR is set."""
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(folder.path / "tensorboard")


def _modes(wanted: str) -> list[str]:
    """The modes to try in turn; none where W&B is not wanted."""
    if wanted == "auto":
        wanted = os.environ.get("WANDB_MODE") or ("online" if has_key() else "offline")
    return [] if wanted == "disabled" else list(dict.fromkeys((wanted, "offline")))


def _teardown() -> None:
    """Ends wandb's service, which keeps the id of a run that could not be started, so that offline cannot have it."""
    import wandb

    wandb.teardown()


def _settings(mode: str) -> Any:
    os.environ.setdefault("WANDB_SILENT", "true")  # the login speaks before it reads settings
    import wandb

    return wandb.Settings(
        init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
        finish_timeout_raises=False,
        console="off",
        silent=True,
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        x_disable_meta=True,
        x_disable_stats=mode == "offline",
    )


def has_key() -> bool:
    """Whether this machine can log in to W&B without asking."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators(WANDB_HOST) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _text(value: Any) -> str | None:
    """A cell of a table whose column holds text or nothing."""
    return None if value is None else json.dumps(value, ensure_ascii=False)


def is_number(value: Any) -> bool:
    """Whether a logged value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
