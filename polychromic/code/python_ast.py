"""Python programs as text and tree: safe parsing within a budget, what a program defines, and what it only shows off.

Nothing here runs a program. Parsing text that a model wrote may fail in many ways; all of them come back as a line
number, none as an exception.
"""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from codeop import PyCF_ALLOW_INCOMPLETE_INPUT  # type: ignore[attr-defined]
from collections.abc import Iterable, Iterator

MAX_CHARACTERS = 262_144
"""Longer answers are not parsed: no task here needs them, and the parser's memory grows a hundredfold."""

MOST_CUTS = 8
"""Attempts to find the end of the code that begins at one line."""

FIRST_LINES = 4
"""Lines that are read of such code at first."""

READINGS, SPARE_CHARACTERS = 64, 16_384
"""So often the parser may read a whole answer, and so many characters besides."""

CUT_OFF = -1

BUILTIN_NAMES = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Parser:
    """Parses within a budget of characters that is proportional to a text, and counts its attempts.

    However the text is made, that bounds the work: reading one character takes the interpreter about a microsecond.
    """

    def __init__(self, length: int) -> None:
        self.characters = min(SPARE_CHARACTERS + READINGS * length, 16 * MAX_CHARACTERS)
        self.attempts = 0

    def parse(self, source: str) -> tuple[ast.Module | None, int]:
        """The tree and 0, or None and the line (from 1) at which reading stopped."""
        return self._read(source, 0)

    def _read(self, source: str, flag: int) -> tuple[ast.Module | None, int]:
        """The same; with ``PyCF_ALLOW_INCOMPLETE_INPUT``, ``CUT_OFF`` for a text that ends before its code does."""
        self.attempts += 1
        self.characters -= len(source)
        if self.characters < 0:
            return None, 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return compile(source, "<answer>", "exec", ast.PyCF_ONLY_AST | flag, dont_inherit=True), 0
        except SyntaxError as error:
            return None, CUT_OFF if flag and "incomplete input" in str(error) else max(error.lineno or 1, 1)
        except (ValueError, MemoryError, RecursionError):
            return None, 1

    def prefix(self, lines: list[str], start: int = 0) -> tuple[ast.Module | None, int]:
        """The tree of the longest parseable run of lines from ``start``, and the line after it.

        Each failure cuts at the line the parser stopped at, which is nearly always the end of the code. Few lines are
        read at first, and more only while they are whole or cut off: prose that looks like code costs little.
        """
        end, cuts, window = len(lines), 0, FIRST_LINES
        while end > start and cuts < MOST_CUTS:
            if window < end - start:
                tree, line = self._read("\n".join(lines[start : start + window]), PyCF_ALLOW_INCOMPLETE_INPUT)
                if tree is not None or line in (CUT_OFF, window):
                    window *= 4
                    continue
            else:
                tree, line = self.parse("\n".join(lines[start:end]))
                if tree is not None:
                    return (tree, end) if tree.body else (None, start)
            cuts, end = cuts + 1, min(start + line - 1, end - 1)
        return None, start


def parsed(source: str) -> ast.Module | None:
    """The tree of a program, None where it does not parse."""
    return Parser(len(source)).parse(source)[0]


def definition(tree: ast.Module, name: str) -> ast.stmt | None:
    """The last top-level statement that binds ``name`` (a def, a class or an assignment), also inside if and try."""
    found: ast.stmt | None = None
    for statement in flattened(tree.body):
        if isinstance(statement, Definition):
            if statement.name == name:
                found = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and getattr(statement, "value", None) is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                found = statement
    return found


def flattened(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of ``body`` and of the if, try, with and for blocks in it, not of functions and classes."""
    for statement in body:
        yield statement
        if not isinstance(statement, Definition):
            for field in ("body", "orelse", "finalbody"):
                yield from flattened(getattr(statement, field, []))
            for handler in getattr(statement, "handlers", []):
                yield from flattened(handler.body)


def is_stub(statement: ast.stmt | None) -> bool:
    """Whether a definition does nothing: a docstring, ``pass``, ``...``, NotImplementedError or inner defs only."""
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return all(_says_nothing(inner) for inner in statement.body)


def _says_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return isinstance(statement.value.value, str) or statement.value.value is ...
    if isinstance(statement, ast.Raise) and statement.exc is not None:
        return "NotImplementedError" in _names(statement.exc)
    return isinstance(statement, ast.Pass | Definition)


def misplaced(tree: ast.Module) -> bool:
    """Whether a return, yield or await stands outside every function: a body that lost its indentation."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))
    return False


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _reads(statement: ast.stmt) -> set[str]:
    """Names a statement may read from its module: a definition's own arguments and variables are not among them."""
    return _names(statement) - bound_names(statement) if isinstance(statement, Definition) else _names(statement)


def bound_names(tree: ast.AST) -> set[str]:
    """Every name that is bound anywhere in ``tree``: definitions, arguments, assignments, imports, handlers."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, Definition):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
    return names


def unresolved(tree: ast.Module) -> set[str]:
    """Names that are read but bound nowhere in ``tree`` and are no builtins: helpers that stand elsewhere."""
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return read - bound_names(tree) - BUILTIN_NAMES


def is_main_guard(statement: ast.stmt) -> bool:
    """Whether the statement is ``if __name__ == ...:``."""
    return isinstance(statement, ast.If) and "__name__" in _names(statement.test)


class DemoCode:
    """Tells statements that only show a program off (calls of the entry point, prints, asserts) from the program."""

    def __init__(self, tree: ast.Module, entry_point: str) -> None:
        self.entry_point = entry_point
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        self.drivers = {"print", entry_point} | {
            node.name
            for node in functions
            if node.name != entry_point and (entry_point in _names(node) or node.name == "main")
        }

    def is_showing(self, statement: ast.stmt) -> bool:
        """Whether the program is the same without this statement."""
        if is_main_guard(statement) or isinstance(statement, ast.Assert | ast.Pass):
            return True
        if isinstance(statement, ast.Expr):
            return self._shows(statement.value)
        if isinstance(statement, ast.AnnAssign):
            return statement.value is None
        if isinstance(statement, ast.For | ast.While | ast.With | ast.If | ast.Try):
            leaves = [leaf for leaf in flattened([statement]) if not hasattr(leaf, "body")]
            return all(self.is_showing(leaf) for leaf in leaves)
        return False

    def assigns_a_result(self, statement: ast.stmt) -> set[str]:
        """The names a statement binds to results of the entry point or of input(); empty for other statements."""
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            return set()
        if not self._calls(statement.value, self.drivers | {"input"}):
            return set()
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {name for target in targets for name in _names(target)}

    def _shows(self, value: ast.expr) -> bool:
        if isinstance(value, ast.Call):
            if isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Name):
                return (value.func.value.id, value.func.attr) in {("doctest", "testmod"), ("unittest", "main")}
            return isinstance(value.func, ast.Name) and value.func.id in self.drivers
        if isinstance(value, ast.Constant):
            return False
        return not any(isinstance(node, ast.Call | ast.Await) for node in ast.walk(value))

    @staticmethod
    def _calls(value: ast.expr, names: set[str]) -> bool:
        calls = (node for node in ast.walk(value) if isinstance(node, ast.Call))
        return any(isinstance(call.func, ast.Name) and call.func.id in names for call in calls)


def without_showing(source: str, tree: ast.Module, entry_point: str) -> str:
    """``source`` with the statements that only show the program off replaced by ``pass``; the rest is untouched."""
    demo = DemoCode(tree, entry_point)
    dropped = [statement for statement in tree.body if demo.is_showing(statement)]
    dropped += _stub_repeats(tree, entry_point)
    kept = [statement for statement in tree.body if statement not in dropped]
    for statement in reversed(list(kept)):
        names = demo.assigns_a_result(statement)
        if names and not any(names & _reads(other) for other in kept if other is not statement):
            kept.remove(statement)
            dropped.append(statement)
    return _replaced(source, dropped)


def _stub_repeats(tree: ast.Module, entry_point: str) -> list[ast.stmt]:
    same = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == entry_point]
    stubs = [node for node in same if is_stub(node)]
    return list(stubs) if len(stubs) < len(same) else []


def _replaced(source: str, statements: list[ast.stmt]) -> str:
    """``source`` with each statement replaced by ``pass``, last first so that positions stay right."""
    lines = source.split("\n")
    for statement in sorted(statements, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(node.lineno for node in decorators)])
        column = 0 if decorators else statement.col_offset
        last = statement.end_lineno or statement.lineno
        head = lines[first - 1].encode()[:column].decode()
        tail = lines[last - 1].encode()[statement.end_col_offset :].decode()
        lines[first - 1 : last] = [f"{head}pass{tail}"]
    return "\n".join(lines)


FUTURE = re.compile(r"^from __future__ import [^\n(]*$", re.MULTILINE)


def joined(parts: Iterable[str]) -> str:
    """One program from several, with every ``from __future__`` line moved to the top."""
    whole = "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
    future = list(dict.fromkeys(FUTURE.findall(whole)))
    if not future:
        return whole
    return "\n".join(future) + "\n" + FUTURE.sub("", whole)


def normalised(source: str) -> str | None:
    """A program's shape: its tree without docstrings and annotations, local names numbered; None if it cannot be read.

    Programs that differ only in layout, comments, docstrings, annotations or local names are equal.
    """
    tree = parsed(source)
    if tree is None:
        return None
    try:
        for node in list(ast.walk(tree)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                _rename_locals(node)
        return ast.dump(_Bare().visit(tree))
    except RecursionError:
        return None


def _rename_locals(function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    shared = {name for node in ast.walk(function) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    numbers: dict[str, str] = {}
    for node in ast.walk(function):
        name = node.arg if isinstance(node, ast.arg) else getattr(node, "id", None)
        bound = isinstance(node, ast.arg) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        if bound and name is not None and name not in shared and not name.startswith("_local"):
            numbers.setdefault(name, f"_local{len(numbers)}")
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            node.arg = numbers.get(node.arg, node.arg)
        elif isinstance(node, ast.Name):
            node.id = numbers.get(node.id, node.id)


class _Bare(ast.NodeTransformer):
    """Drops docstrings, annotations and bare passes."""

    def visit(self, node: ast.AST) -> ast.AST:
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [inner for inner in body if not _is_decoration(inner)]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
        for field in ("annotation", "returns"):
            if getattr(node, field, None) is not None and not isinstance(node, ast.AnnAssign):
                setattr(node, field, None)
        self.generic_visit(node)
        return node


def _is_decoration(statement: ast.stmt) -> bool:
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, ast.Pass)
