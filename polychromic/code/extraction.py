"""From what a model wrote to the program it meant, whole, with the rule that found it.

The answer may be a chat reply with fences and thoughts, a bare program between paragraphs, a function body, or
several blocks that only work together. Candidates are tried in a fixed order, the last block first; the first one
that parses and really defines the entry point is taken with all its top-level statements, except those that only show
it off (calls of the entry point, prints, asserts, ``__main__`` blocks). What is parsed is at most
proportional to the text.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from polychromic.code.python_ast import (
    MAX_CHARACTERS,
    Parser,
    bound_names,
    definition,
    is_stub,
    joined,
    misplaced,
    parsed,
    unresolved,
    without_showing,
)

THOUGHT_END = re.compile(r"^.*</(?:think|thinking|thought|reasoning|scratchpad)>", re.DOTALL | re.IGNORECASE)
THOUGHT_START = re.compile(r"^\s*<(?:think|thinking|thought|reasoning|scratchpad)>", re.IGNORECASE)
END_TOKEN = re.compile(
    r"<\|(?:im_end|endoftext|end_of_text|eot_id|eom_id|end|return|end_of_turn|user|file_separator)\|>"
    r"|<｜end▁of▁sentence｜>|<end_of_turn>|<EOT>|</s>[ \t]*$|\[/?INST\]",
    re.MULTILINE,
)
START_TOKEN = re.compile(
    r"\A\s*(?:<s>|<bos>|\[/?INST\]|<\|begin_of_text\|>|<｜begin▁of▁sentence｜>"
    r"|<\|(?:im_start|start_header_id|start)\|>\s*assistant(?:<\|end_header_id\|>|<\|message\|>)?"
    r"|<\|assistant\|>|<start_of_turn>model)[ \t]*\n?"
)
INFO = r"(?!(?:def|class|import|from|return|for|if)\b)[\w+#.-]*(?:\{[^\n`]*\})?(?:[ \t]+[\w.=\"'-]+)?"
FENCE = re.compile(
    rf"^[ \t>]*(?:```+|~~~+)[ \t]*{INFO}[ \t]*$"  # a line of its own, with or without a language
    r"|(?<=[^`\s\"'])[ \t]*```+[\w+-]*[ \t]*$"  # at the end of a line of prose or code
    r"|^[ \t]*```+(?:python3?|py)?[ \t]*(?=\S)",  # before code on the same line
    re.MULTILINE,
)
CODE_LINE = re.compile(
    r"(?:@|def\b|async\b|class\b|import\b|from\b|if\b|for\b|while\b|try\b|with\b|[A-Za-z_(\[*][^=\n]*=(?!=)|[\w.]+\()"
)
ODD_SPACES = {0xA0: " ", 0x202F: " ", 0x2009: " ", 0x200B: None, 0x200C: None, 0xFEFF: None, 0x2060: None}


class Extraction(NamedTuple):
    """A program ("" when there is none), the rule that found it and the parsing attempts it took."""

    source: str
    rule: str
    attempts: int = 0


def extract(text: str, entry_point: str, prompt: str = "") -> Extraction:
    """The program in ``text`` that should define ``entry_point``; with an empty one, the program that is run whole.

    ``prompt`` is the code the model was asked to complete (signature and docstring), "" if there was none; its imports
    and helpers are put before the program. Never raises on what a model wrote.
    """
    if _unreadable(text):
        return Extraction("", "bad_characters")
    answer = answer_part(text)
    if not answer.strip():
        return Extraction("", "unfinished_thought" if THOUGHT_START.match(text) else "empty")
    if len(answer) > MAX_CHARACTERS:
        return Extraction("", "too_long")
    reply = _Reply(answer, entry_point, prompt)
    return reply.extraction() if entry_point else reply.whole()


def as_written(source: str, rule: str) -> Extraction:
    """The source as it stands under ``rule``, when a sandbox can be given it at all."""
    if _unreadable(source):
        return Extraction("", "bad_characters")
    if not source.strip():
        return Extraction("", "empty")
    return Extraction("", "too_long") if len(source) > MAX_CHARACTERS else Extraction(source, rule)


def _unreadable(text: str) -> bool:
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)


def answer_part(text: str) -> str:
    """``text`` without thoughts, the template's special tokens and what follows the first end token.

    A thought that never ends leaves nothing: its drafts are no answer.
    """
    text = THOUGHT_END.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    while (start := START_TOKEN.match(text)) is not None:
        text = text[start.end() :]
    text = END_TOKEN.split(text, maxsplit=1)[0]
    return "" if THOUGHT_START.match(text) else text


def segments(text: str) -> list[tuple[bool, str]]:
    """The text between fence lines in order, each with whether it stands inside a fence.

    When the first fence only closes (the prompt already opened it), what stands before it counts as inside.
    """
    marks = list(FENCE.finditer(text))
    edges = [0, *(edge for mark in marks for edge in mark.span()), len(text)]
    pieces = [text[edges[i] : edges[i + 1]].strip("\n") for i in range(0, len(edges), 2)]
    opened = bool(marks) and len(marks) % 2 == 1 and re.fullmatch(r"\s*(?:```+|~~~+)\s*", marks[0].group()) is not None
    shift = 0 if opened and CODE_LINE.match(pieces[0].lstrip()) else 1
    return [(index % 2 == shift, piece) for index, piece in enumerate(pieces)]


Repair = Callable[[str], str]


def _leading_tabs(text: str, width: int = 4) -> str:
    return re.sub(r"^[ \t]+", lambda found: found.group().expandtabs(width), text, flags=re.MULTILINE)


def _without_prompts(text: str) -> str:
    lines = [line for line in text.split("\n") if line.startswith((">>>", "..."))]
    return "\n".join(line[4:] for line in lines)


def _unindented_block(text: str) -> str:
    """An indented block between paragraphs moved to the margin, by the indentation of its first definition."""
    found = re.search(r"^([ ]+)(?:def|from|import|class|@)", text, re.MULTILINE)
    return text if found is None else re.sub(rf"^{found.group(1)}", "", text, flags=re.MULTILINE)


def _indented_after_def(text: str) -> str:
    """The lines after the first ``def`` line moved right, for a body that stands at its signature's column."""
    head, found, tail = text.partition(":\n")
    return head + found + textwrap.indent(tail, "    ") if head.lstrip().startswith(("def ", "@")) else text


REPAIRS: tuple[tuple[str, Repair], ...] = (
    ("", lambda text: text),
    ("_dedented", lambda text: textwrap.dedent(_leading_tabs(text.translate(ODD_SPACES)))),
    ("_wide_tabs", lambda text: textwrap.dedent(_leading_tabs(text, 8))),
    ("_unindented", _unindented_block),
    ("_from_doctest", _without_prompts),
)


class _Reply:
    """One answer, its candidates and the parser they share."""

    def __init__(self, answer: str, entry_point: str, prompt: str) -> None:
        self.answer, self.entry_point, self.prompt = answer, entry_point, prompt
        self.parser = Parser(len(answer) + len(prompt))
        self.segments = segments(answer)
        self.fenced = [piece for inside, piece in self.segments if inside and piece.strip()]
        self.stub: tuple[str, str] | None = None

    def extraction(self) -> Extraction:
        """The first candidate that holds, else the best account of what was there instead."""
        body_first = not self.fenced and self.prompt and self.answer.lstrip("\n")[:1] in (" ", "\t")
        order = [self._from_fences, self._from_fence_prefixes, self._from_text, self._from_bodies]
        for step in [self._from_bodies, *order] if body_first else order:
            found = step()
            if found is not None:
                return Extraction(self._with_preamble(found[0]), found[1], self.parser.attempts)
        return self._leftover()

    def _defines(self, tree: ast.Module | None, source: str, rule: str) -> bool:
        """Whether the tree is a program with a real entry point; a stub is remembered for want of a better one."""
        found = definition(tree, self.entry_point) if tree is not None else None
        if tree is None or found is None or misplaced(tree):
            return False
        if is_stub(found) and not self._has_real_definition(tree):
            if "body" not in rule:
                self.stub = self.stub or (source, rule)
            return False
        return True

    def _has_real_definition(self, tree: ast.Module) -> bool:
        same = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == self.entry_point)
        return any(not is_stub(node) for node in same)

    def _cleaned(self, source: str, tree: ast.Module) -> str:
        return without_showing(source, tree, self.entry_point)

    def _from_fences(self) -> tuple[str, str] | None:
        outside = [piece for inside, piece in self.segments if not inside and piece.strip()]
        spans = ["\n".join(piece for _, piece in self.segments[1:-1])] if len(self.segments) > 4 else []
        groups = (("fence", self.fenced[::-1]), ("between_fences", outside[::-1] if self.fenced else []))
        for name, pieces in groups:
            for piece in (piece for piece in pieces if self.entry_point in piece):
                for suffix, repair in (*REPAIRS, ("_reindented", _indented_after_def)):
                    source = repair(piece)
                    tree, _ = self.parser.parse(source) if suffix == "" or source != piece else (None, 1)
                    if self._defines(tree, source, name + suffix):
                        assert tree is not None
                        return self._with_helpers(source, tree, piece, name + suffix)
        for source in spans:
            tree, _ = self.parser.parse(source)
            if self._defines(tree, source, "fences_span"):
                assert tree is not None
                return self._cleaned(source, tree), "fences_span"
        return None

    def _with_helpers(self, source: str, tree: ast.Module, piece: str, rule: str) -> tuple[str, str]:
        """The block, and before it the other blocks when they bind a name that it reads and does not bind."""
        missing = unresolved(tree)
        others = []
        for other in self.fenced if missing else []:
            if other is not piece:
                other_tree, _ = self.parser.parse(textwrap.dedent(other))
                if other_tree is not None and not misplaced(other_tree):
                    others.append((textwrap.dedent(other), other_tree))
        if not any(missing & bound_names(other_tree) for _, other_tree in others):
            return self._cleaned(source, tree), rule
        parts = [self._cleaned(other, other_tree) for other, other_tree in others]
        return joined([*parts, self._cleaned(source, tree)]), "fences_joined"

    def _from_fence_prefixes(self) -> tuple[str, str] | None:
        for piece in (piece for piece in self.fenced[::-1] if self.entry_point in piece):
            source = textwrap.dedent(_leading_tabs(piece))
            found = self._chunks(source)
            if found is not None:
                return found, "fence_cut"
        return None

    def _from_text(self) -> tuple[str, str] | None:
        for suffix, repair in REPAIRS:
            source = repair(self.answer)
            found = self._chunks(source) if suffix == "" or source != self.answer else None
            if found is not None:
                return found, "text" + suffix
        return None

    def _chunks(self, text: str) -> str | None:
        """All parseable top-level code of ``text`` between lines of prose, if together it defines the entry point."""
        source = self._code_in(text)
        tree, _ = self.parser.parse(source) if self.entry_point in source else (None, 1)
        if not self._defines(tree, source, "text"):
            return None
        assert tree is not None
        return self._cleaned(source, tree)

    def _code_in(self, text: str) -> str:
        lines, parts, position = text.split("\n"), [], 0
        while position < len(lines):
            if not CODE_LINE.match(lines[position]):
                position += 1
                continue
            tree, end = self.parser.prefix(lines, position)
            if tree is not None and not misplaced(tree):
                parts.append("\n".join(lines[position:end]))
            position = max(end, position + 1)
        return joined(parts)

    def whole(self) -> Extraction:
        """The last block that parses with all it does, else the code between lines of prose."""
        for piece in self.fenced[::-1]:
            for suffix, repair in REPAIRS:
                source = repair(piece)
                tree, _ = self.parser.parse(source)
                if tree is not None and tree.body:
                    return Extraction(source, "fence" + suffix, self.parser.attempts)
        if self.fenced:
            return Extraction(textwrap.dedent(self.fenced[-1]), "unparsed", self.parser.attempts)
        source = self._code_in(self.answer)
        return Extraction(source if source.strip() else "", "text" if source.strip() else "no_code")

    def _from_bodies(self) -> tuple[str, str] | None:
        """The prompt's signature with the answer as its body, under the indentation that keeps most of it."""
        if not self.prompt:
            return None
        pieces = [("fence_body", piece) for piece in self.fenced[::-1]] or [("body", self.answer.strip("\n"))]
        for name, piece in pieces:
            best: tuple[int, str, str] | None = None
            forms = _bodies(piece)[: 1 if f"def {self.entry_point}" in piece else None]
            for suffix, body in forms:
                source = self.prompt.rstrip() + "\n" + body
                tree, end = self.parser.prefix(source.split("\n"))
                cut = "\n".join(source.split("\n")[:end])
                if not self._defines(tree, cut, name + suffix):
                    continue
                assert tree is not None
                length = getattr(definition(tree, self.entry_point), "end_lineno", 0)
                if best is None or length > best[0]:
                    best = length, self._cleaned(cut, tree), name + suffix
                if suffix == "" and end == source.count("\n") + 1:
                    break
            if best is not None:
                return best[1], best[2]
        return None

    def _with_preamble(self, source: str) -> str:
        """The prompt's imports and helpers before the program, unless the program already begins with the prompt."""
        if not self.prompt or source.startswith(self.prompt.rstrip()):
            return source
        preamble = prompt_preamble(self.prompt, self.entry_point)
        return joined([preamble, source]) if preamble.strip() else source

    def _leftover(self) -> Extraction:
        attempts = self.parser.attempts
        if self.stub is not None:
            return Extraction(self._with_preamble(self.stub[0]), "stub", attempts)
        for piece in self.fenced[::-1]:
            source = textwrap.dedent(piece)
            tree, _ = self.parser.parse(source)
            return Extraction(source, "unparsed" if tree is None or misplaced(tree) else "no_entry_point", attempts)
        if f"def {self.entry_point}" in self.answer:
            return Extraction(self.answer, "unparsed", attempts)
        if any(line.startswith(("def ", "class ", "import ")) for line in self.answer.split("\n")):
            return Extraction(self.answer, "no_entry_point", attempts)
        return Extraction("", "no_code", attempts)


def _bodies(piece: str) -> list[tuple[str, str]]:
    """The ways a body may have lost its indentation: not at all, on the first line only, or everywhere."""
    plain = _leading_tabs(piece.translate(ODD_SPACES))
    everywhere = textwrap.indent(textwrap.dedent(plain), "    ")
    first_line = "    " + plain.lstrip()
    forms = [("", piece), ("_first_line", first_line), ("_indented", everywhere)]
    return [form for index, form in enumerate(forms) if form[1] not in [earlier for _, earlier in forms[:index]]]


@lru_cache(maxsize=4096)
def prompt_preamble(prompt: str, entry_point: str) -> str:
    """The part of a code prompt before its entry point: imports, helpers and constants ("" if it does not parse)."""
    for ending in ("", "\n    pass\n"):
        tree = parsed(prompt + ending)
        if tree is not None:
            break
    else:
        return ""
    found = definition(tree, entry_point)
    if found is None:
        return prompt
    first = min([found.lineno, *(node.lineno for node in getattr(found, "decorator_list", []))])
    return "\n".join(prompt.split("\n")[: first - 1])
