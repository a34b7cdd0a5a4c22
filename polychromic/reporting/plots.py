"""The figures of a report, each drawn once: curves, frontier, differences, doses, training, weights."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polychromic.analysis.nouns import FrontierPoint
from polychromic.core.escaping import one_line
from polychromic.reporting.drawing import (
    LONGEST_LABEL,
    Figure,
    canvas,
    diverging,
    end_labels,
    finish,
    plain_ticks,
    several,
    short,
    small,
)
from polychromic.reporting.palette import GRID, INK, MUTED, SURFACE

Curve = tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]]
"""x, y, low, high."""


def pass_curves(curves: Mapping[str, Curve], colours: Mapping[str, str], temperature: float) -> Figure:
    """pass@k against k on a log axis, with bands, one line a model."""
    with canvas() as (drawing, axes):
        labels = []
        for name, (ks, values, low, high) in curves.items():
            axes.fill_between(ks, low, high, color=colours[name], alpha=0.13, linewidth=0)
            axes.plot(ks, values, color=colours[name], marker="o", markersize=3.5)
            labels.append((ks[-1], values[-1], short(name), colours[name]))
        ticks = sorted({k for curve in curves.values() for k in curve[0]})
        axes.set_xscale("log")
        axes.set_xticks(ticks)
        plain_ticks(axes.xaxis)
        axes.set_xlabel("samples drawn, k")
        axes.set_ylabel("pass@k")
        axes.grid(visible=False, axis="x")
        end_labels(axes, labels)
        caption = f"Chance that at least one of k samples is right, at temperature {temperature:g}; 95% bands."
        return finish(drawing, "pass-at-k", "pass@k", caption)


def frontier(models: Mapping[str, Sequence[FrontierPoint]], colours: Mapping[str, str], names: Sequence[str]) -> Figure:
    """Diversity against quality, a point a temperature, whiskers for both; up and right is better."""
    quality, diversity = names
    with canvas() as (drawing, axes):
        for name, points in models.items():
            ordered = sorted(points, key=lambda point: point.temperature)
            x, y = [point.quality for point in ordered], [point.diversity for point in ordered]
            for i, point in enumerate(ordered):
                low, high = point.diversity_interval
                axes.plot([x[i], x[i]], [low, high], color=colours[name], linewidth=1.0, alpha=0.45)
                low, high = point.quality_interval
                axes.plot([low, high], [y[i], y[i]], color=colours[name], linewidth=1.0, alpha=0.45)
                small(axes, f"{point.temperature:g}", i, list(zip(x, y, strict=True)))
            axes.plot(x, y, color=colours[name], marker="o", markersize=4.5, markeredgecolor=SURFACE, label=short(name))
        axes.set_xlabel(one_line(quality, LONGEST_LABEL))
        axes.set_ylabel(one_line(diversity, LONGEST_LABEL))
        axes.legend(fontsize=8, labelcolor=INK, handlelength=1.4, loc="best")
        caption = "Each point is a temperature (small figures); up and to the right is better. Whiskers: 95% intervals."
        return finish(drawing, "frontier", "Quality against diversity", caption)


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of the differences figure, in shares of the baseline's score; ``smallest`` is what could be seen."""

    metric: str
    model: str
    value: float
    low: float
    high: float
    smallest: float | None


def differences(bars: Sequence[Bar], colours: Mapping[str, str], baseline: str) -> Figure:
    """Relative differences from the baseline with intervals, over a band of what could not have been seen."""
    metrics = list(dict.fromkeys(bar.metric for bar in bars))
    models = list(dict.fromkeys(bar.model for bar in bars))
    height = 0.75 + 0.3 * len(metrics) * max(1, len(models) * 0.62)
    with canvas((4.6, height)) as (drawing, axes):
        step = 1.0 / (len(models) + 1)
        for bar in bars:
            y = metrics.index(bar.metric) + (models.index(bar.model) + 1) * step
            if bar.smallest is not None:
                axes.barh(
                    y, 2 * bar.smallest, left=-bar.smallest, height=step * 0.72, color=GRID, alpha=0.75, linewidth=0
                )
            axes.plot([bar.low, bar.high], [y, y], color=colours[bar.model], linewidth=1.6)
            axes.plot([bar.value], [y], color=colours[bar.model], marker="o", markersize=4.5, markeredgecolor=SURFACE)
        axes.axvline(0, color=MUTED, linewidth=0.9)
        axes.set_yticks([i + 0.5 for i in range(len(metrics))], [short(metric) for metric in metrics])
        axes.set_ylim(len(metrics), 0)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=6)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.0%}" if value else "0")
        axes.set_xlabel(f"difference from {short(baseline)}")
        for name in models:
            axes.plot([], [], color=colours[name], marker="o", markersize=4.5, label=short(name))
        columns = max(1, min(4, 48 // (4 + max(len(short(name)) for name in models))))
        axes.legend(fontsize=8, labelcolor=INK, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1.0))
        caption = "Paired by prompt, 95% intervals. Grey: what this evaluation could not have resolved (80% power)."
        return finish(drawing, "differences", f"Differences from {baseline}", caption)


def against_length(
    models: Mapping[str, Sequence[tuple[float, ...]]], colours: Mapping[str, str], names: Sequence[str]
) -> Figure:
    """Diversity against length, a point (temperature, x, y, and both intervals) a temperature."""
    with canvas() as (drawing, axes):
        for name, points in models.items():
            for i, (temperature, x, y, x_low, x_high, y_low, y_high) in enumerate(sorted(points)):
                axes.plot([x_low, x_high], [y, y], color=colours[name], linewidth=1.0, alpha=0.45)
                axes.plot([x, x], [y_low, y_high], color=colours[name], linewidth=1.0, alpha=0.45)
                small(axes, f"{temperature:g}", i, [(point[1], point[2]) for point in sorted(points)])
            along, up = ([point[part] for point in sorted(points)] for part in (1, 2))
            axes.plot(
                along, up, color=colours[name], marker="o", markersize=4.5, markeredgecolor=SURFACE, label=short(name)
            )
        axes.set_xlabel(one_line(names[0], LONGEST_LABEL))
        axes.set_ylabel(one_line(names[1], LONGEST_LABEL))
        axes.legend(fontsize=8, labelcolor=INK, handlelength=1.4, loc="best")
        caption = "Counts of distinct n-grams depend on length: where both move together, length may be the cause."
        return finish(drawing, "diversity-length", "Diversity against length", caption)


def dose_response(panels: Sequence[tuple[str, Sequence[Any], Mapping[str, Any]]], colours: Mapping[str, str]) -> Figure:
    """Scores against lambda, a panel a metric: points (lambda, shift, model, score, low, high), lines of means."""
    with several(len(panels)) as (drawing, grid):
        doses = sorted({point[0] for _, points, _ in panels for point in points})
        for axes, (name, points, lines) in zip(grid, panels, strict=True):
            for number, (label, line) in enumerate(lines.items()):
                x, means = zip(*((doses.index(dose), mean) for dose, mean in line), strict=True)
                axes.plot(x, means, ("-", "--", ":", "-.")[number % 4], color=MUTED, linewidth=1, label=label)
            if len(lines) > 1:
                axes.legend(fontsize=7, labelcolor=INK)
            for dose, shift, model, score, low, high in points:
                where = [doses.index(dose) + shift] * 3, [low, score, high]
                axes.plot(*where, "-o", color=colours[model], ms=5, markevery=[1], markeredgecolor=SURFACE)
            axes.set_xticks(range(len(doses)), [f"{dose:g}" for dose in doses])
            axes.set(xlim=(-0.4, len(doses) - 0.6), xlabel="lambda")
            axes.set_title(one_line(name, LONGEST_LABEL), fontsize=8.5, color=INK, loc="left")
            axes.grid(visible=False, axis="x")
        caption = "Points are runs, lines their means; 95% intervals over prompts, not over training seeds."
        return finish(drawing, "dose-response", "Dose and response", caption)


def training(
    panels: Sequence[tuple[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]]], colours: Mapping[str, str]
) -> Figure:
    """Training curves, a panel a quantity, a line a model: the raw values faint, their running mean on top."""
    with several(len(panels)) as (drawing, grid):
        for axes, (title, lines) in zip(grid, panels, strict=True):
            for name, (steps, values) in lines.items():
                axes.plot(steps, values, color=colours[name], linewidth=0.8, alpha=0.3)
                axes.plot(steps, _smooth(values), color=colours[name], label=short(name))
            axes.set_title(title, fontsize=8.5, color=INK, loc="left")
            axes.set_xlabel("step")
        grid[0].legend(fontsize=8, labelcolor=INK, handlelength=1.4, loc="best")
        return finish(drawing, "training", "Training", "Each value faint, an exponential running mean on top.")


def _smooth(values: Sequence[float], keep: float = 0.85) -> list[float]:
    found: list[float] = []
    state = 0.0
    for count, value in enumerate(values, start=1):
        state = keep * state + (1 - keep) * value
        found.append(state / (1 - keep**count))
    return found


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of values in [-1, 1] with names for rows and columns; NaN stays empty."""

    name: str
    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]


def heat_map(grid: Grid, hues: Sequence[tuple[str, str]]) -> Figure:
    """A heat map from -1 (second hue) through 0 (surface) to 1 (first hue)."""
    size = (max(3.2, 1.6 + 0.5 * len(grid.columns)), max(2.0, 1.2 + 0.2 * len(grid.rows)))
    with canvas(size) as (drawing, axes):
        scale = diverging(hues[1][0], hues[0][0])
        image = axes.imshow(grid.values, cmap=scale, vmin=-1, vmax=1, aspect="auto")
        axes.set_xticks(range(len(grid.columns)), grid.columns, rotation=40, ha="right")
        step = max(1, len(grid.rows) // 20)
        axes.set_yticks(range(0, len(grid.rows), step), grid.rows[::step])
        axes.grid(visible=False)
        axes.set_ylabel("layer")
        axes.set_title(textwrap.fill(one_line(grid.title), 40), fontsize=8.5, color=INK, loc="left")
        for side in axes.spines.values():
            side.set_visible(False)
        bar = drawing.colorbar(image, ax=axes, shrink=0.7)
        bar.outline.set_visible(False)
        return finish(drawing, grid.name, grid.title, "1: the same direction, 0: unrelated, −1: opposite.")
