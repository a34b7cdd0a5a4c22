"""What a run costs: a forecast before, an account after, and what a passing answer came to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polychromic.core.errors import InputError

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Tokens read and written, seconds of ``devices`` GPUs, and dollars (NaN without a price)."""

    stage: str
    tokens: int
    seconds: float
    devices: int = 1
    price_per_hour: float | None = None

    def __post_init__(self) -> None:
        if self.tokens < 0 or not self.seconds >= 0 or self.devices < 0:
            raise InputError(f"cost of {self.stage}: tokens, seconds and devices cannot be negative")

    @property
    def device_seconds(self) -> float:
        """Seconds times devices."""
        return self.seconds * self.devices

    @property
    def dollars(self) -> float:
        """Device hours times the price of one; NaN when no price is known."""
        if self.price_per_hour is None:
            return math.nan
        return self.device_seconds / SECONDS_PER_HOUR * self.price_per_hour

    @property
    def tokens_per_second(self) -> float:
        """Throughput of one device, NaN without time."""
        return self.tokens / self.device_seconds if self.device_seconds else math.nan


@dataclass(frozen=True, slots=True)
class Speed:
    """A device's measured rates in tokens a second: ``trained`` forward and backward, ``drawn`` sampled."""

    trained: float
    drawn: float

    def __post_init__(self) -> None:
        if not (self.trained > 0 and self.drawn > 0):
            raise InputError("speed: tokens a second must be positive")


@dataclass(frozen=True, slots=True)
class Workload:
    """What a training run will do. Diversity tokens are drawn once, and once more read forward and backward."""

    steps: int
    examples_per_step: int
    tokens_per_example: float
    diversity_steps: int = 0
    prompts_per_diversity_step: int = 0
    n_generations: int = 0
    tokens_per_generation: float = 0.0
    tokens_per_prompt: float = 0.0

    @property
    def demonstration_tokens(self) -> float:
        """Tokens of the demonstrations, trained on."""
        return self.steps * self.examples_per_step * self.tokens_per_example

    @property
    def drawn_tokens(self) -> float:
        """Tokens sampled for the diversity term."""
        return self.diversity_steps * self.prompts_per_diversity_step * self.n_generations * self.tokens_per_generation

    @property
    def scored_tokens(self) -> float:
        """Tokens of the samples with their prompts, read again for their log-probabilities."""
        samples = self.diversity_steps * self.prompts_per_diversity_step * self.n_generations
        return samples * (self.tokens_per_prompt + self.tokens_per_generation)


def forecast_training(
    work: Workload, speed: Speed, devices: int = 1, price_per_hour: float | None = None
) -> list[Cost]:
    """The parts of a training run before it starts: demonstrations, drawing, scoring."""
    parts = (
        ("demonstrations", work.demonstration_tokens, speed.trained),
        ("drawing samples", work.drawn_tokens, speed.drawn),
        ("scoring samples", work.scored_tokens, speed.trained),
    )
    return [Cost(name, round(tokens), tokens / rate / devices, devices, price_per_hour) for name, tokens, rate in parts]


def total(costs: Sequence[Cost], stage: str = "total") -> Cost:
    """The sum; device seconds add up, as if one device had done it all."""
    prices = {cost.price_per_hour for cost in costs}
    price = prices.pop() if len(prices) == 1 else None
    return Cost(stage, sum(cost.tokens for cost in costs), sum(cost.device_seconds for cost in costs), 1, price)


def multiplier(cost: Cost, baseline: Cost) -> float:
    """Device seconds against the baseline's, NaN when that took no time."""
    return cost.device_seconds / baseline.device_seconds if baseline.device_seconds else math.nan


def per_passing_answer(cost: Cost, passed: int) -> dict[str, float]:
    """Device seconds, tokens and dollars for one passing answer; NaN when none passed."""
    if passed <= 0:
        return {"device_seconds": math.nan, "tokens": math.nan, "dollars": math.nan}
    return {
        "device_seconds": cost.device_seconds / passed,
        "tokens": cost.tokens / passed,
        "dollars": cost.dollars / passed,
    }


def account(costs: Mapping[str, Cost], baseline: str, passed: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    """One row a model for the report: tokens, seconds, dollars, the multiplier, and the price of a passing answer."""
    rows = []
    for model, cost in costs.items():
        own = costs.get(baseline)
        row = {
            "model": model,
            "tokens": cost.tokens,
            "device_seconds": cost.device_seconds,
            "dollars": cost.dollars,
            "tokens_per_second": cost.tokens_per_second,
            "multiplier": multiplier(cost, own) if own else math.nan,
        }
        answers = per_passing_answer(cost, (passed or {}).get(model, 0))
        rows.append(row | {f"{name}_per_pass": value for name, value in answers.items()})
    return rows
