"""A program whose every local name is its own, and whose imported names say where they come from.

After it, one flat table of names serves a whole program: ``n`` of one function is not ``n`` of another, ``sqrt`` and
``m.sqrt`` are both ``math.sqrt``. The tree is for reading only; it cannot be compiled.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef
Named = Function | ast.ClassDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar
Scope = dict[str, str]
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
ABSTRACT = {"typing", "__future__", "collections.abc"}


def with_unique_names(tree: ast.Module) -> ast.Module:
    """The tree, changed in place: locals end in ``@`` and a number, imported names are dotted paths."""
    _Names().visit(tree, imported(tree))
    return tree


def imported(tree: ast.AST) -> Scope:
    """What each imported name stands for, wherever in the program it is imported."""
    found: Scope = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module not in ABSTRACT:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


class _Names:
    """Renames while it walks; ``scope`` holds the names that the code around knows."""

    def __init__(self) -> None:
        self.scopes = 0

    def visit(self, node: ast.AST, scope: Scope) -> None:
        """Renames everything in ``node``."""
        if isinstance(node, Function | ast.Lambda):
            self._function(node, scope)
            return
        if isinstance(node, Comprehension):
            scope = scope | self._own(name for part in node.generators for name in _stored(part.target))
        if isinstance(node, ast.Name):
            node.id = scope.get(node.id, node.id)
        elif isinstance(node, Named) and node.name:
            node.name = scope.get(node.name, node.name)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [scope.get(name, name) for name in node.names]
        for child in ast.iter_child_nodes(node):
            self.visit(child, scope)

    def _function(self, node: Function | ast.Lambda, scope: Scope) -> None:
        if isinstance(node, Function):
            node.name = scope.get(node.name, node.name)
            node.returns = None
        outside = [*node.args.defaults, *(item for item in node.args.kw_defaults if item is not None)]
        outside += getattr(node, "decorator_list", [])
        inside = scope | self._own(_bound(node))
        for argument in _arguments(node.args):
            argument.arg, argument.annotation = inside[argument.arg], None
        for part in outside:
            self.visit(part, scope)
        for inner in _body(node):
            self.visit(inner, inside)

    def _own(self, names: Iterator[str]) -> Scope:
        self.scopes += 1
        return {name: f"{name}@{self.scopes}" for name in names}


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    single = [item for item in (arguments.vararg, arguments.kwarg) if item is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *single]


def _body(function: Function | ast.Lambda) -> list[ast.AST]:
    return [function.body] if isinstance(function, ast.Lambda) else list(function.body)


def _bound(function: Function | ast.Lambda) -> Iterator[str]:
    """The names that a function's own scope binds."""
    body = _body(function)
    shared = {name for node in _within(body) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    yield from (argument.arg for argument in _arguments(function.args))
    for node in _within(body):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and node.id not in shared:
            yield node.id
        elif isinstance(node, Named) and node.name:
            yield node.name


def _within(pending: list[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of the scopes in it."""
    pending = list(pending)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, Function | ast.ClassDef | ast.Lambda | Comprehension):
            pending.extend(ast.iter_child_nodes(node))


def _stored(target: ast.AST) -> Iterator[str]:
    return (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
