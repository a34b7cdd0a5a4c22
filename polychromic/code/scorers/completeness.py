"""A rubric of what a whole program has, read from its tree; nothing is run."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from polychromic.code.candidates import Candidates, unknown
from polychromic.code.python_ast import definition, is_stub, parsed, unresolved


@dataclass(frozen=True)
class Completeness:
    """Typed signature, a return that gives a value, all parameters used, every name bound: a share in [0, 1].

    A program that does not parse, lacks the entry point or leaves it empty has 0. It tells whole programs from broken
    ones, not right ones from wrong ones.
    """

    def scores(self, candidates: Candidates) -> tuple[float, ...]:
        """The share of the four that each program has; unknown where the task judges no programs."""
        if candidates.problem is None:
            return unknown(candidates)
        name = candidates.problem.entry_point
        return tuple(self._score(source, name) for source in candidates.sources())

    @staticmethod
    def _score(source: str, name: str) -> float:
        tree = parsed(source)
        found = definition(tree, name) if tree is not None else None
        if tree is None or not isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef) or is_stub(found):
            return 0.0
        parameters = [*found.args.posonlyargs, *found.args.args, *found.args.kwonlyargs]
        read = {n.id for n in ast.walk(found) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        returns = [n for n in ast.walk(found) if isinstance(n, ast.Return | ast.Yield) and n.value is not None]
        typed = sum(parameter.annotation is not None for parameter in parameters) + (found.returns is not None)
        used = sum(parameter.arg in read for parameter in parameters)
        parts = (
            typed / (len(parameters) + 1),
            float(bool(returns)),
            used / len(parameters) if parameters else 1.0,
            float(not unresolved(tree)),
        )
        return sum(parts) / len(parts)
