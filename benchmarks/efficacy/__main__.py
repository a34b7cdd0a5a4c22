"""What the set objective buys against every method in the tree, on two tasks whose answers can be checked exactly.

    python -m benchmarks.efficacy --grid small --out runs/efficacy      # 5 methods, 2 seeds: 20 minutes on two cores
    python -m benchmarks.efficacy --grid medium --out runs/efficacy     # all methods, 5 seeds
    python -m benchmarks.efficacy --grid harvest --out runs/efficacy    # ours beside learning from the base's answers
    python -m benchmarks.efficacy --grid night --out runs/efficacy      # 10 seeds and all doses

Stop it at any time: the same command continues, and a larger grid takes over what a smaller one has. Writes
``tables.md`` and figures into the folder; ``--docs`` also renews them in ``docs/efficacy.md``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from benchmarks.efficacy import bases, cells, grid, summary, threshold
from benchmarks.efficacy.pool import Pool


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.efficacy", description=__doc__)
    parser.add_argument("--grid", choices=sorted(grid.GRIDS), default="small")
    parser.add_argument("--out", type=Path, default=Path("runs/efficacy"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--task", choices=("countdown", "grammar"), action="append", help="only this task")
    parser.add_argument("--seeds", help="in the place of the grid's, such as 0,1,2")
    parser.add_argument("--option", action="append", default=[], help="METHOD=PLACE: this option, without a choice")
    parser.add_argument("--docs", action="store_true", help="renew the tables and figures of docs/efficacy.md")
    parser.add_argument("--only-summary", action="store_true", help="of what is there; runs nothing")
    options = parser.parse_args()
    plan, out = grid.GRIDS[options.grid], options.out
    given = [one.partition("=") for one in options.option]
    plan = replace(plan, given=tuple((name, int(place)) for name, _, place in given))
    if options.seeds:
        plan = replace(plan, seeds=tuple(map(int, options.seeds.split(","))))
    if not options.only_summary:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / ".lock", timeout=0):
            work(plan, options.task or plan.tasks, out, Pool(options.workers))
    print(summary.write(out, Path("docs") if options.docs else None))
    return 0


def work(plan: grid.Grid, tasks: Sequence[str], out: Path, pool: Pool) -> None:
    """Everything that is trained: the methods on every task, then the junk threshold, then the doses."""
    for task in tasks:
        bases.make(task, out)
        run = runner(task, out, pool)
        best = grid.chosen(task, plan, run, out)
        run(grid.main_cells(task, plan, best, grid.budgets(task, plan, best, run, out)))
    if "grammar" in tasks:
        base = str(out / "grammar-base")
        jobs = [(ratio, seed, base, out) for seed in plan.threshold_seeds for ratio in threshold.RATIOS]
        pool.map(threshold.run, jobs, "threshold")
    for task in tasks:
        runner(task, out, pool)(grid.dose_cells(task, plan))


def runner(task: str, out: Path, pool: Pool) -> grid.Runner:
    """What runs some cells of a task and gives their figures."""
    return lambda some: pool.map(cells.run, [(cell, out) for cell in some], task)


if __name__ == "__main__":
    sys.exit(main())
