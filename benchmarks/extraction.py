"""How many answers three extractors keep whole, and what 200 lines cost them: ours, the first fence, functions only.

    python benchmarks/extraction.py

Then what degenerate texts cost, in processor seconds, and how that grows when a text is twice as long.

The golden answers and the degenerate texts are those of the test suite. "First fence" is the usual regular
expression. "Reachable functions" is the usual tree-based sanitiser: imports, and the functions and classes that the
entry point reaches, nothing else.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from polychromic.code.extraction import extract

GOLDEN = Path(__file__).parents[1] / "tests" / "code" / "test_extraction.py"


def golden_module():
    spec = importlib.util.spec_from_file_location("golden", GOLDEN)
    module = importlib.util.module_from_spec(spec)
    sys.modules["golden"] = module
    spec.loader.exec_module(module)
    return module


def ours(text: str, prompt: str, entry: str) -> str:
    return extract(text, entry, prompt).source


def first_fence(text: str, prompt: str, entry: str) -> str:
    found = re.search(r"```(?:python)?\n(.*?)```", text, re.DOTALL)
    code = found.group(1) if found else text
    return code if f"def {entry}" in code else prompt + code


def reachable_functions(text: str, prompt: str, entry: str) -> str:
    lines = text.split("\n")
    best = ""
    for start in range(len(lines)):
        for end in range(len(lines), start, -1):
            code = "\n".join(lines[start:end])
            if len(code) <= len(best):
                break
            try:
                ast.parse(code)
            except (SyntaxError, ValueError):
                continue
            best = code
            break
    tree = ast.parse(best)
    defined = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    wanted, pending = set(), [entry]
    while pending:
        name = pending.pop()
        if name in defined and name not in wanted:
            wanted.add(name)
            pending += [node.id for node in ast.walk(defined[name]) if isinstance(node, ast.Name)]
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    kept = [*imports, *(defined[name] for name in defined if name in wanted)]
    source = "\n".join(map(ast.unparse, kept))
    return source if entry in wanted else prompt + best


def whole(module, extractor: Callable[[str, str, str], str]) -> tuple[int, list[str]]:
    lost = []
    for case in module.GOLDEN:
        try:
            source = extractor(case.text, case.prompt, case.entry)
            good = module.run(source, case.call) == case.value
        except BaseException:  # noqa: BLE001  a program that was damaged may raise anything
            good = False
        if not good:
            lost.append(case.name)
    return len(module.GOLDEN) - len(lost), lost


def seconds_for_200_lines(extractor: Callable[[str, str, str], str]) -> float:
    prose = "\n".join(f"Step {i}: we take the value (see above) and go on from there." for i in range(90))
    text = f"{prose}\n\ndef total(numbers):\n    return sum(numbers)\n\n{prose}\n" + "\n".join(
        "x = 1" for _ in range(15)
    )
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        extractor(text, "", "total")
        took.append(time.perf_counter() - begun)
    return statistics.median(took)


def processor_seconds(text: str) -> float:
    took = []
    for _ in range(3):
        begun = time.process_time()
        ours(text, "", "total")
        took.append(time.process_time() - begun)
    return min(took)


def print_growth(units: tuple[str, ...]) -> None:
    sizes = (1_200, 9_600, 19_200)
    rows = [(unit, [processor_seconds((unit * size)[:size]) for size in sizes]) for unit in units]
    print(f"\n{'degenerate text':<40}{'1.2 KB':>10}{'9.6 KB':>10}{'19.2 KB':>10}{'last ratio':>12}")
    for unit, seconds in sorted(rows, key=lambda row: -row[1][-1]):
        cells = "".join(f"{1000 * second:>7.1f} ms" for second in seconds)
        print(f"{unit!a:<40}{cells}{seconds[2] / seconds[1]:>12.1f}")


def main() -> None:
    module = golden_module()
    print(f"{'extractor':<22}{'kept whole':>12}{'200 lines of prose and code':>32}")
    for name, extractor in (("ours", ours), ("first fence", first_fence), ("reachable functions", reachable_functions)):
        kept, _ = whole(module, extractor)
        print(f"{name:<22}{f'{kept}/{len(module.GOLDEN)}':>12}{seconds_for_200_lines(extractor):>30.4f} s")
    print_growth(module.DEGENERATE)


if __name__ == "__main__":
    main()
