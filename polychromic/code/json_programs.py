"""Structured candidates: a program as JSON under a schema first, then as code, with its unresolved holes counted.

The model (or a server that enforces the schema) writes statements as a tree whose leaves are Python expressions. What
it cannot settle it leaves as a hole, with words for what belongs there. A hole becomes ``raise NotImplementedError``,
so a program may still pass where its holes are never reached, and the holes say where it is unfinished.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from polychromic.code.extraction import Extraction, answer_part
from polychromic.code.python_ast import MAX_CHARACTERS, parsed

DEEPEST = 20
LOOPING = ("break", "continue")
HOLE = "NotImplementedError('hole: "
"""What a rendered hole raises begins like this."""

_EXPRESSION = {"type": "string", "description": "a Python expression"}
_BODY = {"type": "array", "items": {"$ref": "#/$defs/statement"}}


def _statement(op: str, **fields: Any) -> dict[str, Any]:
    properties = {"op": {"const": op}, **fields}
    needed = [name for name in properties if name != "else"]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "imports": {"type": "array", "items": {"type": "string", "description": "an import statement"}},
        "body": _BODY,
    },
    "required": ["imports", "body"],
    "additionalProperties": False,
    "$defs": {
        "statement": {
            "anyOf": [
                _statement("assign", target=_EXPRESSION, value=_EXPRESSION),
                _statement("do", expression=_EXPRESSION),
                _statement("return", value=_EXPRESSION),
                _statement("if", test=_EXPRESSION, then=_BODY, **{"else": _BODY}),
                _statement("for", target=_EXPRESSION, over=_EXPRESSION, body=_BODY),
                _statement("while", test=_EXPRESSION, body=_BODY),
                _statement("raise", error=_EXPRESSION),
                _statement("break"),
                _statement("continue"),
                _statement("hole", what={"type": "string", "description": "what is still missing here"}),
            ]
        }
    },
}
"""The JSON schema of a candidate: the body of the asked function, and the imports it needs."""


class Structured(NamedTuple):
    """A rendered program ("" when the answer holds none), its holes, and why it could not be read."""

    source: str
    holes: tuple[str, ...] = ()
    reason: str = ""


def extract_structured(text: str, prompt: str) -> Extraction:
    """The rendered program with the rule ``structured``, ``structured_holes`` or ``structured_unreadable``."""
    answer = answer_part(text)
    if len(answer) > MAX_CHARACTERS:
        return Extraction("", "too_long")
    found = structured(answer, prompt)
    rule = "structured_unreadable" if found.reason else "structured_holes" if found.holes else "structured"
    return Extraction(found.source, rule)


def structured(text: str, prompt: str) -> Structured:
    """The program of a JSON answer, as the body of the prompt's function; never raises on what a model wrote."""
    tree = _json(text)
    if not isinstance(tree, Mapping):
        return Structured("", reason="no JSON object")
    imports, body = tree.get("imports", []), tree.get("body")
    if not isinstance(body, list) or not isinstance(imports, list):
        return Structured("", reason="no body")
    writer = _Writer()
    lines = writer.block(body or [{"op": "hole", "what": "the whole body"}], 1)
    kept = [line for line in imports if isinstance(line, str) and _is_import(line)]
    writer.holes += [f"import {line!r:.60}" for line in imports if line not in kept]
    return Structured("\n".join([*kept, prompt.rstrip(), *lines]) + "\n", tuple(writer.holes))


def _json(text: str) -> Any:
    """The object in the text: all of it, or what stands between its first and last brace."""
    candidates = [text, *re.findall(r"\{.*\}", text, re.DOTALL)]
    for candidate in candidates:
        try:
            return json.loads(candidate, strict=False)  # a model may write a tab as it is
        except (ValueError, RecursionError):
            continue
    return None


class _Writer:
    """Renders statements and collects what it could not resolve."""

    def __init__(self) -> None:
        self.holes: list[str] = []
        self.loops = 0

    def block(self, body: Any, depth: int) -> list[str]:
        """Indented lines of a list of statements, at least one."""
        if not isinstance(body, list) or depth > DEEPEST:
            return [self._hole("a block", depth)]
        lines = [line for statement in body for line in self._statement(statement, depth)]
        return lines or [f"{'    ' * depth}pass"]

    def _statement(self, node: Any, depth: int) -> list[str]:
        op = str(node.get("op")) if isinstance(node, Mapping) else ""
        if op == "hole":
            return [self._hole(str(node.get("what", "")), depth)]
        if op in LOOPING and self.loops:
            return [f"{'    ' * depth}{op}"]
        if op in _SIMPLE:
            return [self._simple(node, *_SIMPLE[op], depth)]
        if op in _BLOCKS:
            return self._compound(node, *_BLOCKS[op], depth)
        return [self._hole(f"{op} outside a loop" if op in LOOPING else "a statement of an unknown kind", depth)]

    def _simple(self, node: Mapping[str, Any], form: str, fields: Sequence[str], depth: int) -> str:
        values = [node.get(field) for field in fields]
        line = form.format(*values)
        if not all(map(_is_expression, values)) or not _stands(line):
            return self._hole(f"{node['op']}: {values!r:.60}", depth)
        return f"{'    ' * depth}{line}"

    def _compound(self, node: Mapping[str, Any], form: str, fields: Sequence[str], depth: int) -> list[str]:
        values, body = [node.get(field) for field in fields[:-1]], node.get(fields[-1])
        head = form.format(*values)
        if not all(map(_is_expression, values)) or not _stands(f"{head}\n    pass"):
            return [self._hole(f"{node['op']}: {values!r:.60}", depth)]
        self.loops += node["op"] != "if"
        lines = [f"{'    ' * depth}{head}", *self.block(body, depth + 1)]
        self.loops -= node["op"] != "if"
        if node["op"] == "if" and node.get("else"):
            lines += [f"{'    ' * depth}else:", *self.block(node["else"], depth + 1)]
        return lines

    def _hole(self, what: str, depth: int) -> str:
        self.holes.append(what)
        return f"{'    ' * depth}raise {HOLE}' + {what!a})"


_SIMPLE = {
    "assign": ("{} = {}", ("target", "value")),
    "do": ("{}", ("expression",)),
    "return": ("return {}", ("value",)),
    "raise": ("raise {}", ("error",)),
}
_BLOCKS = {
    "if": ("if {}:", ("test", "then")),
    "for": ("for {} in {}:", ("target", "over", "body")),
    "while": ("while {}:", ("test", "body")),
}


def _is_expression(value: Any) -> bool:
    """Whether the value is one Python expression on one line, and no statement in disguise."""
    if not isinstance(value, str) or not value.strip() or "\n" in value or "\0" in value:
        return False
    tree = parsed(f"({value.strip()})")
    return tree is not None and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr)


def _stands(statement: str) -> bool:
    """Whether the text is one statement that a function may hold."""
    tree = parsed(statement)
    if tree is None or len(tree.body) != 1:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile("def f():\n" + textwrap.indent(statement, "    "), "candidate", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # such as an await, or a star in the wrong place
        return False
    return True


def _is_import(line: str) -> bool:
    tree = parsed(line)
    return tree is not None and len(tree.body) == 1 and isinstance(tree.body[0], ast.Import | ast.ImportFrom)
