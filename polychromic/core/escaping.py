"""Text that others wrote (names, answers, a model's samples), made harmless to look at: nothing acts, nothing hides."""

from __future__ import annotations

LONGEST = 2_000
"""Characters of a name, a sentence or an error that are shown."""
_HIDDEN = (
    *(each for each in range(0x20) if chr(each) not in "\t\n"),
    *range(0x7F, 0xA0),  # among them the one-byte form of the escape sequence
    0x061C,  # from here: what turns the direction of a text, or has no width
    *(0x200B, 0x200E, 0x200F),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xD800, 0xE000),  # halves of a character, which no file can hold
    0xFEFF,
    *range(0xE0000, 0xE0080),
)
_SHOWN = {each: f"\\x{each:02x}" if each < 0x100 else f"\\u{each:04x}" for each in _HIDDEN}


def visible(text: str) -> str:
    """The text with every character that acts or hides (escapes, NUL, bidi marks, lone surrogates) written out.

    Lines and tabs stay; all that can be read stays, in every script.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_SHOWN)


def one_line(text: str, longest: int = LONGEST) -> str:
    """The same in one line, cut to ``longest`` characters."""
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return visible(" ".join(short.split()) if any(map(str.isspace, short)) else short)
