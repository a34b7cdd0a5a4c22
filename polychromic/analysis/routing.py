"""Which of several models should answer: one for all, one by category, or the cheap one first and another in doubt.

A policy gives each prompt a chance of a right answer and a price; both are means over prompts. What a policy must
learn (the best model, a threshold) is learned on one half of the prompts and applied to the other, and the other way
round, so that every prompt is routed by a choice that never saw it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polychromic.analysis.nouns import NO_INTERVAL, Interval
from polychromic.analysis.resampling import Array, Plan, bootstrap, intervals, jackknife
from polychromic.core.errors import InputError
from polychromic.core.seeds import child_seed
from polychromic.records.rows import FloatOrNaN

ORACLE, CATEGORY, AGREEMENT, LOGPROB = "oracle", "by category", "by self-consistency", "by log-probability"


@dataclass(frozen=True, slots=True)
class Served:
    """One model's samples of one prompt: which are right, what each answers, and the dollars of one sample.

    ``logprobs`` are those of a token, NaN where they are not known.
    """

    right: tuple[bool, ...]
    answers: tuple[str, ...]
    logprobs: tuple[float, ...]
    dollars: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """The prompts to route: each model's samples of each, and each prompt's category."""

    models: Mapping[str, Sequence[Served]]
    categories: Sequence[str]

    def __post_init__(self) -> None:
        if len(self.models) < 2:
            raise InputError("routing: at least two models are needed")
        if len(self.categories) < 4:
            raise InputError("routing: at least four prompts with verdicts of every model are needed")

    def rates(self, model: str) -> Array:
        """The share of right samples of each prompt."""
        return np.array([float(np.mean(one.right)) for one in self.models[model]])

    def dollars(self, model: str) -> Array:
        """The price of one sample of each prompt."""
        return np.array([one.dollars for one in self.models[model]])


@dataclass(frozen=True, slots=True)
class RoutingRow:
    """A policy: its share of right answers and its dollars a prompt, with intervals over prompts.

    ``gain`` is the rate against that of the best single model, paired by prompt. ``learned`` says what was chosen, on
    either half; ``reason`` why there are no numbers.
    """

    policy: str
    rate: FloatOrNaN = float("nan")
    rate_interval: Interval = NO_INTERVAL
    dollars: FloatOrNaN = float("nan")
    dollars_interval: Interval = NO_INTERVAL
    gain: FloatOrNaN = float("nan")
    gain_interval: Interval = NO_INTERVAL
    learned: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Routing:
    """The content of ``routing.json``: what every policy came to, and which to take."""

    prompts: int
    tolerance: float
    rows: tuple[RoutingRow, ...]
    advice: str
    prices: Mapping[str, str]


Outcome = tuple[Array, Array]
"""The chance of a right answer and the dollars of each prompt."""
_Learn = Callable[["Traffic", Array], tuple[Callable[[Array], Outcome], str]]


def route(traffic: Traffic, prices: Mapping[str, str], plan: Plan, tolerance: float = 0.01) -> Routing:
    """Every model alone, the oracle, and the routers; advised is the cheapest that gives up at most ``tolerance``.

    Raises:
        InputError: fewer than two models or four prompts, or a tolerance outside [0, 1].
    """
    if not 0 <= tolerance <= 1:
        raise InputError(f"tolerance: {tolerance} given, a share from 0 to 1 is allowed")
    halves = _halves(len(traffic.categories), plan.seed)
    single = _crossed(traffic, halves, _best)
    routers = {
        CATEGORY: _by_category,
        AGREEMENT: lambda known, half: _cascade(known, half, tolerance, _agreement),
        LOGPROB: lambda known, half: _cascade(known, half, tolerance, _confidence),
    }
    rows = [_row(f"{model} alone", _alone(traffic, model), single[0], plan) for model in traffic.models]
    rows.append(_row("best single model", single[0], single[0], plan, single[1]))
    rows.append(_row(ORACLE, _oracle(traffic), single[0], plan))
    for name, learn in routers.items():
        try:
            outcome, learned = _crossed(traffic, halves, learn)
        except _CannotError as error:
            rows.append(RoutingRow(name, reason=str(error)))
        else:
            rows.append(_row(name, outcome, single[0], plan, learned))
    return Routing(len(traffic.categories), tolerance, tuple(rows), advice(rows, tolerance), prices)


class _CannotError(Exception):
    """Why a router has nothing to go by."""


def _halves(count: int, seed: int) -> tuple[Array, Array]:
    order = np.random.default_rng(child_seed(seed, "routing", count)).permutation(count)
    return np.sort(order[: count // 2]), np.sort(order[count // 2 :])


def _crossed(traffic: Traffic, halves: tuple[Array, Array], learn: _Learn) -> tuple[Outcome, str]:
    """Each half's outcome under what was learned on the other, and what that was."""
    rate, dollars = (np.full(len(traffic.categories), np.nan) for _ in range(2))
    said = []
    for known, rest in (halves, halves[::-1]):
        apply, learned = learn(traffic, known)
        rate[rest], dollars[rest] = apply(rest)
        said.append(learned)
    return (rate, dollars), " and ".join(dict.fromkeys(said))


def _alone(traffic: Traffic, model: str) -> Outcome:
    return traffic.rates(model), traffic.dollars(model)


def _at(traffic: Traffic, model: str, where: Array) -> Outcome:
    rate, dollars = _alone(traffic, model)
    return rate[where], dollars[where]


def _best_of(traffic: Traffic, where: Array) -> str:
    """The model with the most right answers there, the cheaper of equals."""
    means = {name: [float(part.mean()) for part in _at(traffic, name, where)] for name in traffic.models}
    return min(means, key=lambda name: (-means[name][0], means[name][1]))


def _best(traffic: Traffic, known: Array) -> tuple[Callable[[Array], Outcome], str]:
    model = _best_of(traffic, known)
    return lambda rest: _at(traffic, model, rest), model


def _oracle(traffic: Traffic) -> Outcome:
    """Knows who will be right and asks the cheapest of those, or of all; routers of single samples can do no better."""
    order = sorted(traffic.models, key=lambda model: float(traffic.dollars(model).mean()))
    left = np.ones(len(traffic.categories))
    dollars = np.zeros(len(left))
    for model in order:
        rate, price = _alone(traffic, model)
        dollars += left * rate * price
        left = left * (1 - rate)
    return 1 - left, dollars + left * traffic.dollars(order[0])


def _by_category(traffic: Traffic, known: Array) -> tuple[Callable[[Array], Outcome], str]:
    names = np.array(traffic.categories)
    if len(set(traffic.categories)) < 2:
        raise _CannotError("the prompts have no categories to tell apart")
    fallback = _best_of(traffic, known)
    chosen = {name: _best_of(traffic, known[names[known] == name]) for name in sorted(set(names[known].tolist()))}

    def apply(rest: Array) -> Outcome:
        rate, dollars = np.zeros(len(rest)), np.zeros(len(rest))
        for place, prompt in enumerate(rest):
            found = _at(traffic, chosen.get(str(names[prompt]), fallback), np.array([prompt]))
            rate[place], dollars[place] = found[0][0], found[1][0]
        return rate, dollars

    return apply, ", ".join(f"{name}: {model}" for name, model in chosen.items())


_Signal = Callable[[Served], tuple[list[tuple[float, float]], float]]
"""A prompt's (confidence, chance of a right answer) of each way the cheap model may answer, and the price of asking."""


def _agreement(served: Served) -> tuple[list[tuple[float, float]], float]:
    """How many of all samples share the commonest answer, and how many of those are right; all samples are paid."""
    if len(served.right) < 2:
        raise _CannotError("self-consistency needs two samples a prompt or more")
    answer, count = Counter(served.answers).most_common(1)[0]
    right = [ok for ok, own in zip(served.right, served.answers, strict=True) if own == answer]
    return [(count / len(served.right), float(np.mean(right)))], served.dollars * len(served.right)


def _confidence(served: Served) -> tuple[list[tuple[float, float]], float]:
    """The log-probability a token of each sample, and whether it is right."""
    if any(map(math.isnan, served.logprobs)):
        raise _CannotError("samples without a log-probability cannot be routed by it")
    return list(zip(served.logprobs, map(float, served.right), strict=True)), served.dollars


def _cascade(
    traffic: Traffic, known: Array, tolerance: float, signal: _Signal
) -> tuple[Callable[[Array], Outcome], str]:
    """The cheapest model first; below a threshold of its confidence the best one is asked too.

    The threshold is the cheapest that gives up at most ``tolerance`` of the best model's rate, else the most accurate.
    """
    strong = _best_of(traffic, known)
    weak = min(traffic.models, key=lambda model: float(traffic.dollars(model)[known].mean()))
    if weak == strong:
        raise _CannotError(f"{weak} is both the best and the cheapest: there is nobody to ask in doubt")
    signals = [signal(served) for served in traffic.models[weak]]
    rate, dollars = _alone(traffic, strong)

    def outcome(where: Array, threshold: float) -> Outcome:
        found = []
        for prompt in where:
            ways, price = signals[prompt]
            taken = np.array([confidence >= threshold for confidence, _ in ways])
            right = np.where(taken, [chance for _, chance in ways], rate[prompt])
            found.append((right.mean(), price + (1 - taken.mean()) * dollars[prompt]))
        return np.array([one for one, _ in found]), np.array([one for _, one in found])

    levels = sorted({confidence for prompt in known for confidence, _ in signals[prompt][0]})
    steps = [levels[round(place)] for place in np.linspace(0, len(levels) - 1, min(32, len(levels)))]
    tried = [(level, *(float(part.mean()) for part in outcome(known, level))) for level in (*steps, math.inf)]
    enough = [one for one in tried if one[1] >= rate[known].mean() - tolerance]
    best = min(enough, key=lambda one: one[2]) if enough else max(tried, key=lambda one: one[1])
    return lambda rest: outcome(rest, best[0]), f"{weak} from {best[0]:.3g} on, else {strong}"


def _row(name: str, found: Outcome, single: Outcome, plan: Plan, learned: str = "") -> RoutingRow:
    values = np.stack([*found, found[0] - single[0]], axis=1)
    ones = np.ones_like(values)
    means = values.mean(axis=0)
    spans = intervals(bootstrap(values, ones, plan), means, jackknife(values, ones), plan).tolist()
    rate, dollars, gain = (float(mean) for mean in means)
    return RoutingRow(name, rate, tuple(spans[0]), dollars, tuple(spans[1]), gain, tuple(spans[2]), learned)


def advice(rows: Sequence[RoutingRow], tolerance: float) -> str:
    """The cheapest policy that is not shown to give up more than ``tolerance`` of the best single model's rate."""
    single = next(row for row in rows if row.policy == "best single model")
    routers = [row for row in rows if row.policy in (CATEGORY, AGREEMENT, LOGPROB) and not row.reason]
    kept = [row for row in routers if row.gain_interval[0] >= -tolerance and row.dollars <= single.dollars]
    better = [row for row in routers if row.gain_interval[0] > 0]
    chosen = min(kept or better, key=lambda row: row.dollars, default=None)
    alone = f"{single.learned} alone: {single.rate:.1%} right at {single.dollars:.2g} dollars a prompt"
    if chosen is None:
        return f"{alone}; no router is shown to be as right and no dearer, within {tolerance:.0%}."
    return f"Route {chosen.policy}: {chosen.rate:.1%} right at {chosen.dollars:.2g} dollars a prompt; {alone}."
