"""The base model with an adapter merged in, as a folder of its own that any engine can serve."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from polychromic.core.digests import file_digest
from polychromic.core.errors import InputError, NumericalError
from polychromic.records.artefacts import RunFolder, versions
from polychromic.records.jsonl import give_usual_mode, write_json
from polychromic.reporting.card import Shown, write_card
from polychromic.stages.models import NamedModel, named_model, resolve


def run(adapter: str | Path, out: str | Path, dtype: str = "auto") -> Path:
    """The folder of the merged model (safetensors, tokenizer, ``merge.json``), in ``dtype`` (auto: the base's own).

    ``adapter`` may end in a scale: ``runs/sft*0.5`` merges the adapter at half its strength.
    The base is loaded in float32 whatever the adapter was trained on, and rounded once at the end: merging into 4-bit
    weights would round the adapter away. That takes four bytes of memory for each parameter.

    Raises:
        InputError: ``adapter`` is no run folder, its scale cannot be, or ``out`` is not empty.
        MissingResourceError: the base is not to be had.
        NumericalError: the adapter holds numbers that are not finite.
    """
    import torch

    from polychromic.policy.load import attach_adapters, load_base

    model = named_model("model", str(adapter))
    if model.adapter is None:
        raise InputError(f"{adapter}: is no run folder: it holds no adapter")
    _say_rounding(model)
    folder = Path(out)
    if folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not empty; choose another --out")
    base = load_base(resolve(model.base).model_copy(update={"dtype": "float32"}))
    stored = _stored_dtype(base.model) if dtype == "auto" else getattr(torch, dtype)
    policy = attach_adapters(base, {"merged": model.adapter})
    policy.scale("merged", model.scale)
    try:
        whole = policy.model.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise NumericalError(f"{adapter}: cannot be merged: {error}") from None
    whole.to(stored).save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    give_usual_mode(folder)
    facts = {
        "base": model.base.name_or_path,
        "adapter": str(model.adapter),
        "scale": model.scale,
        "trained_on": model.quantization,
        "versions": versions(),
    }
    digest = file_digest(model.adapter / "adapter_model.safetensors")
    write_json(folder / "merge.json", facts | {"adapter_digest": digest, "dtype": str(stored).removeprefix("torch.")})
    _open_to_read(folder)
    if RunFolder(model.adapter).run_json.is_file():
        write_card(model.adapter, None, Shown(folder, str(out), "merged"))
    return folder


def _say_rounding(model: NamedModel) -> None:
    """Warns where the merged model is not quite the one that was trained."""
    if model.quantization:
        bits = 4 if model.quantization.get("load_in_4bit") else 8
        warnings.warn(
            f"{model.adapter} was trained on a base in {bits} bits; it is merged into the base in full, whose samples "
            "differ a little from those it was trained with",
            stacklevel=3,
        )


def _open_to_read(folder: Path) -> None:
    """Gives the weights the rights that any new file has here: safetensors lets its owner alone read them."""
    mask = os.umask(0)
    os.umask(mask)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o666 & ~mask)


def _stored_dtype(model: object) -> object:
    """The type the base's files have, as far as its configuration tells; bfloat16 otherwise."""
    import torch

    config = getattr(model, "name_or_path", "")
    from transformers import AutoConfig

    found = getattr(AutoConfig.from_pretrained(config), "dtype", None)
    return found if isinstance(found, torch.dtype) else torch.bfloat16
