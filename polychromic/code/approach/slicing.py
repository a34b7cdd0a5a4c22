"""The statements of a program on which its answer depends; everything else is junk, checks or talk.

A mark-and-sweep slice over names that are unique in the whole program: what is returned, yielded or changed in an
argument is wanted; an assignment to a wanted name is; a loop or branch that holds a wanted statement is, with what it
reads. Raises, asserts and prints are not: they are no way to solve a problem. The result is for reading only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from polychromic.code.approach.folding import folded
from polychromic.code.approach.unique_names import Function, with_unique_names

ROUNDS = 6
MUTATORS = frozenset(
    {"append", "extend", "insert", "pop", "popleft", "appendleft", "extendleft", "remove", "clear", "sort", "reverse"}
    | {"add", "discard", "update", "setdefault", "popitem", "rotate", "write", "subtract", "difference_update", "put"}
)
"""Methods that change the object they belong to."""
MUTATING = frozenset(f"heapq.{name}" for name in ("heappush", "heappop", "heapify", "heapreplace", "heappushpop")) | {
    "bisect.insort",
    "bisect.insort_left",
    "bisect.insort_right",
    "random.shuffle",
    "setattr",
    "delattr",
    "next",
}
"""Functions that change an argument."""
PRINTING = frozenset({"print", "sys.stdout.write"})
BLOCKS = ("body", "orelse", "finalbody")
WHOLE = ""
"""The entry point of a program that is run as a whole: what it prints is its answer."""


def essential(tree: ast.Module, entry_point: str) -> ast.Module:
    """What of the program decides what ``entry_point`` answers, with unique names and folded constants.

    Raises:
        RecursionError: the program is nested too deep to be read.
    """
    tree = with_unique_names(tree)
    before = -1
    for _ in range(ROUNDS):
        tree = _Slice(folded(tree), entry_point).kept()
        size = sum(1 for _ in ast.walk(tree))
        if size == before:
            break
        before = size
    return tree


def functions_of(tree: ast.AST) -> dict[str, Function | ast.Lambda]:
    """The program's functions by name: definitions, methods and names that are bound to a lambda."""
    found: dict[str, Function | ast.Lambda] = {}
    for node in ast.walk(tree):
        if isinstance(node, Function):
            found[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            found |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
    return found


def methods_of(tree: ast.AST) -> frozenset[str]:
    """The names of the methods of the program's classes."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return frozenset(item.name for node in classes for item in node.body if isinstance(item, Function))


def dotted_name(node: ast.AST) -> str:
    """``a.b.c`` for names and attributes of names; "" for other expressions."""
    if isinstance(node, ast.Attribute):
        inside = dotted_name(node.value)
        return f"{inside}.{node.attr}" if inside else ""
    return node.id if isinstance(node, ast.Name) else ""


def root(node: ast.AST) -> str:
    """The name at the bottom of subscripts, attributes, calls and stars; "" when there is none."""
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Starred | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def roots(target: ast.AST) -> set[str]:
    """The names that an assignment's target changes."""
    if isinstance(target, ast.Tuple | ast.List):
        return {name for item in target.elts for name in roots(item)}
    return {root(target)}


def targets_of(node: ast.stmt) -> list[ast.expr]:
    """What an assignment binds or changes; nothing for other statements."""
    if isinstance(node, ast.Assign):
        return list(node.targets)
    if isinstance(node, ast.AugAssign) or (isinstance(node, ast.AnnAssign) and node.value is not None):
        return [node.target]
    return []


def own_parts(statement: ast.stmt) -> Iterator[ast.AST]:
    """The expressions of a statement itself, not those of the blocks in it."""
    for field, value in ast.iter_fields(statement):
        if field in BLOCKS or field in ("handlers", "cases"):
            continue
        yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, ast.AST))


def blocks_of(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks of a compound statement: its body, else, handlers and cases."""
    for field in BLOCKS:
        block = getattr(statement, field, None)
        if isinstance(block, list):
            yield block
    for part in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
        yield part.body


class _Slice:
    """Marks what is wanted until nothing more is, then drops the rest."""

    def __init__(self, tree: ast.Module, entry_point: str) -> None:
        self.tree, self.whole = tree, entry_point == WHOLE
        self.functions = functions_of(tree)
        self.names = {entry_point}
        self.methods = methods_of(tree)
        self.wanted: set[ast.stmt] = set()
        if entry_point in self.functions and not _gives_a_value(self.functions[entry_point]):
            self.names |= {item.arg for item in self.functions[entry_point].args.args}  # it answers in its arguments

    def kept(self) -> ast.Module:
        """The tree with the wanted statements only."""
        before = (-1, -1)
        while before != (found := (len(self.names), len(self.wanted))):
            before = found
            self._mark(self.tree.body)
        self._sweep(self.tree)
        return self.tree

    def _mark(self, block: list[ast.stmt]) -> bool:
        marked = [self._statement(statement) for statement in reversed(block)]
        return any(marked)

    def _statement(self, node: ast.stmt) -> bool:
        """Whether the statement is wanted; if so, so is everything it reads."""
        wanted = self._inside(node) if any(blocks_of(node)) else self._decides(node)
        if wanted:
            self.wanted.add(node)
            self._read(own_parts(node))
            if isinstance(node, ast.For | ast.AsyncFor | ast.While):
                self._leaving(node.body)
        return wanted

    def _inside(self, node: ast.stmt) -> bool:
        if isinstance(node, Function | ast.ClassDef):
            called = node.name in self.names or node.name in self.methods
            return called and (self._mark(node.body) or True)
        marked = [self._mark(block) for block in blocks_of(node)]
        return any(marked)

    def _decides(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.Return):
            return True
        if isinstance(node, ast.Expr):
            return self._effects(node.value)
        return any(roots(target) & self.names for target in targets_of(node))

    def _effects(self, value: ast.expr) -> bool:
        """Whether an expression that stands alone changes something wanted."""
        if isinstance(value, ast.Yield | ast.YieldFrom | ast.Await):
            return True
        if not isinstance(value, ast.Call):
            return any(isinstance(node, ast.NamedExpr) and roots(node.target) & self.names for node in ast.walk(value))
        name = dotted_name(value.func)
        given = {root(argument) for argument in value.args} & self.names
        if name in self.functions:
            changed = _changed(self.functions[name], self.functions, set())
            parameters = {item.arg for item in self.functions[name].args.args}
            return bool((changed - parameters) & self.names) or (bool(given) and bool(changed & parameters))
        if self.whole and name in PRINTING:
            return True
        if isinstance(value.func, ast.Attribute) and value.func.attr in MUTATORS | self.methods:
            return root(value.func) in self.names
        return name in MUTATING and bool(given)

    def _leaving(self, block: list[ast.stmt]) -> bool:
        """Marks the breaks and continues of a wanted loop, with the branches they stand in."""
        found = False
        for node in block:
            leaves = isinstance(node, ast.Break | ast.Continue)
            if not leaves and not isinstance(node, ast.For | ast.AsyncFor | ast.While | Function | ast.ClassDef):
                inside = [self._leaving(inner) for inner in blocks_of(node)]
                leaves = any(inside)
            if leaves:
                self.wanted.add(node)
                self._read(own_parts(node))
            found = found or leaves
        return found

    def _read(self, parts: Iterable[ast.AST]) -> None:
        for part in parts:
            for node in ast.walk(part):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    self.names.add(node.id)

    def _sweep(self, node: ast.AST) -> None:
        for part in [node, *getattr(node, "handlers", []), *getattr(node, "cases", [])]:
            for field in BLOCKS:
                block = getattr(part, field, None)
                if isinstance(block, list):
                    kept = [item for item in block if item in self.wanted]
                    setattr(part, field, kept)
                    for item in kept:
                        self._sweep(item)


def _gives_a_value(function: Function | ast.Lambda) -> bool:
    if isinstance(function, ast.Lambda):
        return True
    gives = (ast.Yield, ast.YieldFrom)
    return any(
        isinstance(node, gives) or (isinstance(node, ast.Return) and node.value is not None)
        for node in ast.walk(function)
    )


def _changed(function: Function | ast.Lambda, functions: dict[str, Function | ast.Lambda], seen: set[str]) -> set[str]:
    """The names that a call of the function may change: what it stores into, mutates or shares, also through others."""
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.stmt):
            stored = [target for target in targets_of(node) if not isinstance(target, ast.Name)]
            found |= {name for target in stored for name in roots(target)}
        if isinstance(node, ast.Nonlocal | ast.Global):
            found |= set(node.names)
        elif isinstance(node, ast.Call):
            name = dotted_name(node.func)
            if isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
                found.add(root(node.func))
            elif name in MUTATING:
                found |= {root(argument) for argument in node.args}
            elif name in functions and name not in seen:
                seen.add(name)
                found |= _changed(functions[name], functions, seen)
                found |= {root(argument) for argument in node.args}
    return found - {""}
