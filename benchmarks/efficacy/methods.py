"""The methods that are compared, each as changes to one configuration, and the options each may be tuned over.

The smallest models have small embeddings and 358 tokens, so noise and smoothing are tuned far below their usual values.
Every method gets as many options as any other of its family, chosen on validation prompts with a seed that no reported
run has. Methods that draw no samples while they train are cheaper by the step, so they are run at several budgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["demonstrations", "samples", "harvest"]
Overrides = tuple[str, ...]


@dataclass(frozen=True)
class Method:
    """``options`` are alternatives: one is chosen on validation prompts; ``says`` is its line in the table."""

    name: str
    family: Family
    says: str
    options: tuple[Overrides, ...] = ((),)


WEIGHTS = (4, 8, 16, 32, 64)


def _losses(kind: str, field: str, values: tuple[float, ...]) -> tuple[Overrides, ...]:
    return tuple((f"polychromic.demonstration_loss={{kind: {kind}, {field}: {value}}}",) for value in values)


def _weights(*fixed: str) -> tuple[Overrides, ...]:
    return tuple((f"polychromic.lambda={weight}", *fixed) for weight in WEIGHTS)


def _rival(name: str) -> tuple[Overrides, ...]:
    return _weights(f"polychromic.rival={name}")


OURS = Method(
    "ours",
    "samples",
    "set objective with control variate",
    tuple(
        (f"polychromic.lambda={weight}", f"polychromic.set_size={size}")
        for weight, size in ((16, 2), (16, "shapley"), (16, 8), (32, 8), (64, 8))
    ),
)


def _harvests(*fixed: str) -> tuple[Overrides, ...]:
    """Prompts, samples of each and the share of the rows."""
    return tuple(
        (f"data.harvest={{{', '.join([f'prompts: {prompts}, n: {n}, share: {share}', *fixed])}}}",)
        for prompts, n, share in ((1200, 16, 0.8), (2400, 8, 0.8), (2400, 8, 1.0))
    )


METHODS: tuple[Method, ...] = (
    Method("sft", "demonstrations", "SFT, negative log-likelihood"),
    Method(
        "label_smoothing",
        "demonstrations",
        "label smoothing (1512.00567)",
        _losses("label_smoothing", "epsilon", (0.002, 0.01, 0.05)),
    ),
    Method(
        "neftune",
        "demonstrations",
        "NEFTune (2310.05914)",
        tuple((f"training.neftune_noise_alpha={alpha}",) for alpha in (0.03, 0.1, 0.3)),
    ),
    Method("entropy", "demonstrations", "entropy bonus (1701.06548)", _losses("entropy", "beta", (0.05, 0.1, 0.3))),
    Method("gem", "demonstrations", "GEM (2408.16673)", _losses("gem", "beta", (0.3, 0.5, 0.7))),
    Method(
        "tofu",
        "demonstrations",
        "TOFU, tempered focal (2605.00195)",
        tuple(
            (f"polychromic.demonstration_loss={{kind: tofu, beta: {beta}, gamma: {gamma}}}",)
            for beta, gamma in ((0.3, 1), (0.5, 1), (0.7, 2))
        ),
    ),
    Method("naive", "samples", "measured diversity subtracted as a number", (_rival("naive")[0],)),
    Method("shuffled", "samples", "our credits on the wrong prompts", _rival("shuffled")),
    Method("accuracy", "samples", "accuracy alone, k = 1 (RLOO, 2402.14740)", _rival("accuracy")),
    Method("poly_epo", "samples", "Poly-EPO's subset advantage, k = 4 (2604.17654)", _rival("poly_epo")),
    Method("darling", "samples", "DARLING (2509.02534)", _rival("darling")),
    Method("dra", "samples", "DRA (2505.09655)", _rival("dra")),
    Method("rft_by_frequency", "harvest", "right answers as often as drawn (2308.01825)", _harvests("set_size: 1")),
    Method("harvest", "harvest", "every different right answer once", _harvests()),
    OURS,
)
BY_NAME = {method.name: method for method in METHODS}


@dataclass(frozen=True)
class Composed:
    """Methods used together, each at the option it was given alone; ``before`` is trained first and merged."""

    parts: tuple[str, ...]
    more: Overrides = ()
    before: str = ""


COMPOSED = {
    "ours_and_gem": Composed(("ours", "gem")),
    "harvest_rounds": Composed(("harvest",), ("data.harvest.rounds=2", "data.harvest.round_steps=150")),
    "harvest_and_ours": Composed(("harvest", "ours")),
    "harvest_then_ours": Composed(("ours",), before="harvest"),
}

SCALES = (0.5, 0.75)
"""Adapter scaling (WiSE-FT, 2109.01903, with LoRA): SFT's adapter at a part of its strength."""

_SIXTEEN = ("polychromic.lambda=8", "polychromic.n_generations=16")
DOSE_GROUPS: tuple[tuple[tuple[str, Overrides], ...], ...] = (
    tuple(
        (f"lambda {weight:g}, k 8", (f"polychromic.lambda={weight:g}", "polychromic.set_size=8"))
        for weight in (0.5, 2, 8, 32)
    ),
    tuple(
        (f"lambda 8, k {size}", ("polychromic.lambda=8", f"polychromic.set_size={size}"))
        for size in (1, 2, 4, "shapley")
    ),
    tuple((f"lambda 8, k {size} of 16", (*_SIXTEEN, f"polychromic.set_size={size}")) for size in (8, 16)),
)
"""What lambda, the set size and the number of samples do to ours, each with the others held."""
DOSES = tuple(dose for group in DOSE_GROUPS for dose in group)
