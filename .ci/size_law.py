"""The size law: a file of the package has at most 350 lines, a function at most 50, the trainer at most 200."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

FILE_LINES = 350
FUNCTION_LINES = 50
SPECIAL = {"polychromic/training/trainer.py": 200}


def breaches(path: Path) -> list[str]:
    """One line for each breach of the law in ``path``."""
    source = path.read_text(encoding="utf-8")
    lines = source.count("\n")
    limit = SPECIAL.get(path.as_posix(), FILE_LINES)
    found = [f"{path}: {lines} lines, the law allows {limit}"] if lines > limit else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                found.append(f"{path}:{node.lineno}: {node.name} has {length} lines, the law allows {FUNCTION_LINES}")
    return found


def main() -> int:
    """Prints every breach; 1 if there is one."""
    found = [line for path in sorted(Path("polychromic").rglob("*.py")) for line in breaches(path)]
    print("\n".join(found) if found else "size law: kept")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
