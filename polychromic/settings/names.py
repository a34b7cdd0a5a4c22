"""The names a configuration may have: its sections' own, those of TRL, PEFT and bitsandbytes, and whose each is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from polychromic.core.errors import SettingsError
from polychromic.settings import adapters
from polychromic.settings.introspection import BORROWED, borrowed_fields, brief, nearest
from polychromic.settings.schema import Settings
from polychromic.settings.yaml_lines import Path_, Source, dotted

OWNED: dict[tuple[str, ...], str] = {
    ("training", "output_dir"): "is made of experiment.output_root and experiment.name",
    ("training", "run_name"): "is experiment.name",
    ("training", "seed"): "is experiment.seed",
    ("training", "data_seed"): "is experiment.seed",
    ("training", "hub_token"): "is a secret: log in or set HF_TOKEN in the environment",
    ("training", "resume_from_checkpoint"): "is decided by the run's own checkpoints",
    ("training", "deepspeed"): "is not served: DeepSpeed's backward pass would step the optimizer for the diversity "
    "term alone; allowed: DDP and FSDP2",
    ("training", "fsdp"): "is the launcher's: accelerate launch --config_file config/accelerate/fsdp_2.yaml",
    ("training", "fsdp_config"): "is the launcher's: config/accelerate/fsdp_2.yaml",
    ("training", "parallelism_config"): "is not served: tensor, sequence and context parallelism were never tried; "
    "allowed: DDP and FSDP2",
    ("training", "model_init_kwargs"): "is the section model",
    ("training", "compute_loss_func"): "is the objective of the section polychromic",
    ("lora", "base_model_name_or_path"): "is model.name_or_path",
    ("lora", "revision"): "is model.revision",
    ("lora", "inference_mode"): "would freeze the adapter",
    **{
        ("polychromic", key): "would draw from another distribution than the one whose gradient is taken; training "
        "samples come from the policy itself, at polychromic.temperature"
        for key in (
            "top_p",
            "top_k",
            "min_p",
            "typical_p",
            "repetition_penalty",
            "presence_penalty",
            "frequency_penalty",
        )
    },
}
_COUNTS = ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "max_length")
_STEPS = ("logging_steps", "save_steps", "eval_steps", "num_train_epochs")
_SIZES = ("learning_rate", "weight_decay", "max_grad_norm", "warmup_steps", "dataloader_num_workers")
BOUNDS: dict[tuple[str, str], tuple[float | None, float | None, float | None]] = {
    ("lora", "r"): (1, None, None),
    ("lora", "lora_alpha"): (None, 0, None),
    ("lora", "lora_dropout"): (0, None, 1),
    ("training", "max_steps"): (1, None, None),
    **{("training", name): (1, None, None) for name in _COUNTS},
    **{("training", name): (None, 0, None) for name in _STEPS},
    **{("training", name): (0, None, None) for name in _SIZES},
}
"""Numbers of borrowed sections that the libraries refuse late, or take and do nothing with: at least, above, below."""
SHELF_OF: dict[tuple[str, str], str] = {
    ("data", "task"): "tasks",
    ("polychromic", "engine"): "samplers",
    ("polychromic", "reward"): "rewards",
    ("polychromic", "gate"): "gates",
    ("polychromic", "demonstration_loss"): "demonstration",
    ("evaluation", "task"): "tasks",
    ("evaluation", "metrics"): "metrics",
    ("evaluation", "engine"): "samplers",
}


def entries(values: Mapping[str, Any]) -> Iterator[tuple[Path_, Any]]:
    """Every shelf entry of a configuration with its path."""
    for section, key in SHELF_OF:
        content = values.get(section)
        entry = content.get(key) if isinstance(content, Mapping) else None
        if isinstance(entry, list):
            yield from (((section, key, index), item) for index, item in enumerate(entry))
        elif entry is not None:
            yield (section, key), entry


def _sections() -> dict[str, type[BaseModel] | None]:
    """Every section with its model, None for those that hold another library's names."""
    return {
        name: None if name in BORROWED else field.annotation  # type: ignore[misc]
        for name, field in Settings.model_fields.items()
    }


def keys_of_sections() -> dict[str, list[str]]:
    """The keys that a configuration may set, by section."""
    return {
        name: sorted(borrowed_fields(name) if model is None else set(_names(model).values()))
        for name, model in _sections().items()
    }


def canonical(section: str, key: str) -> str:
    """The name a key is kept by: the alias where there is one, such as ``lambda`` for ``diversity_weight``."""
    model = _sections().get(section)
    return _names(model).get(key, key) if model else key


def default_of(section: str, key: str) -> Any:
    """What a key is when nobody sets it."""
    model = _sections()[section]
    return model.model_fields[key].default if model and key in model.model_fields else None


def _names(model: type[BaseModel]) -> dict[str, str]:
    """Allowed names, aliases included, each with the name it is kept by."""
    kept = {name: field.alias or name for name, field in model.model_fields.items()}
    return kept | {name: name for name in kept.values()}


def check_names(source: Source) -> None:
    """Refuses unknown sections and keys; afterwards every key has the name it is kept by."""
    sections = _sections()
    for section, content in list(source.values.items()):
        if section not in sections:
            raise error_at(source, (section,), f"unknown section{nearest(section, sections)}")
        if not content and (content is None or isinstance(content, Mapping)):
            content = source.values[section] = None if section == "quantization" else {}
        if content is not None and not isinstance(content, dict):
            raise error_at(source, (section,), f"must hold keys, got {brief(content)}")
        model = sections[section]
        if model is None:
            if section == "lora" and (refused := adapters.refusal(content or {})):
                raise error_at(source, (section, refused[0]), refused[1])
            check_borrowed(source, (section,), content or {})
        else:
            source.values[section] = _own_names(source, section, model)


def _own_names(source: Source, section: str, model: type[BaseModel]) -> dict[str, Any]:
    names, found = _names(model), {}
    for key, value in source.values[section].items():
        if (section, key) in OWNED:
            raise error_at(source, (section, key), f"cannot be set here: it {OWNED[section, key]}")
        if key not in names:
            raise error_at(source, (section, key), f"unknown key{_elsewhere(section, key) or nearest(key, names)}")
        name = names[key]
        if name in found:
            raise error_at(source, (section, key), f"is the same as {section}.{name}, which is given too")
        found[name] = value
        if name != key:
            for path in [path for path in source.places if path[:2] == (section, key)]:
                source.places[(section, name, *path[2:])] = source.places[path]
    return found


def check_borrowed(source: Source, section: tuple[str, ...], content: Mapping[str, Any]) -> None:
    """Refuses keys and types that the class behind a section does not have."""
    allowed = borrowed_fields(section[-1])
    for key, value in content.items():
        path = (*section, key)
        if path in OWNED:
            raise error_at(source, path, f"cannot be set here: it {OWNED[path]}")
        if not allowed:
            continue
        if key not in allowed:
            raise error_at(source, path, f"unknown key{_elsewhere(section[0], key) or nearest(key, allowed)}")
        refusal = allowed[key].refusal(value) or _beyond(path, value)
        if refusal:
            raise error_at(source, path, refusal)


def _beyond(path: Path_, value: Any) -> str:
    """Why a number of a borrowed section cannot be meant; empty when it can."""
    at_least, above, below = BOUNDS.get((str(path[0]), str(path[-1])), (None, None, None))
    if isinstance(value, bool) or not isinstance(value, int | float) or (path[-1] == "max_steps" and value == -1):
        return ""
    if at_least is not None and value < at_least:
        return f"must be at least {at_least}, got {value}"
    if above is not None and value <= above:
        return f"must be above {above}, got {value}"
    return f"must be below {below}, got {value}" if below is not None and value >= below else ""


def _elsewhere(section: str, key: str) -> str:
    """A hint when the key belongs to another section."""
    for other, model in _sections().items():
        names = borrowed_fields(other) if model is None else _names(model)
        if other != section and key in names:
            return f"; did you mean {other}.{key}?"
    return ""


def error_at(source: Source, path: Path_, reason: str) -> SettingsError:
    """The error, with the place where ``path`` was written."""
    return SettingsError(f"{source.place(path)}: {dotted(path)}: {reason}")
