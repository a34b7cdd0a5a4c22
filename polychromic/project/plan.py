"""A forecast of a training run before it costs anything: tokens, memory, time and price.

A roofline with the efficiencies stated below, so good to a factor of about two; nothing is loaded but configurations.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polychromic.analysis.cost import Cost
from polychromic.analysis.spending import prices_of
from polychromic.core.errors import InputError
from polychromic.core.hub import cached
from polychromic.core.nouns import Bill
from polychromic.project import plan_judging
from polychromic.project.plan_rows import rows_of
from polychromic.records.jsonl import read_json
from polychromic.reporting.tables import duration
from polychromic.settings.introspection import nearest
from polychromic.settings.schema import Settings
from polychromic.stages import held_out
from polychromic.stages.models import resolve

TRAINING_EFFICIENCY = 0.35
"""Share of the peak arithmetic that a training step reaches."""
EAGER_DECODE = 5.0
"""An eager decode step against the time to read the weights once."""
SECONDS_PER_LAYER = 3e-4
"""The least a layer takes in a forward pass, however small it is."""
DEQUANTISATION = 1.3
GIB = 2**30
ESTIMATE = "an estimate from arithmetic and bandwidth, good to a factor of about two; not a measurement"


@dataclass(frozen=True, slots=True)
class Device:
    """A device's memory in GiB, peak bf16 arithmetic in TFLOP/s and memory bandwidth in GB/s."""

    memory: float
    tflops: float
    bandwidth: float


DEVICES = {
    "cpu": Device(16, 0.2, 30),
    "rtx4090": Device(24, 165, 1008),
    "l40s": Device(48, 362, 864),
    "a100": Device(80, 312, 2039),
    "h100": Device(80, 989, 3350),
    "h200": Device(141, 989, 4800),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a model the forecast needs; widths in numbers, ``source`` says where they are from."""

    parameters: float
    embeddings: float
    """Of the parameters; what quantisation leaves as it is."""
    layers: int
    hidden: int
    kv_width: int
    lora_width: int
    """What all linear modules of a layer take in and give out together."""
    vocabulary: int
    source: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The forecast: counts of tokens, memory in GiB by part, seconds by part, and dollars of it all.

    ``judging`` is what a judge that is paid takes at most; it is in the price.
    """

    name: str
    device: str
    model: str
    steps: int
    diversity_steps: int
    demonstration_tokens: float
    sampled_tokens: float
    memory: dict[str, float]
    seconds: dict[str, float]
    price: float | None
    judging: Bill | None
    notes: tuple[str, ...]

    @property
    def total(self) -> float:
        """Seconds of the whole run."""
        return math.fsum(self.seconds.values())

    @property
    def fits(self) -> bool:
        """Whether the memory is below nine tenths of the device's."""
        return sum(self.memory.values()) < 0.9 * DEVICES[self.device].memory


def forecast(settings: Settings, device: str = "h100") -> Plan:
    """The plan of a run on ``device``.

    Raises:
        InputError: an unknown device.
        RecordError: a row of the data is wrong.
    """
    if device not in DEVICES:
        raise InputError(f"--device: there is no {device!r}{nearest(device, DEVICES)}")
    shape = shape_of(settings)
    rows, length, notes = _rows(settings)
    batch = _batch(settings)
    steps = int(_number(settings, "max_steps", -1))
    if steps < 1:
        steps = math.ceil(rows / batch) * math.ceil(_number(settings, "num_train_epochs", 3))
    sets = _sets_per_step(settings, batch)
    diversity_steps = math.ceil(steps / settings.polychromic.compute_every_n_steps) if sets else 0
    samples = diversity_steps * sets
    work = _Work(
        steps * batch * length, diversity_steps, samples, samples * settings.polychromic.max_new_tokens, length
    )
    seconds = _seconds(settings, shape, DEVICES[device], work, steps)
    looks = held_out.evaluations(settings, steps)
    if looks:
        asked = settings.evaluation.during_training
        notes.append(f"{looks} evaluations while training, {asked.prompts} prompts x {asked.n} samples each")
        samples += looks * asked.prompts * asked.n
        seconds["held-out prompts"] = looks * _look_seconds(settings, shape, DEVICES[device])
    judging = plan_judging.judged(settings.data.task, settings.data.split, samples, settings.polychromic.max_new_tokens)
    price = priced(Cost("plan", 0, math.fsum(seconds.values()), 1, prices_of(settings.tracking)).dollars, judging)
    return Plan(
        name=settings.experiment.name,
        device=device,
        model=f"{settings.model.name_or_path}, {_big(shape.parameters)} parameters ({shape.source})",
        steps=steps,
        diversity_steps=diversity_steps,
        demonstration_tokens=work.demonstration,
        sampled_tokens=work.sampled,
        memory=_memory(settings, shape, batch, length),
        seconds=seconds,
        price=price,
        judging=judging,
        notes=tuple(notes),
    )


def priced(dollars: float, judging: Bill | None) -> float | None:
    """Dollars with those of judging; None where one of them is not known."""
    whole = dollars if judging is None else math.nan if judging.dollars is None else dollars + judging.dollars
    return None if math.isnan(whole) else whole


def judging_lines(judging: Bill | None) -> list[str]:
    """What judging takes, as a person reads it; nothing where nobody is paid."""
    if judging is None:
        return []
    return [f"judging: at most {judging.sentence}", *([] if judging.dollars is not None else [plan_judging.UNPRICED])]


def memory_of(settings: Settings) -> dict[str, float]:
    """GiB by part that training needs, as in the plan; a file that is not here is assumed to hold long rows."""
    return _memory(settings, shape_of(settings), _batch(settings), _rows(settings)[1])


def _batch(settings: Settings) -> float:
    return _number(settings, "per_device_train_batch_size", 8) * _number(settings, "gradient_accumulation_steps", 1)


@dataclass(frozen=True, slots=True)
class _Work:
    demonstration: float
    diversity_steps: int
    samples: float
    sampled: float
    prompt_length: float


def shape_of(settings: Settings) -> Shape:
    """The base model's shape, from its configuration if it is on this machine, else guessed from its name."""
    name = resolve(settings.model).name_or_path
    path = Path(name).expanduser() / "config.json"
    if not path.is_file():
        found = cached(name, "config.json")
        if found is None:
            return _guessed(name)
        path = found
    return _shape(read_json(path))


def _shape(config: dict[str, Any]) -> Shape:
    config = config.get("text_config") or config
    hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
    heads = int(config["num_attention_heads"])
    width = int(config.get("head_dim") or hidden // heads)
    kv_width = int(config.get("num_key_value_heads") or heads) * width
    vocabulary = int(config["vocab_size"])
    attention = hidden * (2 * heads * width + 2 * kv_width)
    inner = int(config["intermediate_size"])
    layer = attention + 3 * hidden * inner
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    size, lora_width = embeddings + layers * layer, 2 * heads * width + 2 * kv_width + 7 * hidden + 3 * inner
    return Shape(size, embeddings, layers, hidden, kv_width, lora_width, vocabulary, "from its configuration")


def _guessed(name: str) -> Shape:
    found = re.search(r"(\d+(?:\.\d+)?)\s*[bB](?![a-zA-Z])", name)
    parameters = float(found.group(1)) * 1e9 if found else 8e9
    layers = max(16, round(36 * (parameters / 8e9) ** (1 / 3)))
    hidden = round(math.sqrt(parameters / (13 * layers)) / 64) * 64
    source = "guessed from its name" if found else "guessed: neither files nor a size in the name"
    embeddings = min(parameters / 4, 2 * 150_000.0 * hidden)
    return Shape(parameters, embeddings, layers, hidden, hidden // 4, 18 * hidden, 150_000, source)


def _rows(settings: Settings) -> tuple[int, float, list[str]]:
    """Rows, tokens per row as far as they are kept, and what had to be assumed."""
    rows, length, notes = rows_of(settings)
    limit = _number(settings, "max_length", 1024)
    return rows, min(length, limit) if limit else length, notes


def _number(settings: Settings, key: str, default: float) -> float:
    value = settings.training.get(key)
    return default if value is None else float(value)


def _sets_per_step(settings: Settings, batch: float) -> float:
    """Samples drawn in a step that has the diversity term."""
    section = settings.polychromic
    if section.diversity_weight == 0:
        return 0.0
    return min(batch, section.max_examples_for_diversity) * section.n_generations


def _weight_bytes(settings: Settings, shape: Shape) -> float:
    """Mean bytes of a weight; quantisation packs the layers' matrices and leaves the embeddings."""
    options, plain = settings.quantization or {}, 4.0 if settings.model.dtype == "float32" else 2.0
    packed = 0.56 if options.get("load_in_4bit") else 1.06 if options.get("load_in_8bit") else plain
    share = shape.embeddings / shape.parameters
    return share * plain + (1.0 - share) * packed


def _memory(settings: Settings, shape: Shape, batch: float, length: float) -> dict[str, float]:
    """GiB of weights, adapter with optimizer, activations, and key-value cache while sampling."""
    section, per_device = settings.polychromic, _number(settings, "per_device_train_batch_size", 8)
    rank = float(settings.lora.get("r", 8))
    adapter = shape.layers * rank * shape.lora_width
    checkpointed = settings.training.get("gradient_checkpointing", True)
    kept = 2 if checkpointed else 34
    activations = per_device * length * (shape.hidden * shape.layers * kept * 2 + shape.vocabulary * 6)
    cache = _sets_per_step(settings, batch) * (length + section.max_new_tokens) * shape.layers * 2 * shape.kv_width * 2
    return {
        "weights": shape.parameters * _weight_bytes(settings, shape) / GIB,
        "adapter": adapter * 16 / GIB,
        "activations": activations / GIB,
        "cache": cache / GIB,
    }


def _seconds(settings: Settings, shape: Shape, device: Device, work: _Work, steps: int) -> dict[str, float]:
    """Seconds of the demonstrations' passes, of sampling and of scoring the samples."""
    checkpointed = settings.training.get("gradient_checkpointing", True)
    passes = 6.0 if checkpointed else 4.0
    slow = DEQUANTISATION if settings.quantization else 1.0
    rate = device.tflops * 1e12 * TRAINING_EFFICIENCY / slow
    floor = shape.layers * SECONDS_PER_LAYER
    scored = work.sampled + work.samples * work.prompt_length
    return {
        "demonstrations": max(passes * shape.parameters * work.demonstration / rate, steps * passes / 2 * floor),
        "sampling": work.diversity_steps
        * settings.polychromic.max_new_tokens
        * decode_seconds(settings, shape, device, EAGER_DECODE),
        "scoring": max(passes * shape.parameters * scored / rate, work.diversity_steps * passes / 2 * floor),
    }


def _look_seconds(settings: Settings, shape: Shape, device: Device) -> float:
    """Seconds of an evaluation while training: what it samples for its prompts, in as many batches as that takes."""
    asked, evaluation = settings.evaluation.during_training, settings.evaluation
    batches = math.ceil(asked.prompts * asked.n / evaluation.batch_size)
    return batches * evaluation.max_new_tokens * decode_seconds(settings, shape, device, EAGER_DECODE)


def decode_seconds(settings: Settings, shape: Shape, device: Device, against_reading: float) -> float:
    """Seconds in which every sequence of a batch gets one token: so many times what reading the weights takes."""
    slow = DEQUANTISATION if settings.quantization else 1.0
    read = shape.parameters * min(2.0, _weight_bytes(settings, shape)) / (device.bandwidth * 1e9)
    return max(shape.layers * SECONDS_PER_LAYER, against_reading * read) * slow


def _big(number: float) -> str:
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f}"


def lines(plan: Plan) -> list[str]:
    """The forecast as a person reads it."""
    total = plan.total
    parts = ", ".join(f"{name} {value:.1f}" for name, value in plan.memory.items())
    shares = ", ".join(f"{name} {value / total:.0%}" for name, value in plan.seconds.items())
    room = "fits" if plan.fits else "does NOT fit"
    price = "" if plan.price is None else f", about {plan.price:.2f} at the given price per hour"
    return [
        f"{plan.name} on one {plan.device}: {plan.model}",
        f"steps: {plan.steps}, of which {plan.diversity_steps} with the diversity term",
        f"tokens: {_big(plan.demonstration_tokens)} of demonstrations, at most {_big(plan.sampled_tokens)} sampled",
        f"memory: {sum(plan.memory.values()):.1f} GiB ({parts}): {room} in {DEVICES[plan.device].memory:.0f} GiB",
        f"time: about {duration(total)} ({shares}){price}",
        *judging_lines(plan.judging),
        *(f"note: {note}" for note in plan.notes),
    ]
