"""Scarce demonstrations, plenty of prompts with a checker, a base that seldom finds an answer: what then?

    python -m benchmarks.efficacy.scarce --out runs/scarce --seeds 0,1,2,3

SFT on the few demonstrations; the online term; and beside the demonstrations the base's own right answers: every
different one once (harvest), each as often as it was drawn (RFT by frequency, set_size 1), and in two rounds. One row a
method and seed; a row that is there is not run again. Prints pass@1 and different right answers of
16 at every temperature, processor seconds and forward tokens, sampling included.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.efficacy.cells import Cell, run
from benchmarks.efficacy.pool import Pool

TEMPERATURES = (0.3, 0.5, 0.7, 0.85, 1.0, 1.2)
STEPS = 600
HARVEST = "n: 8, share: 0.8"
METHODS: dict[str, tuple[int, tuple[str, ...]]] = {
    "sft": (STEPS, ()),
    "online": (STEPS // 2, ("polychromic.lambda=16", "polychromic.set_size=shapley")),
    "rft_by_frequency": (STEPS, (f"data.harvest={{{HARVEST}, set_size: 1}}",)),
    "harvest": (STEPS, (f"data.harvest={{{HARVEST}}}",)),
    "harvest_rounds": (STEPS, (f"data.harvest={{{HARVEST}, rounds: 2, round_steps: 300}}",)),
}
"""Steps and options of each; the online term at half the steps, which cost as much as a harvest's run."""


def cells(seeds: list[int], methods: list[str]) -> list[Cell]:
    """The base's cell and every method's, seed by seed."""
    every = [Cell("scarce", "base", "untrained", 0, (), 0, temperatures=TEMPERATURES)]
    for seed in seeds:
        for name in methods:
            steps, options = METHODS[name]
            every.append(Cell("scarce", name, "same time", seed, options, steps, temperatures=TEMPERATURES))
    return every


def row(found: dict[str, Any]) -> str:
    """A line of the table."""
    means = [
        f"{float(np.mean(figures['pass@1'])):.3f}/{float(np.mean(figures['distinct'])):.2f}"
        for figures in found["readings"]["1"].values()
    ]
    cost = f"{found['processor_seconds']:.0f} | {found['forward_tokens'] / 1000:.0f} k"
    return f"| {found['method']} | {found['seed']} | {' | '.join(means)} | {cost} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.efficacy.scarce", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/scarce"))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    every = cells([int(seed) for seed in options.seeds.split(",")], options.methods.split(","))
    table = Pool(options.workers).map(run, [(cell, options.out) for cell in every], "scarce")
    print(f"| method | seed | {' | '.join(f'T = {t:g}' for t in TEMPERATURES)} | processor s | forward tokens |")
    print("|---|---|" + "---|" * (len(TEMPERATURES) + 2))
    print("\n".join(map(row, table)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
