"""What draws the samples of a training step: the policy itself, or a vLLM to which its adapter moves."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Protocol

from polychromic.core.errors import MissingResourceError, UnsoundObjectiveError
from polychromic.policy.generate import Generation, GenerationRequest
from polychromic.policy.merged import merged
from polychromic.samplers.transformers import generate_in_memory
from polychromic.samplers.vllm import ADVICE, Vllm
from polychromic.settings import catalog
from polychromic.settings.schema import PolychromicSection

IN_MEMORY = Path("/dev/shm")
"""Where adapters are handed over, if there is one: a folder in memory."""
BESIDE_TRAINING = 0.3
"""The share of a device's memory that vLLM takes where nothing is said, as the training needs the rest."""


class Drawing(Protocol):
    """Draws from a policy. ``largest_weight`` truncates importance weights; None: draws are the scored policy's own."""

    largest_weight: ClassVar[float | None]

    def draw(
        self, model: Any, prompts: Sequence[Sequence[int]], request: GenerationRequest
    ) -> Sequence[Sequence[Generation]]:
        """``request.n`` draws for each prompt of token ids, at the model's weights of now."""
        ...


class InProcess:
    """The policy's own draws, from its merged copy where it has one."""

    largest_weight: ClassVar[float | None] = None

    def draw(
        self, model: Any, prompts: Sequence[Sequence[int]], request: GenerationRequest
    ) -> Sequence[Sequence[Generation]]:
        """As ``policy.generate``."""
        return generate_in_memory(merged(model), prompts, request)


class MovedAdapter:
    """vLLM holds the base; before every draw the adapter, and nothing else, is handed to it in a folder in memory.

    What vLLM draws by other kernels is not quite the scored policy: the term's check of the gap refuses more than
    rounding, and what rounding leaves is weighted, at most by 2 (truncated importance sampling, 1802.01561).
    """

    largest_weight: ClassVar[float | None] = 2.0

    def __init__(self, engine: Vllm) -> None:
        self.engine = engine

    def draw(
        self, model: Any, prompts: Sequence[Sequence[int]], request: GenerationRequest
    ) -> Sequence[Sequence[Generation]]:
        """The draws of vLLM with the adapter of now.

        Raises:
            EngineError: the engine could not start or broke off, or cannot take the adapter.
        """
        with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
            model.save_pretrained(folder, save_embedding_layers=False)
            return self.engine.with_adapter(folder).draw(prompts, request)


def build_drawing(section: PolychromicSection, trainer: Any) -> Drawing:
    """What ``polychromic.engine`` names.

    Raises:
        MissingResourceError: vLLM is not installed.
        UnsoundObjectiveError: vLLM cannot draw from what is trained, or the engine is none that training takes.
    """
    kind, options = catalog.split(section.engine)
    if kind == "transformers" and not options:
        return InProcess()
    if kind != "vllm":
        raise UnsoundObjectiveError("polychromic.engine: allowed: transformers (without options), vllm")
    if options.get("stop") or options.get("schema"):
        raise UnsoundObjectiveError(
            "polychromic.engine: no stop and no schema, as the policy is trained on its own draws"
        )
    if reason := _unmovable(trainer.accelerator.unwrap_model(trainer.model), trainer.accelerator.num_processes):
        raise UnsoundObjectiveError(f"polychromic.engine: vllm draws from a base and a LoRA adapter; {reason}")
    if find_spec("vllm") is None:
        raise MissingResourceError(ADVICE)
    base = trainer.accelerator.unwrap_model(trainer.model).get_base_model().config._name_or_path
    given = {"model_path": base, "gpu_memory_utilization": BESIDE_TRAINING} | options
    return MovedAdapter(catalog.build("samplers", {"kind": kind} | given))


def _unmovable(model: Any, ranks: int) -> str | None:
    """Why the policy is not a base of the hub's form with an adapter that could be moved."""
    configs = list(getattr(model, "peft_config", {}).values())
    if len(configs) != 1 or configs[0].peft_type != "LORA" or configs[0].modules_to_save or configs[0].use_dora:
        return "the adapter is another, or weights beside it are trained"
    if any(not weights.is_floating_point() for weights in model.parameters()):
        return "the base is quantised here"
    if ranks > 1:
        return f"{ranks} ranks would each start one"
    return None
