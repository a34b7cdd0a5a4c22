"""What to use when: a small comparison for each regime, every method at about the same processor time.

    python -m benchmarks.efficacy.regimes scarce --seeds 0,1,2,3

``scarce``: few demonstrations, more prompts with a checker, a base that seldom finds an answer. ``palindromes``: the
same on a family of reasoning-gym, with a base made here. ``unjudged``: an able base, no checker while training.
``unjudged_scarce``: the same with the first one's base. ``baselines``: what is subtracted from the online term's
credit, at equal steps. One row a method and seed; a row that is there is not run again. Prints pass@1 and different
right answers of 16 at every temperature, processor seconds and forward tokens of training, drawing included.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.efficacy import bases
from benchmarks.efficacy.cells import Cell, run
from benchmarks.efficacy.methods import Overrides
from benchmarks.efficacy.pool import Pool

ONLINE = ("polychromic.lambda=16", "polychromic.set_size=shapley")
FEW_SAMPLES = ("polychromic.lambda=16", "polychromic.n_generations=4", "polychromic.set_size=4")
"""With few steps and samples: in a full run on the grammar all of them end at the base's ceiling."""
COOL = "polychromic.temperature=0.6"
"""Of the drawing: a weak base is right more often, and more often in the same way."""
UNJUDGED = ("polychromic.gate=likelihood", "evaluation.encoder=hashing")
Methods = Mapping[str, tuple[int, Overrides]]


@dataclass(frozen=True)
class Plan:
    """Steps and options of each method on the configuration ``task``; SFT is also read at half its adapter."""

    task: str
    methods: Methods
    temperatures: tuple[float, ...] = (0.3, 0.5, 0.7, 0.85, 1.0, 1.2)


def _harvest(more: str = "", n: int = 8) -> str:
    return f"data.harvest={{n: {n}, share: 0.8{more}}}"


def _few(steps: int) -> Methods:
    """Demonstrations are few; the online term has half the steps, which cost as much as a harvest's run."""
    return {
        "sft": (steps, ()),
        "online": (steps // 2, ONLINE),
        "rft_by_frequency": (steps, (_harvest(", set_size: 1"),)),
        "harvest": (steps, (_harvest(),)),
        "rft_cool": (steps, (_harvest(", set_size: 1"), COOL)),
        "harvest_cool": (steps, (_harvest(), COOL)),
        "harvest_rounds": (steps, (_harvest(f", rounds: 2, round_steps: {steps // 2}"),)),
    }


def _unjudged(steps: int, weight: float) -> Methods:
    """No verdict reaches the training: embeddings, n-grams or clusters under the likelihood gate."""
    return {
        "sft": (steps, ()),
        "online_semantic": (steps, (*UNJUDGED, "polychromic.reward=semantic", f"polychromic.lambda={weight}")),
        "online_lexical": (steps, (*UNJUDGED, "polychromic.reward=lexical", f"polychromic.lambda={weight}")),
        "harvest_clusters": (
            2 * steps,
            (*UNJUDGED, "polychromic.reward=clusters", _harvest(", prompts: 1200")),
        ),
        "harvest_texts": (
            2 * steps,
            (*UNJUDGED, "polychromic.reward=answers", _harvest(", prompts: 1200")),
        ),
    }


PLANS = {
    "scarce": Plan("scarce", _few(600)),
    "palindromes": Plan("palindromes", _few(600)),
    "unjudged": Plan("countdown", _unjudged(150, 2.0), (0.5, 0.7, 1.0, 1.4)),
    "unjudged_scarce": Plan("scarce", _unjudged(300, 2.0), (0.3, 0.5, 0.7, 1.0)),
    "baselines": Plan(
        "grammar",
        {
            kind: (40, (*FEW_SAMPLES, f"polychromic.baseline={kind}"))
            for kind in ("control_variate", "leave_one_out", "mean", "none")
        },
        (0.7, 1.0, 1.4),
    ),
}


def cells(plan: Plan, seeds: list[int], methods: list[str]) -> list[Cell]:
    """The base's cell and every method's, seed by seed."""
    every = [Cell(plan.task, "base", "untrained", 0, (), 0, temperatures=plan.temperatures)]
    for seed in seeds:
        for name in methods:
            steps, options = plan.methods[name]
            scales = (1.0,) if options else (1.0, 0.5)
            every.append(
                Cell(plan.task, name, "same time", seed, options, steps, scales, temperatures=plan.temperatures)
            )
    return every


def rows(found: dict[str, Any]) -> list[str]:
    """A line of the table for each strength of the adapter."""
    cost = f"{found['processor_seconds']:.0f} | {found['forward_tokens'] / 1000:.0f} k"
    lines = []
    for scale, reading in found["readings"].items():
        means = [
            f"{float(np.mean(figures['pass@1'])):.3f}/{float(np.mean(figures['distinct'])):.2f}"
            for figures in reading.values()
        ]
        name = found["method"] + ("" if scale == "1" else f" x {scale}")
        lines.append(f"| {name} | {found['seed']} | {' | '.join(means)} | {cost} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.efficacy.regimes", description=__doc__)
    parser.add_argument("plan", choices=sorted(PLANS))
    parser.add_argument("--out", type=Path, default=Path("runs/regimes"))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--methods", help="some of the plan's, such as sft,harvest")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    plan, out = PLANS[options.plan], options.out / options.plan
    out.mkdir(parents=True, exist_ok=True)
    bases.make(plan.task, out)
    methods = options.methods.split(",") if options.methods else list(plan.methods)
    every = cells(plan, [int(seed) for seed in options.seeds.split(",")], methods)
    table = Pool(options.workers).map(run, [(cell, out) for cell in every], options.plan)
    print(f"| method | seed | {' | '.join(f'T = {t:g}' for t in plan.temperatures)} | processor s | forward tokens |")
    print("|---|---|" + "---|" * (len(plan.temperatures) + 2))
    print("\n".join(line for found in table for line in rows(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
