"""samples.jsonl, verdicts.jsonl and prices -> routing.json: which model should answer what, and what that costs."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from polychromic.analysis.cost import UNKNOWN, Cost, Prices
from polychromic.analysis.resampling import Plan
from polychromic.analysis.routing import Served, Traffic, route
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.nouns import Status, Verdict
from polychromic.records.costs import read_costs
from polychromic.records.evaluation import EvaluationFolder, Folder, opened
from polychromic.records.jsonl import write_json
from polychromic.records.samples import StoredSet
from polychromic.records.verdicts import VerdictKey, verdicts_of

ROUTING = "routing.json"
_NUMBER = r"([0-9.]+(?:e-?[0-9]+)?)"


@dataclass(frozen=True, slots=True)
class Price:
    """What asking a model once costs, as it was ``written``: by its tokens or hours, or dollars ``per_sample``."""

    written: str
    prices: Prices = UNKNOWN
    per_sample: float | None = None

    @classmethod
    def read(cls, text: str) -> Price:
        """The price of ``0.4/M``, ``0.4+0.1/M`` (written and read), ``2.5/h`` or ``0.001/sample``.

        Raises:
            InputError: it is anything else.
        """
        found = re.fullmatch(rf"{_NUMBER}(?:\+{_NUMBER}(?=/M))?/(M|h|sample)", text.strip())
        try:
            dollars, read = float(found[1]), None if found[2] is None else float(found[2])  # type: ignore[index]
        except (TypeError, ValueError):
            raise InputError(
                f"price {text!r:.40}: expected DOLLARS/M, WRITTEN+READ/M, DOLLARS/h or DOLLARS/sample"
            ) from None
        if found[3] == "sample":  # type: ignore[index]
            return cls(text.strip(), per_sample=dollars)
        hourly = found[3] == "h"  # type: ignore[index]
        return cls(text.strip(), Prices(dollars) if hourly else Prices(None, dollars, read))


@dataclass(frozen=True, slots=True)
class Routes:
    """What is routed: a price for each model, the payload's key that names a prompt's category, at which temperature.

    ``tolerance`` is the share of right answers that may be given up for a lower price.
    """

    prices: Mapping[str, Price]
    category: str = "category"
    temperature: float | None = None
    tolerance: float = 0.01
    plan: Plan = field(default_factory=Plan)


def run(folder: Folder, routes: Routes) -> Path:
    """The path of ``routing.json``.

    Raises:
        MissingResourceError: the folder has no samples or no verdicts.
        InputError: a model has no price or nothing its price could be counted by, or too little is shared.
    """
    folder = opened(folder)
    if not folder.sets():
        raise MissingResourceError(f"{folder.samples}: there are no samples; draw some with `polychromic sample`")
    if not folder.judged():
        raise MissingResourceError(f"{folder.verdicts}: there are no verdicts; judge with `polychromic verify`")
    traffic = _traffic(folder, routes)
    prices = {name: routes.prices[name].written for name in traffic.models}
    write_json(folder.path / ROUTING, route(traffic, prices, routes.plan, routes.tolerance))
    return folder.path / ROUTING


def _traffic(folder: EvaluationFolder, routes: Routes) -> Traffic:
    """The prompts that every priced model has verdicts on, at one temperature."""
    known = dict.fromkeys(stored.model for stored in folder.sets())
    if unknown := [name for name in routes.prices if name not in known]:
        raise InputError(f"price of {unknown[0]!r}: there is no such model; there are {', '.join(known)}")
    if unpriced := [name for name in known if name not in routes.prices]:
        warnings.warn(f"routing: left out, as they have no price: {', '.join(unpriced)}", stacklevel=3)
    temperature = _temperature(folder.sets(), routes)
    wanted = {
        (stored.model, stored.samples.prompt.id): stored
        for stored in folder.sets()
        if stored.model in routes.prices and stored.temperature == temperature
    }
    seconds = _seconds(folder.path)
    found: dict[str, dict[str, Served]] = {name: {} for name in routes.prices}
    for (model, prompt), stored in wanted.items():
        judged = _judged(stored, folder.judged())
        if judged:
            dollars = _dollars(stored, routes.prices[model], seconds, folder.path)
            found[model][prompt] = _served(stored, judged, dollars)
    shared = [prompt for prompt in next(iter(found.values()), {}) if all(prompt in own for own in found.values())]
    if left := len({prompt for _, prompt in wanted}) - len(shared):
        warnings.warn(f"routing: {left} prompts left out that not every priced model has verdicts on", stacklevel=3)
    payloads = {prompt: stored.samples.prompt.payload for (_, prompt), stored in wanted.items()}
    categories = [str(payloads[prompt].get(routes.category, "")) for prompt in shared]
    return Traffic({name: [own[prompt] for prompt in shared] for name, own in found.items()}, categories)


def _temperature(sets: Iterable[StoredSet], routes: Routes) -> float:
    """The temperature asked for, else the one that all priced models have: 1.0, or the lowest."""
    drawn: dict[str, set[float]] = {}
    for stored in sets:
        drawn.setdefault(stored.model, set()).add(stored.temperature)
    shared = set.intersection(*(drawn[name] for name in routes.prices)) if routes.prices else set()
    if routes.temperature is not None:
        shared &= {routes.temperature}
    if not shared:
        raise InputError("routing: the models were not sampled at one temperature; give prices of those that were")
    return 1.0 if 1.0 in shared else min(shared)


def _judged(stored: StoredSet, verdicts: Mapping[VerdictKey, Verdict]) -> tuple[Verdict, ...]:
    """The verdicts on a set, none where a sample was not judged."""
    found = verdicts_of(stored, verdicts)
    return () if any(verdict.status is Status.ABSENT for verdict in found) else found


def _served(stored: StoredSet, judged: Sequence[Verdict], dollars: float) -> Served:
    completions = stored.samples.completions
    logprobs = [
        math.nan if each.logprob is None else each.logprob / max(1, len(each.token_ids)) for each in completions
    ]
    answers = [
        each.text.strip() if verdict.answer is None else verdict.answer
        for each, verdict in zip(completions, judged, strict=True)
    ]
    return Served(tuple(verdict.passed for verdict in judged), tuple(answers), tuple(logprobs), dollars)


def _seconds(folder: Path) -> dict[tuple[str, str, float, int], float]:
    """What the drawing of each sample took, as far as the folder's account knows."""
    return {
        (row.model, row.prompt_id, row.temperature or 0.0, index): row.seconds * row.devices / len(row.indices)
        for row in read_costs(folder)
        if row.stage == "sample" and row.indices
        for index in row.indices
    }


def _dollars(
    stored: StoredSet, price: Price, seconds: Mapping[tuple[str, str, float, int], float], folder: Path
) -> float:
    """The price of one sample of a set, the mean of its samples; each is asked for alone, and reads the prompt."""
    if price.per_sample is not None:
        return price.per_sample
    completions = stored.samples.completions
    count, tokens, read, took = len(completions), 0, 0, 0.0
    if price.prices.per_hour is not None:
        keys = [(stored.model, stored.samples.prompt.id, stored.temperature, index) for index in stored.indices]
        if any(key not in seconds for key in keys):
            raise InputError(
                f"{folder}: does not know what the samples of {stored.model} took; give another unit of price"
            )
        took = sum(seconds[key] for key in keys)
    elif not (tokens := sum(len(each.token_ids) or each.counted or 0 for each in completions)):
        raise InputError(f"{stored.model}: its samples have no tokens to count; price the hour or the sample")
    if price.prices.per_million_prompt_tokens is not None:
        known = [each.read for each in completions if each.read is not None]
        if not known:
            raise InputError(
                f"{stored.model}: nobody counted the tokens of its prompts, as a server does; price the tokens written "
                "alone, the hour or the sample"
            )
        read = max(known) * count
    return Cost("sample", tokens, took, 1, price.prices, read).dollars / count
