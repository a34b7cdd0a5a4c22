"""Base models, tokenizers and adapters, from a folder or the hub: safetensors only, no remote code unless asked for."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from polychromic.core.errors import InputError, MissingResourceError, at_fault
from polychromic.core.hub import refuse_absent_model, refuse_unreachable
from polychromic.policy.base_check import base_logits, refuse_moved_base
from polychromic.policy.chat import open_demonstrations, pin
from polychromic.records.jsonl import read_json
from polychromic.settings.schema import ModelSection

ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
CPU_BITSANDBYTES = (0, 50)
"""The first version of bitsandbytes that trains on a CPU."""
SMALL = 20_000_000
"""Parameters below which a model runs faster on one CPU thread than on several."""


@dataclass(frozen=True)
class Policy:
    """A causal language model with its tokenizer; ``adapters`` are the names of the LoRA adapters loaded on it.

    The model knows them by number: torch refuses submodules named ``half`` or ``lambda_0.3``.
    """

    model: Any
    tokenizer: Any
    adapters: tuple[str, ...] = field(default=())

    def use(self, adapter: str | None) -> None:
        """Makes the model that adapter's, or the bare base's for None."""
        if not self.adapters:
            return
        if adapter is None:
            self.model.base_model.disable_adapter_layers()
        else:
            self.model.base_model.enable_adapter_layers()
            self.model.set_adapter(_number(self.adapters.index(adapter)))

    def scale(self, adapter: str, factor: float) -> None:
        """Multiplies what that adapter adds to every module it sits on; 0 leaves the base. The files stay the same."""
        from peft.tuners.lora import LoraLayer

        number = _number(self.adapters.index(adapter))
        for module in self.model.modules():
            if isinstance(module, LoraLayer) and number in module.scaling:
                module.scaling[number] *= factor


def _number(place: int) -> str:
    return f"adapter_{place}"


def load_base(section: ModelSection, quantization: Mapping[str, Any] | None = None) -> Policy:
    """The base model in eval mode, with its tokenizer.

    ``dtype: auto`` keeps the checkpoint's own on a GPU and takes float32 on a CPU.

    Raises:
        MissingResourceError: there is no such folder, or the hub cannot give it.
    """
    name = section.name_or_path
    refuse_absent_model(name, section.revision)
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {
        "dtype": _dtype(section.dtype, quantization),
        "revision": section.revision,
        "trust_remote_code": section.trust_remote_code,
        "use_safetensors": True,
    }
    if section.attn_implementation:
        options["attn_implementation"] = section.attn_implementation
    if quantization:
        options |= {"quantization_config": _quantization(quantization), "device_map": {"": _device()}}
    with at_fault(f"model {name}: cannot be loaded", MissingResourceError):
        model = AutoModelForCausalLM.from_pretrained(name, **options)
    if quantization:
        _keep_layout(model)
    else:
        model.to(_device())
    _suit_threads(model)
    return Policy(model.eval(), load_tokenizer(section))


def load_tokenizer(section: ModelSection) -> Any:
    """The tokenizer of a model, with a padding token and the section's template options set.

    Its demonstrations begin as answers are asked for (``open_demonstrations``).

    Raises:
        MissingResourceError: there is none.
        InputError: its chat template has no such option.
    """
    name = section.name_or_path
    refuse_unreachable("tokenizer", name, TOKENIZER_CONFIG, section.revision)
    from transformers import AutoTokenizer

    with at_fault(f"tokenizer {name}: cannot be loaded", MissingResourceError):
        tokenizer = AutoTokenizer.from_pretrained(name, revision=section.revision)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    with at_fault(f"tokenizer {name}: its chat template cannot be used"):
        pin(tokenizer, section.chat_template_kwargs)
        open_demonstrations(tokenizer)
    return tokenizer


def tokenizer_of_runs(folders: Mapping[str, Path]) -> Any:
    """The tokenizer that the runs were trained with and saved; None where none did.

    Raises:
        InputError: two runs were trained with different tokens or chat templates, so that no context would be the same.
    """
    found = {
        name: load_tokenizer(ModelSection(name_or_path=str(folder)))
        for name, folder in folders.items()
        if (folder / TOKENIZER_CONFIG).is_file()
    }
    if not found:
        return None
    (first, tokenizer), *others = found.items()
    for name, other in others:
        if (other.chat_template, other.get_vocab()) != (tokenizer.chat_template, tokenizer.get_vocab()):
            raise InputError(f"--models: {first} and {name} were trained with different tokens or chat templates")
    return tokenizer


def attach_adapters(policy: Policy, folders: Mapping[str, Path]) -> Policy:
    """``policy`` with the adapters of these run folders loaded beside each other, by name.

    Raises:
        MissingResourceError: a folder holds no adapter.
        InputError: an adapter was trained on another base, or two with other tokens or chat templates, some of an
            adapter's weights are missing, or one moves the base's own weights.
    """
    if not folders:
        return policy
    from peft import PeftModel

    model: Any = policy.model
    before = base_logits(model)
    tokenizer = tokenizer_of_runs(folders) or policy.tokenizer
    for place, folder in enumerate(folders.values()):
        refuse_other_base(folder, policy.model)
        name = _number(place)
        with at_fault(f"{folder}: the adapter does not fit the base"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # refused below
            if isinstance(model, PeftModel):
                model.load_adapter(str(folder), adapter_name=name)
            else:
                model = PeftModel.from_pretrained(model, str(folder), adapter_name=name)
        refuse_missing_keys(folder, model, name)
    refuse_moved_base(model, before, ", ".join(map(str, folders.values())))
    return Policy(model.eval(), tokenizer, tuple(folders))


def adapter_config(folder: Path) -> dict[str, Any]:
    """What PEFT wrote about the adapter in ``folder``.

    Raises:
        MissingResourceError: the folder holds no adapter in safetensors form.
    """
    config, weights = folder / ADAPTER_CONFIG, folder / ADAPTER_FILE
    for path in (config, weights):
        if not path.is_file():
            raise MissingResourceError(f"{folder}: no adapter here: {path.name} is missing; is the run finished?")
    return read_json(config)


def refuse_other_base(folder: Path, model: nn.Module) -> None:
    """Raises InputError when the adapter's matrices do not have the shapes of ``model``'s modules."""
    from safetensors import safe_open

    adapter_config(folder)
    shapes = {name: _shape(weight) for name, weight in model.named_parameters()}
    with at_fault(f"{folder / ADAPTER_FILE}: is damaged"), safe_open(str(folder / ADAPTER_FILE), "pt") as file:
        for key in file.keys():  # noqa: SIM118 - the file is no mapping
            if not key.endswith("lora_A.weight"):
                continue
            module = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            shape = next((s for n, s in shapes.items() if n in _names(module)), None)
            columns = file.get_slice(key).get_shape()[1]
            if shape is None or (len(shape) == 2 and shape[1] != columns):
                raise InputError(f"{folder}: the adapter belongs to another base: {module} does not fit this one")


def refuse_missing_keys(folder: Path, model: Any, name: str) -> None:
    """Raises InputError when the file lacks weights of an adapter that its configuration asks for, or has others.

    peft leaves such weights as they begin, which is no change of the base, and only warns.
    """
    from peft import get_peft_model_state_dict

    wanted = set(get_peft_model_state_dict(model, adapter_name=name))
    held = _keys(folder)
    if missing := sorted(wanted - held):
        said = f"{len(missing)} of its {len(wanted)} weights are missing (the first: {missing[0]})"
    elif surplus := sorted(held - wanted):
        said = f"it holds {len(surplus)} weights that its configuration does not know (the first: {surplus[0]})"
    else:
        return
    raise InputError(f"{folder}: the adapter is not whole: {said}; train it again, or copy {ADAPTER_FILE} anew")


def _keys(folder: Path) -> set[str]:
    """The names of the weights in an adapter's file."""
    from safetensors import safe_open

    with at_fault(f"{folder / ADAPTER_FILE}: is damaged"), safe_open(str(folder / ADAPTER_FILE), "pt") as file:
        return set(file.keys())


def _shape(weight: torch.Tensor) -> tuple[int, ...]:
    """A matrix's shape; one in 4 bits, which is stored as a column of bytes, knows its own."""
    packed = getattr(getattr(weight, "quant_state", None), "shape", None)
    return tuple(weight.shape if packed is None else packed)


def _names(module: str) -> tuple[str, str]:
    """A module's weight in a bare model, and in one that already carries an adapter."""
    return f"{module}.weight", f"{module}.base_layer.weight"


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def _suit_threads(model: nn.Module) -> None:
    """One thread for a small model on a CPU: its matrices are too small to share, and waiting costs more than it gains.

    OMP_NUM_THREADS has the last word.
    """
    small = sum(parameter.numel() for parameter in model.parameters()) < SMALL
    if small and _device().type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def _dtype(wanted: str, quantization: Mapping[str, Any] | None) -> Any:
    if wanted != "auto":
        return getattr(torch, wanted)
    if quantization:
        return torch.bfloat16
    return "auto" if torch.cuda.is_available() else torch.float32


def _keep_layout(model: nn.Module) -> None:
    """Keeps bitsandbytes from packing 4-bit weights anew when they first run in eval mode on a CPU with AVX512-BF16.

    The packed form has no gradient: after the first draw every later one through these layers would be lost silently.
    """
    layer: Any
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def _quantization(options: Mapping[str, Any]) -> Any:
    try:
        installed = version("bitsandbytes")
    except PackageNotFoundError:
        raise MissingResourceError(
            "quantization: bitsandbytes is not installed: pip install 'polychromic[quantization]'"
        ) from None
    if not torch.cuda.is_available() and tuple(map(int, installed.split(".")[:2])) < CPU_BITSANDBYTES:
        raise InputError(f"quantization: on a CPU it needs bitsandbytes 0.50 or newer, and {installed} is installed")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(**options)
