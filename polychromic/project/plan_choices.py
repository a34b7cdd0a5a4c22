"""What a device would hold besides: 16 bits in place of 4, activations that are kept in place of computed again."""

from __future__ import annotations

from pathlib import Path

from polychromic.project.plan import DEVICES, Plan, forecast
from polychromic.reporting.tables import duration
from polychromic.settings.schema import Settings

LARGE = 80.0
"""GiB from which a card has no need of 4 bits for a base that fits it in 16: dequantising costs every token."""
IN_16_BITS = "bf16"
"""The folder beside an experiment that holds it in 16 bits."""


def choices(settings: Settings, device: str, config: str) -> list[str]:
    """What of the configuration this device makes needless, or needs; a sentence each, with the forecast of both."""
    now = forecast(settings, device)
    return [*_bits(settings, now, config), *_checkpointing(settings, now)]


def _bits(settings: Settings, now: Plan, config: str) -> list[str]:
    if settings.quantization:
        whole = forecast(settings.model_copy(update={"quantization": None}), now.device)
        if not whole.fits or DEVICES[now.device].memory < LARGE:
            return []
        beside = Path(config).parent / IN_16_BITS / Path(config).name
        how = str(beside) if beside.is_file() else "quantization: null"
        return [f"4 bits are not needed on one {now.device}: {how} takes {_against(whole, now)}"]
    packed = forecast(settings.model_copy(update={"quantization": {"load_in_4bit": True}}), now.device)
    if now.fits or not packed.fits:
        return []
    return [f"in 16 bits it does not fit; quantization: {{load_in_4bit: true}} would take {_memory(packed)}"]


def _checkpointing(settings: Settings, now: Plan) -> list[str]:
    on = bool(settings.training.get("gradient_checkpointing", True))
    training = settings.training | {"gradient_checkpointing": not on}
    other = forecast(settings.model_copy(update={"training": training}), now.device)
    if on and other.fits:
        return [f"gradient_checkpointing may be off on one {now.device}: {_against(other, now)}"]
    if not on and not now.fits and other.fits:
        return [f"gradient_checkpointing must be on: it would take {_memory(other)}"]
    return []


def _against(other: Plan, now: Plan) -> str:
    return f"{_memory(other)} and about {duration(other.total)}, not {_memory(now)} and {duration(now.total)}"


def _memory(plan: Plan) -> str:
    return f"{sum(plan.memory.values()):.1f} GiB"
