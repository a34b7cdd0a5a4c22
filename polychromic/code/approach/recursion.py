"""Which functions of a program call themselves, and how: once or in branches, by halves, with what they remember."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from polychromic.code.approach.forms import halves
from polychromic.code.approach.slicing import dotted_name, root, targets_of
from polychromic.code.approach.unique_names import Comprehension, Function

LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
Functions = Mapping[str, Function | ast.Lambda]


class Recursion(NamedTuple):
    """``branching``: one run may call it more than once; ``halving``: it divides; ``memo``: it keeps answers."""

    branching: bool
    halving: bool
    memo: bool

    @property
    def tags(self) -> set[str]:
        """The same as words."""
        words = {"branching recursion" if self.branching else "recursion"}
        return words | ({"halving"} if self.halving else set()) | ({"memo"} if self.memo else set())


def recursions(functions: Functions, methods: frozenset[str]) -> dict[str, Recursion]:
    """The recursive functions by name."""
    calls = {name: _mentioned(node, methods) & functions.keys() for name, node in functions.items()}
    found = {}
    for name, node in functions.items():
        circle = {other for other in _reached(name, calls) if name in _reached(other, calls)}
        if name in circle:
            body = node.body if isinstance(node.body, list) else [ast.Return(node.body)]
            found[name] = Recursion(_most_calls(body, circle) > 1, any(map(halves, ast.walk(node))), _remembers(node))
    return found


def _mentioned(node: ast.AST, methods: frozenset[str]) -> set[str]:
    """Names and methods that are read."""
    names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return names | {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)} & methods


def _reached(name: str, calls: Mapping[str, set[str]]) -> set[str]:
    """The functions that a call of ``name`` may call, at any depth."""
    found: set[str] = set()
    pending = [name]
    while pending:
        fresh = calls[pending.pop()] - found
        found |= fresh
        pending += fresh
    return found


def _most_calls(block: Sequence[ast.stmt], circle: set[str]) -> int:
    """The most calls of the circle's functions on one way through the block; a call in a loop counts twice."""
    if not block:
        return 0
    first, rest = block[0], block[1:]
    if isinstance(first, LEAVES):
        return _calls(first, circle)
    if isinstance(first, ast.If):
        return _calls(first.test, circle) + max(
            _most_calls(part if part and isinstance(part[-1], LEAVES) else [*part, *rest], circle)
            for part in (first.body, first.orelse)
        )
    if isinstance(first, Function | ast.ClassDef):
        return _most_calls(rest, circle)
    if isinstance(first, ast.For | ast.AsyncFor | ast.While):
        return 2 * _most_calls(first.body, circle) + _calls_outside(first, circle) + _most_calls(rest, circle)
    inner = [*getattr(first, "body", [])]
    own = _most_calls(inner, circle) if inner and isinstance(inner[0], ast.stmt) else _calls(first, circle)
    return own + _most_calls(rest, circle)


def _calls_outside(loop: ast.stmt, circle: set[str]) -> int:
    return _calls(getattr(loop, "iter", None) or getattr(loop, "test", None), circle)


def _calls(node: ast.AST | None, circle: set[str]) -> int:
    """The calls in an expression: of two branches the more, in a comprehension twice."""
    if node is None:
        return 0
    if isinstance(node, ast.IfExp):
        return _calls(node.test, circle) + max(_calls(node.body, circle), _calls(node.orelse, circle))
    own = int(isinstance(node, ast.Call) and _called(node) in circle)
    if isinstance(node, ast.Call) and dotted_name(node.func) == "map" and any(root(a) in circle for a in node.args):
        own = 2
    inside = sum(_calls(child, circle) for child in ast.iter_child_nodes(node))
    return own + inside * (2 if isinstance(node, Comprehension) else 1)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else dotted_name(call.func)


def _remembers(function: Function | ast.Lambda) -> bool:
    """Whether the function is cached, or stores into what one of its comparisons asks."""
    marks = [dotted_name(getattr(mark, "func", mark)) for mark in getattr(function, "decorator_list", [])]
    if any("cache" in mark or "memo" in mark for mark in marks):
        return True
    nodes = list(ast.walk(function))
    stores = [target for node in nodes if isinstance(node, ast.stmt) for target in targets_of(node)]
    stored = {root(target) for target in stores if isinstance(target, ast.Subscript)}
    tests = [node.test for node in nodes if isinstance(node, ast.If | ast.IfExp)]
    compared = [part for test in tests for part in ast.walk(test) if isinstance(part, ast.Compare)]
    asked = {name.id for part in compared for name in ast.walk(part) if isinstance(name, ast.Name)}
    return bool(stored & asked)
