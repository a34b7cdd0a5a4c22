"""One colour for each model, everywhere; each has a light and a dark value, carried by a CSS variable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

INK, MUTED, GRID, SURFACE = "#1d2126", "#646b75", "#dfe2e6", "#fdfdfc"

# light value -> dark value; told apart also without red-green vision, and by lightness in print
GREYS = (("#8d949d", "#7e8691"), ("#3d4550", "#c3c9d1"))
HUES = (
    ("#0f8b8d", "#3fc1c0"),
    ("#c8553d", "#f08a6c"),
    ("#6a4c93", "#b197de"),
    ("#b8860b", "#e2b64a"),
    ("#2f6690", "#74aede"),
    ("#a23b72", "#e07fb4"),
)
THEME = {
    "ink": (INK, "#e8eaed"),
    "muted": (MUTED, "#9aa2ad"),
    "grid": (GRID, "#30353d"),
    "surface": (SURFACE, "#15181c"),
}


def model_colours(models: Sequence[str], baseline: str, base: str | None) -> dict[str, str]:
    """Each model's light colour: grey for the base model, slate for the baseline, a hue for each variant in order."""
    colours, used = {}, 0
    for name in models:
        if name == base:
            colours[name] = GREYS[0][0]
        elif name == baseline:
            colours[name] = GREYS[1][0]
        else:
            colours[name] = HUES[used % len(HUES)][0]
            used += 1
    return colours


def css_variable(colour: str) -> str:
    """``var(--name)`` for a colour of the palette; any other colour stays as it is."""
    name = _names().get(colour.lower())
    return f"var(--{name})" if name else colour


def declarations(theme: Literal["light", "dark"]) -> str:
    """The palette's CSS custom properties in one theme."""
    column = ("light", "dark").index(theme)
    pairs: Mapping[str, tuple[str, str]] = THEME | dict(zip(_series(), GREYS + HUES, strict=True))
    return " ".join(f"--{name}: {pair[column]};" for name, pair in pairs.items())


def _series() -> list[str]:
    return [f"series-{i}" for i in range(len(GREYS) + len(HUES))]


def _names() -> dict[str, str]:
    themed = {pair[0].lower(): name for name, pair in THEME.items()}
    return themed | {pair[0].lower(): name for name, pair in zip(_series(), GREYS + HUES, strict=True)}
