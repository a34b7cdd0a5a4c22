"""The one door to matplotlib: how every figure looks, and its SVG, PNG and themed SVG for the page.

The themed SVG has CSS variables for colours, so that one drawing serves light and dark.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polychromic.core.escaping import one_line
from polychromic.reporting.palette import GRID, INK, MUTED, SURFACE, css_variable

LONGEST_NAME = 26
LONGEST_LABEL = 60
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "polychromic",
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.linewidth": 1.7,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "text.parse_math": False,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawn figure: its name (a file stem), title, caption, and the SVG and PNG it was drawn as."""

    name: str
    title: str
    caption: str
    svg: str
    png: bytes
    drawing: Any = field(repr=False, compare=False, default=None)

    def themed(self) -> str:
        """The SVG for the page: colours as CSS variables, own ids, no fixed size, no XML header."""
        text = self.svg[self.svg.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        text = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", text)
        text = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", text)
        text = re.sub(r'\bid="', f'id="{self.name}-', text)
        text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{self.name}-", text)
        text = re.sub(r"font: [^;\"]*?(\d+(?:\.\d+)?)px[^;\"]*", r"font-size: \1px", text)
        return re.sub(r"#[0-9a-fA-F]{6}\b", lambda match: css_variable(match[0]), text)

    def write(self, folder: Path) -> None:
        """Writes ``NAME.svg`` and ``NAME.png``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.svg").write_text(self.svg, encoding="utf-8")
        (folder / f"{self.name}.png").write_bytes(self.png)

    def write_pdf(self, folder: Path) -> Path:
        """Writes ``NAME.pdf`` with fonts in it; the same drawing gives the same bytes."""
        import matplotlib

        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.pdf"
        with matplotlib.rc_context(_STYLE):
            self.drawing.savefig(path, format="pdf", facecolor=SURFACE, metadata={"CreationDate": None})
        return path


@contextmanager
def several(count: int, size: tuple[float, float] | None = None) -> Iterator[tuple[Any, list[Any]]]:
    """A drawing in the style of all figures with ``count`` panels in two columns; ``size`` in inches."""
    import matplotlib
    from matplotlib.figure import Figure as Drawing

    rows = (count + 1) // 2
    with matplotlib.rc_context(_STYLE):
        drawing = Drawing(figsize=size or (4.6, 2.3 * rows if count > 1 else 3.2), layout="constrained")
        yield drawing, [drawing.add_subplot(rows, min(2, count), i + 1) for i in range(count)]


@contextmanager
def canvas(size: tuple[float, float] | None = None) -> Iterator[tuple[Any, Any]]:
    """The same with one panel."""
    with several(1, size) as (drawing, (axes,)):
        yield drawing, axes


def diverging(low: str, high: str) -> Any:
    """A colour map from ``low`` through the surface to ``high``."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("cosine", [low, SURFACE, high])


def short(name: str) -> str:
    """A name on one line, cut where it is long."""
    return one_line(name, LONGEST_NAME)


def small(axes: Any, text: str, i: int, line: Sequence[tuple[float, float]]) -> None:
    """A small label above point ``i`` of a line: to its right, or to its left where the line goes up to the right."""
    x, y = line[i]
    busy = any(line[j][0] > x and line[j][1] > y for j in (i - 1, i + 1) if 0 <= j < len(line))
    place = {"xytext": (-5 if busy else 5, 4), "ha": "right" if busy else "left"}
    axes.annotate(text, (x, y), textcoords="offset points", color=MUTED, fontsize=7.5, **place)


def finish(drawing: Any, name: str, title: str, caption: str) -> Figure:
    """The drawing as a figure; the same drawing gives the same bytes."""
    vector, pixels = io.StringIO(), io.BytesIO()
    drawing.savefig(vector, format="svg", metadata={"Date": None, "Creator": None})
    drawing.set_layout_engine("none")  # laid out once is enough
    drawing.savefig(pixels, format="png", dpi=200, facecolor=SURFACE, metadata={"Software": None})
    return Figure(name, title, caption, vector.getvalue(), pixels.getvalue(), drawing)


def plain_ticks(axis: Any) -> None:
    """Numbers as they are on a log axis, none between them."""
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())


def end_labels(axes: Any, labels: list[tuple[float, float, str, str]]) -> None:
    """Names at the right end of their lines, pushed apart so that none overlaps."""
    if not labels:
        return
    low, high = axes.get_ylim()
    gap = (high - low) * 0.062
    placed: list[float] = []
    for x, y, text, colour in sorted(labels, key=lambda label: label[1]):
        spot = max(y, placed[-1] + gap) if placed else y
        placed.append(spot)
        axes.annotate(
            text,
            (x, spot),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=8,
            annotation_clip=False,
        )
