"""The figures of docs/efficacy.md, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from benchmarks.efficacy.inference import Row
from benchmarks.efficacy.threshold import predicted_junk

matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "polychromic", "font.size": 9})
OURS, INK = "#c2410c", "#334155"
TONES = ("#0f766e", "#2563eb", "#7c3aed", "#a16207", "#be185d", "#475569", "#65a30d", "#0891b2", "#94a3b8")


@contextmanager
def canvas(path: Path, size: tuple[float, float] = (6.4, 4.2)) -> Iterator[Any]:
    """Axes whose drawing is written to ``path``, on white, the same bytes for the same data."""
    drawing = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = drawing.add_subplot()
    axes.grid(True, color="#e2e8f0", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    yield axes
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def frontier(path: Path, task: str, ours: Row, others: Sequence[Row], base: Row | None) -> None:
    """pass@1 against distinct-and-correct@16 over the temperatures; the point at T=1 is filled."""
    with canvas(path) as axes:
        for place, row in enumerate([*others, ours]):
            own = row is ours
            tone = OURS if own else TONES[place % len(TONES)]
            temperatures = sorted(row.figures)
            x = [row.score("pass@1", t) for t in temperatures]
            y = [row.score("distinct", t) for t in temperatures]
            axes.plot(x, y, color=tone, linewidth=2.4 if own else 1.1, label=row.name, zorder=3 if own else 2)
            for t, a, b in zip(temperatures, x, y, strict=True):
                axes.plot(a, b, "o", color=tone, markersize=5, markerfacecolor=tone if t == 1.0 else "white", zorder=4)
        if base is not None:
            temperatures = sorted(base.figures)
            x, y = ([base.score(name, t) for t in temperatures] for name in ("pass@1", "distinct"))
            axes.plot(x, y, color=INK, linestyle=":", linewidth=1.2, label="base, untrained")
        axes.set_xlabel("pass@1")
        axes.set_ylabel("distinct and correct of 16")
        axes.set_title(f"{task}: quality and diversity over temperatures (filled: T=1)", loc="left", fontsize=9.5)
        axes.legend(fontsize=7, frameon=False)


def doses(path: Path, task: str, groups: Sequence[Sequence[tuple[str, float, float]]]) -> None:
    """pass@1 and distinct-and-correct@16 of each dose; doses of one group are joined."""
    with canvas(path, (6.4, 3.4)) as axes:
        twin = axes.twinx()
        twin.spines["top"].set_visible(False)
        start = 0
        for group in groups:
            place = np.arange(start, start + len(group))
            axes.plot(place, [row[2] for row in group], "o-", color=OURS)
            twin.plot(place, [row[1] for row in group], "s--", color=TONES[1])
            start += len(group)
        names = [row[0].replace(", ", "\n") for group in groups for row in group]
        axes.set_xticks(np.arange(start), names, fontsize=7)
        axes.set_ylabel("distinct and correct of 16", color=OURS)
        twin.set_ylabel("pass@1", color=TONES[1])
        axes.set_title(f"{task}: dose of lambda, of the set size and of the samples", loc="left", fontsize=9.5)


def threshold(path: Path, runs: Sequence[Mapping[str, Any]], factor: float) -> None:
    """Junk at each dose beside the prediction and the fitted threshold."""
    with canvas(path, (6.4, 3.6)) as axes:
        ratios = np.linspace(0.0, max(run["ratio"] for run in runs) * 1.03, 300)
        one = runs[0]
        axes.plot(
            ratios,
            [predicted_junk(ratio * one["predicted"], one["thresholds"]) for ratio in ratios],
            color=INK,
            label="prediction",
        )
        axes.axvline(1.0, color=INK, linestyle=":", linewidth=1)
        axes.axvline(factor, color=OURS, linestyle="--", linewidth=1, label=f"fitted threshold: {factor:.2f} of it")
        axes.plot(
            [run["ratio"] for run in runs], [np.mean(run["junk"]) for run in runs], "o", color=OURS, label="measured"
        )
        axes.set_xlabel("lambda_eff over the predicted threshold 1/(2C)")
        axes.set_ylabel("share of junk")
        axes.set_title("grammar, no gate: where junk begins to pay", loc="left", fontsize=9.5)
        axes.legend(fontsize=8, frameon=False)
