"""A rubric to avoid, kept as the negative example: it takes effort for correctness."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from polychromic.code.candidates import Candidates
from polychromic.code.python_ast import parsed


@dataclass(frozen=True)
class Verbosity:
    """Points for a docstring, comments, helper functions and lines of code, in [0, 1]: what looks like quality."""

    enough_lines: int = 30

    def scores(self, candidates: Candidates) -> tuple[float, ...]:
        """The mean of the four parts."""
        return tuple(map(self._score, candidates.sources()))

    def _score(self, source: str) -> float:
        tree = parsed(source)
        if tree is None or not source.strip():
            return 0.0
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        documented = any(ast.get_docstring(function) for function in functions)
        lines = [line for line in source.split("\n") if line.strip()]
        comments = sum(line.lstrip().startswith("#") for line in lines)
        parts = (float(documented), comments / 5, (len(functions) - 1) / 2, len(lines) / self.enough_lines)
        return sum(min(1.0, max(0.0, part)) for part in parts) / len(parts)
