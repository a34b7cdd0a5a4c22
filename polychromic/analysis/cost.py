"""What a run cost: an account of tokens, seconds and dollars, and what a passing answer came to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from polychromic.core.errors import InputError
from polychromic.core.nouns import Bill
from polychromic.records.rows import FloatOrNaN

SECONDS_PER_HOUR = 3600.0
TOKENS_PRICED = 1e6


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars of a device's hour, and of a million tokens that a server draws and reads; None where nobody knows."""

    per_hour: float | None = None
    per_million_tokens: float | None = None
    per_million_prompt_tokens: float | None = None


UNKNOWN = Prices()


@dataclass(frozen=True, slots=True)
class Cost:
    """Tokens, seconds of ``devices`` devices, and dollars (NaN without a price).

    ``tokens``, ``seconds`` and ``tokens_read`` (of prompts, by a server) are NaN where they are not known.
    """

    stage: str
    tokens: float
    seconds: float
    devices: int = 1
    prices: Prices = UNKNOWN
    tokens_read: float = 0.0

    def __post_init__(self) -> None:
        if self.tokens < 0 or self.seconds < 0 or self.devices < 0:
            raise InputError(f"cost of {self.stage}: tokens, seconds and devices cannot be negative")

    @property
    def device_seconds(self) -> float:
        """Seconds times devices."""
        return self.seconds * self.devices

    @property
    def dollars(self) -> float:
        """Tokens times their prices where they have some, else device hours times that of one; NaN without a price."""
        drawn, read = self.prices.per_million_tokens, self.prices.per_million_prompt_tokens
        if drawn is not None:
            return (self.tokens * drawn + (self.tokens_read * read if read is not None else 0.0)) / TOKENS_PRICED
        if self.prices.per_hour is None:
            return math.nan
        return self.device_seconds / SECONDS_PER_HOUR * self.prices.per_hour

    @property
    def tokens_per_second(self) -> float:
        """Throughput of one device, NaN without time."""
        return self.tokens / self.device_seconds if self.device_seconds else math.nan


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """What a model took; ``multiplier`` is its device seconds against the baseline's. NaN for what is not known."""

    model: str
    tokens: FloatOrNaN
    device_seconds: FloatOrNaN
    dollars: FloatOrNaN
    tokens_per_second: FloatOrNaN
    multiplier: FloatOrNaN


def account(costs: Mapping[str, Cost], baseline: str) -> list[AccountRow]:
    """One row a model: tokens, device seconds, dollars, tokens a second, and the multiplier against the baseline."""
    return [AccountRow(**_facts(model, costs, baseline)) for model in costs]


def _facts(model: str, costs: Mapping[str, Cost], baseline: str) -> dict[str, Any]:
    cost, own = costs[model], costs.get(baseline)
    return {
        "model": model,
        "tokens": cost.tokens,
        "device_seconds": cost.device_seconds,
        "dollars": cost.dollars,
        "tokens_per_second": cost.tokens_per_second,
        "multiplier": multiplier(cost, own) if own else math.nan,
    }


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """The samples of one model: how many there are, are judged and passed, and for how many the time is known.

    ``wall_seconds`` are those of the clock, beside the device's own.
    """

    samples: int
    judged: int
    passed: int
    timed: int
    wall_seconds: float

    @property
    def reason(self) -> str:
        """Why a number of this model's account is missing; empty when none is."""
        if self.timed < self.samples:
            return f"the time is known of {self.timed} of {self.samples} samples"
        if not self.judged:
            return "no sample was judged"
        return "" if self.passed else f"none of {self.judged} judged samples passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingRow(AccountRow):
    """What a model's samples took, and what one that passed came to; NaN with a ``reason``."""

    samples: int
    judged: int
    passed: int
    wall_seconds: FloatOrNaN
    reason: str
    device_seconds_per_pass: FloatOrNaN
    tokens_per_pass: FloatOrNaN
    dollars_per_pass: FloatOrNaN


@dataclass(frozen=True, slots=True)
class StageRow:
    """What all pieces of one stage took, and on what device; ``dollars`` are those of a ``bill``, if any."""

    stage: str
    device: str
    seconds: float
    processor_seconds: float
    dollars: FloatOrNaN
    bill: Bill | None = None


@dataclass(frozen=True, slots=True)
class EvaluationCost:
    """The content of ``cost.json``: the account of an evaluation's samples and of its stages."""

    price_per_hour: float | None
    models: tuple[SamplingRow, ...]
    stages: tuple[StageRow, ...]


def sampling_account(costs: Mapping[str, Cost], counts: Mapping[str, SampleCounts], baseline: str) -> list[SamplingRow]:
    """The account with the samples, those that passed, and what one that passed came to.

    NaN with a ``reason`` where the time is not known of every sample or nothing passed.
    """
    rows = []
    for model, cost in costs.items():
        own, each = counts[model], per_passing_answer(cost, counts[model].passed)
        rows.append(
            SamplingRow(
                **_facts(model, costs, baseline),
                samples=own.samples,
                judged=own.judged,
                passed=own.passed,
                wall_seconds=own.wall_seconds,
                reason=own.reason,
                device_seconds_per_pass=each["device_seconds"],
                tokens_per_pass=each["tokens"],
                dollars_per_pass=each["dollars"],
            )
        )
    return rows
