"""Expressions and branches whose outcome the text alone decides, replaced by that outcome.

``if 0``, ``1 < 2``, ``len([])``, ``x + 0``, ``x != x``, a name that stands for one constant or for another name: none
of them changes what a program does. The tree has unique names (see ``unique_names``) and is for reading only.
"""

from __future__ import annotations

import ast
import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

OPERATIONS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
SAME_NAMES: dict[type[ast.AST], Any] = {
    ast.Eq: True,
    ast.Is: True,
    ast.LtE: True,
    ast.GtE: True,
    ast.NotEq: False,
    ast.IsNot: False,
    ast.Lt: False,
    ast.Gt: False,
    ast.Sub: 0,
    ast.BitXor: 0,
}
"""What comparing, or subtracting, a name with itself gives."""
NEUTRAL = {ast.Add: 0, ast.Sub: 0, ast.Mult: 1, ast.FloorDiv: 1, ast.Pow: 1, ast.BitOr: 0, ast.BitXor: 0, ast.LShift: 0}
"""The right operand that changes nothing."""
PURE = {"len": len, "abs": abs, "int": int, "bool": bool, "sum": sum, "min": min, "max": max, "any": any, "all": all}
LARGEST = 10**12
LEAVES = (ast.Return, ast.Raise, ast.Break, ast.Continue)


def folded(tree: ast.Module) -> ast.Module:
    """The tree with everything folded that can be, changed in place."""
    tree = _Folder(_constants(tree)).visit(tree)
    return tree


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """The names that are bound once, to a constant or to a name that is bound at most once itself."""
    stores = Counter(n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load))
    stores += Counter(node.arg for node in ast.walk(tree) if isinstance(node, ast.arg))
    found: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            continue
        name, value = node.targets[0].id, node.value
        if stores[name] == 1 and _settled(value, stores, name):
            found[name] = value
    return found


def _settled(value: ast.expr, stores: Counter[str], name: str) -> bool:
    if isinstance(value, ast.Constant):
        return True
    return isinstance(value, ast.Name) and stores[value.id] == 1 and "@" in value.id and value.id != name


class _Folder(ast.NodeTransformer):
    """Works from the leaves up."""

    def __init__(self, constants: dict[str, ast.expr]) -> None:
        self.constants = constants

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Folds the children, and cuts what stands after a statement that leaves."""
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                setattr(node, field, _reached(block))
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.constants.get(node.id, node) if isinstance(node.ctx, ast.Load) else node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def visit_While(self, node: ast.While) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if isinstance(node.test, ast.Constant) and not node.test.value else node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        decides = isinstance(node.op, ast.Or)
        kept: list[ast.expr] = []
        for value in node.values:
            if isinstance(value, ast.Constant) and bool(value.value) is not decides and value is not node.values[-1]:
                continue
            kept.append(value)
            if isinstance(value, ast.Constant) and bool(value.value) is decides:
                break
        if len(kept) > 1 and isinstance(kept[-1], ast.Constant) and isinstance(kept[-1].value, bool):
            kept = kept if bool(kept[-1].value) is decides else kept[:-1]
        return kept[0] if len(kept) == 1 else ast.BoolOp(node.op, kept)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        return _applied(node.op, node, node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        left, right = node.left, node.right
        if _is(right, NEUTRAL.get(type(node.op))):
            return left
        if isinstance(node.op, ast.Add | ast.Mult) and _is(left, NEUTRAL[type(node.op)]):
            return right
        if isinstance(node.op, ast.Mult) and (_is(left, 0) or _is(right, 0)):
            return ast.Constant(0)
        if _same_name(left, right) and type(node.op) in SAME_NAMES:
            return ast.Constant(SAME_NAMES[type(node.op)])
        return _applied(node.op, node, left, right)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if len(node.ops) != 1:
            return node
        if _same_name(node.left, node.comparators[0]) and type(node.ops[0]) in SAME_NAMES:
            return ast.Constant(SAME_NAMES[type(node.ops[0])])
        return _applied(node.ops[0], node, node.left, node.comparators[0])

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in PURE and len(node.args) == 1 and not node.keywords:
            try:
                value = PURE[node.func.id](ast.literal_eval(node.args[0]))  # type: ignore[operator]
            except (ValueError, TypeError, MemoryError, RecursionError, SyntaxError):
                return node
            return ast.Constant(value) if _small(value) else node
        return node


def _reached(block: list[ast.stmt]) -> list[ast.stmt]:
    end = next((place for place, item in enumerate(block) if isinstance(item, LEAVES)), len(block))
    return block[: end + 1]


def _applied(operation: ast.AST, node: ast.expr, *operands: ast.expr) -> ast.expr:
    """The constant that the operation gives on constants, else the node as it is."""
    known = [item.value for item in operands if isinstance(item, ast.Constant)]
    if len(known) < len(operands) or type(operation) not in OPERATIONS or not all(map(_small, known)):
        return node
    try:
        value = OPERATIONS[type(operation)](*known)
    except (TypeError, ValueError, ArithmeticError):
        return node
    return ast.Constant(value) if _small(value) else node


def _small(value: Any) -> bool:
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int | float):
        return -LARGEST < value < LARGEST
    return isinstance(value, str) and len(value) < 100


def _is(node: ast.expr, value: int | None) -> bool:
    return value is not None and isinstance(node, ast.Constant) and type(node.value) is int and node.value == value


def _same_name(left: ast.expr, right: ast.expr) -> bool:
    return isinstance(left, ast.Name) and isinstance(right, ast.Name) and left.id == right.id
