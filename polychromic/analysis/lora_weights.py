"""Adapters compared by their weights: norm, effective rank, cosine and principal angles of each module's update.

The update ``scale * B @ A`` is never formed: with ``B = Qb Rb`` and ``A^T = Qa Ra`` its singular values are those of
the small ``scale * Rb Ra^T``. Cost is O((out + in) r^2) a module, so adapters of 8B models take seconds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.records.jsonl import read_json

Matrix = NDArray[np.float64]
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
SAME = 1e-10
"""Squared distance of two updates over their squared norm, below which they are the same."""
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True, slots=True)
class Factors:
    """A module's update ``left @ diag(singular) @ right^T``: left ``[out, r]``, singular ``[r]``, right ``[in, r]``."""

    left: Matrix
    singular: Matrix
    right: Matrix


@dataclass(frozen=True, slots=True)
class ModuleRow:
    """One module of one adapter: Frobenius norm, spectral norm and effective rank in [1, r] of its update."""

    module: str
    norm: float
    spectral: float
    effective_rank: float
    rank: int


@dataclass(frozen=True, slots=True)
class PairRow:
    """One module of two adapters.

    ``cosine`` of the two updates as vectors, in [-1, 1]; ``output_angle`` and ``input_angle`` are the mean principal
    angles in degrees between the spaces they write to and read from: 0 the same, 90 orthogonal.
    """

    module: str
    cosine: float
    output_angle: float
    input_angle: float


def read_factors(folder: str | Path) -> dict[str, Factors]:
    """Every adapted module's factors by module name, from a PEFT LoRA folder.

    Raises:
        MissingResourceError: the folder holds no adapter.
        InputError: it is not a LoRA adapter, or a file of it is broken.
    """
    folder = Path(folder)
    if not (folder / WEIGHTS).exists() or not (folder / CONFIG).exists():
        raise MissingResourceError(f"{folder}: no adapter here ({WEIGHTS} and {CONFIG} are needed)")
    config = read_json(folder / CONFIG)
    if config.get("peft_type") != "LORA":
        raise InputError(f"{folder / CONFIG}: peft_type is {config.get('peft_type')!r}, only LORA can be analysed")
    found: dict[str, dict[str, Matrix]] = {}
    for name, tensor in _tensors(folder / WEIGHTS):
        for part in ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B"):
            module, middle, _ = name.partition(f".{part}")
            if middle and tensor.ndim == 2:
                flipped = tensor.T if part.startswith("lora_embedding") else tensor
                found.setdefault(module.removeprefix("base_model.model."), {})[part[-1]] = flipped
    whole = {module: parts for module, parts in found.items() if len(parts) == 2}
    if not whole:
        raise InputError(f"{folder / WEIGHTS}: holds no LoRA matrices")
    return {module: _factors(_oriented(parts), _scale(config, module, parts)) for module, parts in whole.items()}


def _oriented(parts: Mapping[str, Matrix]) -> tuple[Matrix, Matrix]:
    b, a = parts["B"], parts["A"]
    return (b, a) if b.shape[1] == a.shape[0] else (a.T, b.T)


def _scale(config: Mapping[str, Any], module: str, parts: Mapping[str, Matrix]) -> float:
    rank = int(min(min(part.shape) for part in parts.values()))
    alphas = config.get("alpha_pattern") or {}
    own = [value for pattern, value in alphas.items() if module.endswith(pattern)]
    alpha = float(own[0] if own else config.get("lora_alpha") or rank)
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _factors(matrices: tuple[Matrix, Matrix], scale: float) -> Factors:
    b, a = matrices
    left, upper = np.linalg.qr(b)
    right, lower = np.linalg.qr(a.T)
    u, singular, v = np.linalg.svd(scale * upper @ lower.T)
    return Factors(left @ u, singular, right @ v.T)


def effective_rank(singular: Matrix) -> float:
    """``exp(entropy)`` of the singular values as shares of their sum (Roy and Vetterli 2007); 0 for a zero update."""
    total = float(singular.sum())
    if total == 0.0:
        return 0.0
    shares = singular[singular > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def describe(factors: Mapping[str, Factors]) -> list[ModuleRow]:
    """Norms and effective ranks, module by module."""
    return [
        ModuleRow(
            module,
            float(np.linalg.norm(each.singular)),
            float(each.singular.max()),
            effective_rank(each.singular),
            len(each.singular),
        )
        for module, each in sorted(factors.items())
    ]


def remarks(adapters: Mapping[str, Mapping[str, Factors]]) -> list[str]:
    """A sentence for each adapter that adds nothing to its base, and for each pair that adds the same."""
    sizes = {
        name: math.hypot(*(np.linalg.norm(each.singular) for each in own.values())) for name, own in adapters.items()
    }
    found = [f"{name} adds nothing: all its updates are 0" for name, size in sizes.items() if size == 0.0]
    for a, b in itertools.combinations([name for name in adapters if sizes[name]], 2):
        if set(adapters[a]) == set(adapters[b]) and all(
            _equal(adapters[a][each], adapters[b][each]) for each in adapters[a]
        ):
            found.append(f"{a} and {b} are the same adapter")
    return found


def _equal(a: Factors, b: Factors) -> bool:
    """Whether two updates are the same but for rounding."""
    if (len(a.left), len(a.right)) != (len(b.left), len(b.right)):
        return False
    gap = np.linalg.norm(a.singular) ** 2 + np.linalg.norm(b.singular) ** 2 - 2.0 * _product(a, b)
    return bool(gap <= SAME * max(np.linalg.norm(a.singular) ** 2, np.linalg.norm(b.singular) ** 2))


def _product(a: Factors, b: Factors) -> float:
    """The scalar product of two updates as vectors."""
    outputs, inputs = a.left.T @ b.left, a.right.T @ b.right
    return float((outputs * inputs * a.singular[:, None] * b.singular[None, :]).sum())


def contrast(a: Mapping[str, Factors], b: Mapping[str, Factors]) -> list[PairRow]:
    """Cosine and principal angles of the modules both adapters have.

    Raises:
        InputError: they have no module in common, or a module's shapes differ.
    """
    shared = sorted(set(a) & set(b))
    if not shared:
        raise InputError("the adapters have no module in common")
    return [_pair(module, a[module], b[module]) for module in shared]


def _pair(module: str, a: Factors, b: Factors) -> PairRow:
    if len(a.left) != len(b.left) or len(a.right) != len(b.right):
        raise InputError(f"{module}: the adapters belong to different models (shapes differ)")
    outputs, inputs = a.left.T @ b.left, a.right.T @ b.right
    product = _product(a, b)
    size = float(np.linalg.norm(a.singular) * np.linalg.norm(b.singular))
    return PairRow(
        module,
        product / size if size else math.nan,
        _mean_angle(a, b, outputs),
        _mean_angle(a, b, inputs),
    )


def _mean_angle(a: Factors, b: Factors, overlap: Matrix) -> float:
    rows, columns = (each.singular > 1e-9 * max(float(each.singular.max()), 1e-300) for each in (a, b))
    kept = overlap[np.ix_(rows, columns)]
    if not kept.size:
        return math.nan
    cosines = np.clip(np.linalg.svd(kept, compute_uv=False), -1.0, 1.0)
    return float(np.degrees(np.arccos(cosines)).mean())


def _tensors(path: Path) -> Iterator[tuple[str, Matrix]]:
    """The tensors of a safetensors file as float64, bfloat16 included, without loading torch."""
    try:
        for name, facts in deserialize(path.read_bytes()):
            yield name, _decoded(bytes(facts["data"]), facts["dtype"]).reshape(facts["shape"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: not a safetensors file of floats: {error}") from None


def _decoded(raw: bytes, kind: str) -> Matrix:
    values = np.frombuffer(raw, _TYPES[kind])
    if kind == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float64)
