"""Facts about single expressions and loops of a program with unique names: what they build, count or halve."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from polychromic.code.approach.slicing import dotted_name, root, targets_of
from polychromic.code.approach.unique_names import Comprehension, Function

DICTS = frozenset({"dict", "collections.Counter", "collections.defaultdict", "collections.OrderedDict"})
SETS = frozenset({"set", "frozenset"})


def form(node: ast.AST) -> Iterator[str]:
    """What an expression by itself says of the approach."""
    if isinstance(node, ast.ListComp):
        yield "table" if isinstance(node.elt, ast.List | ast.ListComp) or _repeated(node.elt) else "list"
    elif isinstance(node, ast.List) and not node.elts:
        yield "list"
    elif isinstance(node, ast.Dict | ast.DictComp):
        yield "dict"
    elif isinstance(node, ast.Set | ast.SetComp):
        yield "set"
    elif isinstance(node, ast.JoinedStr):
        yield "text"
    elif isinstance(node, ast.Slice) and isinstance(node.step, ast.UnaryOp | ast.Constant) and _minus_one(node.step):
        yield "reverse"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        yield "bits"
    elif isinstance(node, ast.Compare) and any(map(_square, [node.left, *node.comparators])):
        yield "root"
    elif isinstance(node, ast.Call) and dotted_name(node.func) == "zip":
        yield from ["zip(*)"] * any(isinstance(argument, ast.Starred) for argument in node.args)


def _repeated(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and isinstance(node.left, ast.List)


def _minus_one(node: ast.expr) -> bool:
    return ast.unparse(node) == "-1"


def _square(node: ast.expr) -> bool:
    if not isinstance(node, ast.BinOp):
        return False
    if isinstance(node.op, ast.Mult):
        return isinstance(node.left, ast.Name) and ast.dump(node.left) == ast.dump(node.right)
    return isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant) and node.right.value == 2


def is_zero(node: ast.expr) -> bool:
    """Whether the expression is the number 0."""
    return isinstance(node, ast.Constant) and node.value == 0


def is_constant(node: ast.expr) -> bool:
    """Whether what is gone through has a fixed length: literals, and ranges of literals."""
    if isinstance(node, ast.Call) and dotted_name(node.func) in ("range", "zip", "enumerate", "reversed", "sorted"):
        return all(is_constant(argument) for argument in node.args)
    if isinstance(node, ast.UnaryOp):
        return is_constant(node.operand)
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return bool(node.elts) or isinstance(node, ast.Tuple)
    return isinstance(node, ast.Constant)


def goes_through(name: str, call: ast.Call) -> bool:
    """Whether a fold is a loop of its own: not over a comprehension, which counts itself, nor over a fixed number."""
    place = 1 if name in ("map", "filter", "functools.reduce") else 0
    if len(call.args) <= place or (name in ("min", "max") and len(call.args) > 1):
        return False
    return not isinstance(call.args[place], Comprehension) and not is_constant(call.args[place])


def halves(node: ast.AST) -> bool:
    """Whether a node divides by a whole number of 2 or more and rounds, or shifts right."""
    if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.FloorDiv | ast.RShift):
        by = node.right if isinstance(node, ast.BinOp) else node.value
        return isinstance(by, ast.Constant)
    if isinstance(node, ast.Call) and dotted_name(node.func) == "int" and node.args:
        inner = node.args[0]
        return isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Div) and isinstance(inner.right, ast.Constant)
    return isinstance(node, ast.Call) and dotted_name(node.func) == "divmod"


def counts(loop: ast.While) -> bool:
    """Whether a while loop only counts: each turn changes a variable of its condition once, by a constant."""
    changed = [target for node in ast.walk(loop) if isinstance(node, ast.stmt) for target in targets_of(node)]
    for node in loop.body:
        targets = targets_of(node)
        if len(targets) != 1 or not isinstance(targets[0], ast.Name) or not _steps(node, targets[0].id):
            continue
        name = targets[0].id
        in_condition = any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(loop.test))
        if in_condition and sum(root(target) == name for target in changed) == 1:
            return True
    return False


def _steps(node: ast.stmt, name: str) -> bool:
    """Whether the statement adds a constant to the name, or takes one away."""
    if isinstance(node, ast.AugAssign):
        return isinstance(node.op, ast.Add | ast.Sub) and isinstance(node.value, ast.Constant)
    value = getattr(node, "value", None)
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Add | ast.Sub):
        return False
    sides = (value.left, value.right)
    return any(isinstance(s, ast.Name) and s.id == name for s in sides) and any(map(is_constant, sides))


def named_kinds(tree: ast.AST) -> tuple[set[str], set[str]]:
    """The names that are bound to dicts, and those bound to sets, somewhere in the program."""
    dicts: set[str] = set()
    sets: set[str] = set()
    for name, value in _bindings(tree):
        call = dotted_name(value.func) if isinstance(value, ast.Call) else ""
        if isinstance(value, ast.Dict | ast.DictComp) or call in DICTS:
            dicts.add(name)
        elif isinstance(value, ast.Set | ast.SetComp) or call in SETS:
            sets.add(name)
    return dicts, sets


def _bindings(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in targets_of(node):
                yield from _matched(target, node.value)
        elif isinstance(node, Function):
            given = [*node.args.posonlyargs, *node.args.args]
            named = given[len(given) - len(node.args.defaults) :]
            yield from ((argument.arg, value) for argument, value in zip(named, node.args.defaults, strict=True))


def _matched(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for inner, part in zip(target.elts, value.elts, strict=True):
            yield from _matched(inner, part)
    elif isinstance(target, ast.Name):
        yield target.id, value
