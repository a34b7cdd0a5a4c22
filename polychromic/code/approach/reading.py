"""How a program solves its problem, as a short text: equal for programs that differ only in how it is written down.

The text has the growth of the explicit work (``n^2``, ``n log n``, ``exp``) and, in alphabetical order, what the
program works with: recursion, loops that a condition drives, data structures, library calls, number operators, stores
into a list. It is read from the slice of the program on which its answer depends, as if helpers stood where they are
called. So junk, other names, another order, helpers and temporary variables change nothing; nor does a comprehension, a
fold (``sum``, ``any``, ``map``) or a counting ``while`` in the place of a ``for``. Nothing is run.
"""

from __future__ import annotations

import ast
import sys
from functools import lru_cache

from polychromic.code.approach.forms import (
    DICTS,
    SETS,
    counts,
    form,
    goes_through,
    halves,
    is_constant,
    is_zero,
    named_kinds,
)
from polychromic.code.approach.recursion import Recursion, recursions
from polychromic.code.approach.slicing import (
    blocks_of,
    dotted_name,
    essential,
    functions_of,
    methods_of,
    own_parts,
    root,
    roots,
    targets_of,
)
from polychromic.code.approach.unique_names import Comprehension, Function
from polychromic.code.approach.vocabulary import (
    FOLDS,
    SILENT_CALLS,
    SILENT_MODULES,
    TAGGED_CALLS,
    TAGGED_METHODS,
    TAGGED_MODULES,
)
from polychromic.code.python_ast import definition, parsed

Growth = tuple[int, int]
"""Powers of n and of log n: the loops around a place."""

MOST_NODES = 20_000
UNREAD = "not read"


@lru_cache(maxsize=65536)
def approach(source: str, entry_point: str) -> str | None:
    """The approach of the program ``source`` to ``entry_point``; programs with equal texts count as one solution.

    An empty ``entry_point`` stands for the whole program. None if the source is no such program; all programs that are
    too large or too deep to be read have one approach.
    """
    tree = parsed(source)
    if tree is None or (entry_point and definition(tree, entry_point) is None):
        return None
    try:
        small = sum(1 for _ in zip(ast.walk(tree), range(MOST_NODES), strict=False)) < MOST_NODES
        return _Reading(essential(tree, entry_point), entry_point).text() if small else UNREAD
    except RecursionError:
        return UNREAD


class _Reading:
    """One walk over the program from its entry point, into each function where it is called."""

    def __init__(self, tree: ast.Module, entry_point: str) -> None:
        self.tree, self.entry_point = tree, entry_point
        self.functions, self.methods = functions_of(tree), methods_of(tree)
        self.recursions = recursions(self.functions, self.methods)
        self.tags: set[str] = set()
        self.growth: Growth = (0, 0)
        self.entered: set[tuple[str, Growth]] = set()
        self.dicts, self.sets = named_kinds(tree)

    def text(self) -> str:
        """Growth and tags."""
        if self.entry_point in self.functions:
            self._function(self.entry_point, (0, 0))
        else:  # a class, whose methods are asked, or the whole program
            self._block(self.tree.body, (0, 0))
        return " ".join([self._growth(), *sorted(self.tags)])

    def _growth(self) -> str:
        if "branching recursion" in self.tags and not self.tags & {"memo", "halving"}:
            return "exp"
        power, logs = self.growth
        words = [f"n^{power}" if power > 1 else "n"] * bool(power) + ["log n"] * bool(logs)
        return " ".join(words) or "1"

    def _function(self, name: str, around: Growth) -> None:
        if (name, around) in self.entered or name not in self.functions:
            return
        known = any(name == other for other, _ in self.entered)
        self.entered.add((name, around))
        found: Recursion | None = self.recursions.get(name)
        if found is not None:
            if known:  # back in the recursion, with the loops of its own body around it
                return
            self.tags |= found.tags
            around = self._deeper(around, halving=found.halving and not found.branching)
            if found.halving and found.branching:
                around = around[0], 1
        function = self.functions[name]
        for decorator in getattr(function, "decorator_list", []):
            self._expression(decorator, around)
        if isinstance(function, ast.Lambda):
            self._expression(function.body, around)
        else:
            self._block(function.body, around)

    def _deeper(self, around: Growth, *, halving: bool = False) -> Growth:
        found = (around[0], around[1] + 1) if halving else (around[0] + 1, around[1])
        self._grow(found)
        return found

    def _grow(self, around: Growth) -> None:
        self.growth = max(self.growth, (around[0], min(around[1], 1)))

    def _block(self, block: list[ast.stmt], around: Growth) -> None:
        for statement in block:
            self._statement(statement, around)

    def _statement(self, node: ast.stmt, around: Growth) -> None:
        if isinstance(node, Function):
            return
        inside = around
        if isinstance(node, ast.For | ast.AsyncFor):
            inside = self._for(node, around)
        elif isinstance(node, ast.While):
            inside = self._while(node, around)
        elif isinstance(node, ast.ClassDef):
            self.tags.add("class")
            for method in node.body if node.name == self.entry_point else ():
                self._function(getattr(method, "name", ""), around)
        elif isinstance(node, ast.Try):
            self.tags.add("try")
        for part in own_parts(node):
            if part is not getattr(node, "iter", None):
                self._expression(part, inside)
        self._stores(node, inside)
        for block in blocks_of(node):
            self._block(block, inside)

    def _for(self, node: ast.For | ast.AsyncFor, around: Growth) -> Growth:
        self._expression(node.iter, around)
        return around if is_constant(node.iter) else self._deeper(around)

    def _while(self, node: ast.While, around: Growth) -> Growth:
        halving = any(halves(inner) for inner in ast.walk(node))
        if halving:
            self.tags.add("halving")
        if not counts(node):
            self.tags.add("while")
        return self._deeper(around, halving=halving)

    def _stores(self, node: ast.stmt, around: Growth) -> None:
        """Stores into a list say how deep in the loops they stand; those into a dict are the dict's."""
        for target in targets_of(node):
            for part in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
                if isinstance(part, ast.Subscript):
                    is_dict = roots(part) & self.dicts
                    self.tags.add("dict" if is_dict else f"store in {min(around[0] + around[1], 2)} loops")
        if isinstance(node, ast.AugAssign):
            self._operator(node.op, node.target, node.value)

    def _expression(self, node: ast.AST, around: Growth) -> None:
        if isinstance(node, Comprehension):
            self._comprehension(node, around)
            return
        if isinstance(node, ast.Lambda):
            self._expression(node.body, around)
            return
        if isinstance(node, ast.Call):
            self._call(node, around)
        elif isinstance(node, ast.BinOp):
            self._operator(node.op, node.left, node.right)
        elif isinstance(node, ast.Name) and node.id in self.functions:
            self._function(node.id, around)
        elif isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and "." in node.id):
            self._named(dotted_name(node))
        self.tags |= set(form(node))
        for child in ast.iter_child_nodes(node):
            self._expression(child, around)

    def _comprehension(self, node: Comprehension, around: Growth) -> None:
        self.tags |= set(form(node))
        for part in node.generators:
            self._expression(part.iter, around)
            around = around if is_constant(part.iter) else self._deeper(around)
            for condition in part.ifs:
                self._expression(condition, around)
        for element in [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]:
            self._expression(element, around)

    def _call(self, node: ast.Call, around: Growth) -> None:
        name = dotted_name(node.func)
        if name in self.functions:
            return  # the walk over the name enters it
        if name in FOLDS and goes_through(name, node):
            self._deeper(around)
        if name == "list" and node.args and not isinstance(node.args[0], ast.Name):
            self.tags.add("list")  # a list of a name is a copy
        if name == "sorted" or (isinstance(node.func, ast.Attribute) and node.func.attr == "sort"):
            self._grow((around[0] + 1, around[1] + 1))
        if name == "pow" and len(node.args) == 3:
            self.tags.add("power")
        if name == "reversed" and node.args and dotted_name(getattr(node.args[0], "func", node)) == "range":
            return
        if isinstance(node.func, ast.Name):
            self._named(name)
        elif isinstance(node.func, ast.Attribute):
            self._method(node.func, node, around)

    def _method(self, function: ast.Attribute, node: ast.Call, around: Growth) -> None:
        if isinstance(function.value, ast.Name) and function.value.id in sys.stdlib_module_names:
            return  # a function of a module: its name says it
        if function.attr in self.methods:
            self._function(function.attr, around)
        elif function.attr == "pop" and root(function) not in self.dicts | self.sets:
            self.tags.add("queue" if node.args and is_zero(node.args[0]) else "stack")
        elif function.attr == "get" and root(function) in self.dicts:
            self.tags.add("dict")
        elif function.attr in TAGGED_METHODS:
            self.tags.add(TAGGED_METHODS[function.attr])

    def _named(self, name: str) -> None:
        """What a builtin or a name of a module says; nothing for names of the program's own."""
        module, _, function = name.partition(".")
        if name in TAGGED_CALLS:
            self.tags |= set(TAGGED_CALLS[name].split())
        elif not function or "@" in name or name in SILENT_CALLS or module in SILENT_MODULES or module == "self":
            return
        elif module in TAGGED_MODULES:
            self.tags.add(name)
        elif module in sys.stdlib_module_names:
            self.tags.add(module)

    def _operator(self, operation: ast.operator, left: ast.expr, right: ast.expr) -> None:
        tag = ""
        if isinstance(operation, ast.Mod):
            tag = "text" if isinstance(left, ast.Constant | ast.JoinedStr) else "%"
        elif isinstance(operation, ast.FloorDiv | ast.RShift):
            tag = "//"
        elif isinstance(operation, ast.Pow):
            is_root = isinstance(right, ast.Constant) and right.value == 0.5
            tag = "root" if is_root else "" if isinstance(right, ast.Constant) else "power"
        elif isinstance(operation, ast.BitAnd) and isinstance(right, ast.Constant) and right.value == 1:
            tag = "%"
        elif isinstance(operation, ast.BitAnd | ast.BitOr | ast.BitXor):
            tag = "set" if any(self._is_set(side) for side in (left, right)) else "bits"
        elif isinstance(operation, ast.MatMult):
            tag = "@"
        elif isinstance(operation, ast.Mult) and any(isinstance(side, ast.List) for side in (left, right)):
            tag = "list"
        self.tags |= {tag} - {""}

    def _is_set(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            return dotted_name(node.func) in SETS | DICTS
        return isinstance(node, ast.Set | ast.SetComp) or root(node) in self.sets | self.dicts
