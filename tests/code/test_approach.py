"""Approaches: pairs labelled by hand, an adversary that rewrites without solving anew, and each part by itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from polychromic.code.approach import approach
from polychromic.code.approach.folding import folded
from polychromic.code.approach.slicing import essential

ROWS = yaml.safe_load((Path(__file__).parent / "approaches.yaml").read_text(encoding="utf-8"))
PAIRS = [(row, *pair) for row in ROWS for pair in row["different"]]


def of(row, name: str) -> str | None:
    return approach(row["approaches"][name][0], row["entry"])


def test_nine_of_ten_pairs_of_different_algorithms_are_told_apart():
    merged = [f"{row['entry']}: {a} = {b}" for row, a, b in PAIRS if of(row, a) == of(row, b)]
    assert len(PAIRS) >= 50
    assert len(merged) <= 0.1 * len(PAIRS), merged


def test_nine_of_ten_rewritings_of_one_algorithm_are_one_approach():
    again = [
        (f"{row['entry']}: {name}", approach(source, row["entry"]) == of(row, name))
        for row in ROWS
        for name, sources in row["approaches"].items()
        for source in sources[1:]
    ]
    assert len(again) >= 20
    assert sum(same for _, same in again) >= 0.9 * len(again), [what for what, same in again if not same]


class Renamed(ast.NodeTransformer):
    """Every local name and argument gets a new one."""

    def __init__(self, tree: ast.Module) -> None:
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        names |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
        self.names = {name: f"quite_another_{place}" for place, name in enumerate(sorted(names))}

    def visit_Name(self, node):
        return ast.Name(self.names.get(node.id, node.id), node.ctx)

    def visit_arg(self, node):
        return ast.arg(self.names.get(node.arg, node.arg))

    def visit_Nonlocal(self, node):
        return ast.Nonlocal([self.names.get(name, name) for name in node.names])


TURNED = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE, ast.Eq: ast.Eq, ast.NotEq: ast.NotEq}


class Swapped(ast.NodeTransformer):
    """Operands of + and * of numbers change sides; comparisons are turned round."""

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if isinstance(node.op, ast.Mult | ast.Add | ast.BitXor | ast.BitOr):
            return ast.BinOp(node.right, node.op, node.left)
        return node

    def visit_Compare(self, node):
        self.generic_visit(node)
        if len(node.ops) == 1 and type(node.ops[0]) in TURNED:
            return ast.Compare(node.comparators[0], [TURNED[type(node.ops[0])]()], [node.left])
        return node


class Returned(ast.NodeTransformer):
    """Each returned value passes through a temporary name, or through a helper."""

    def __init__(self, form: str) -> None:
        self.form = form

    def visit_Return(self, node):
        if node.value is None:
            return node
        return ast.parse(self.form.format(ast.unparse(node.value))).body


class Inside(ast.NodeTransformer):
    """A statement at the beginning of every function, or of every loop."""

    def __init__(self, statement: str, kinds: type | tuple[type, ...]) -> None:
        self.statement, self.kinds = statement, kinds

    def generic_visit(self, node):
        super().generic_visit(node)
        if isinstance(node, self.kinds):
            node.body = [*ast.parse(self.statement).body, *node.body]
        return node


def rewritten(transformer: ast.NodeTransformer, source: str) -> str:
    return ast.unparse(ast.fix_missing_locations(transformer.visit(ast.parse(source))))


def wrapped(source: str, entry: str) -> str:
    """The program under another name, called by a function with the old one."""
    tree = ast.parse(source)
    given = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == entry)
    names = [argument.arg for argument in given.args.args]

    class Calls(ast.NodeTransformer):
        def visit_Name(self, node):
            return ast.Name(f"{entry}_work", node.ctx) if node.id == entry else node

        def visit_FunctionDef(self, node):
            self.generic_visit(node)
            node.name = f"{entry}_work" if node.name == entry else node.name
            return node

    inner = ast.unparse(ast.fix_missing_locations(Calls().visit(tree)))
    defaults = [*names[: len(names) - len(given.args.defaults)]]
    arguments = ", ".join(defaults or names)
    return f"{inner}\ndef {entry}({arguments}):\n    answer = {entry}_work({arguments})\n    return answer\n"


def at_function(statement: str):
    return lambda source, entry: rewritten(Inside(statement, (ast.FunctionDef,)), source)


def in_loops(statement: str):
    return lambda source, entry: rewritten(Inside(statement, (ast.For, ast.While)), source)


ADVERSARY = {
    "constant": lambda source, entry: f"X = 1\n{source}",
    "import": lambda source, entry: f"import os, collections, heapq as h\n{source}",
    "helper": lambda source, entry: f"{source}\ndef helper(a):\n    return sorted(set(a))\n",
    "class": lambda source, entry: f"class Solver:\n    def run(self):\n        return [x for x in {{}}]\n{source}",
    "comments": lambda source, entry: f"# a comment\n{source}\n",
    "docstring": at_function('"""It sorts with a heap."""'),
    "if 0": at_function("if 0:\n    return sorted([1])"),
    "if not 1": at_function("if not 1 or 2 > 3:\n    import re"),
    "empty len": at_function("if len([]) > 0:\n    raise ValueError(1)"),
    "dead local": at_function("unused = sorted([3, 1, 2])"),
    "dead chain": at_function("d_1 = {1: 2}\nd_2 = d_1\nd_2[3] = set()\nd_3 = len(d_2)"),
    "dead loop": at_function("odd_ones = 0\nfor each in range(10):\n    odd_ones += each % 2"),
    "dead while": at_function("turn = 0\nwhile turn < 3:\n    turn += 1"),
    "dead list": at_function("said = []\nsaid.append(1)\nsaid.sort()\nsaid.pop()"),
    "dead def": at_function("def inner(z):\n    return inner(z // 2) + inner(z % 2)"),
    "called helper": lambda source, entry: (
        "def note(z):\n    kept = {}\n    kept[z] = sorted([z])\n    return kept\n"
        + at_function("note(3)")(source, entry)
    ),
    "flag": at_function("FLAG = False\nif FLAG:\n    return {}"),
    "assert": at_function("assert len('abc') == 3"),
    "print": at_function("print('here', sorted('abc'))"),
    "guard": at_function("if isinstance(1, str):\n    raise TypeError('no text')"),
    "while false": at_function("while False:\n    pass"),
    "try": at_function("try:\n    pass\nfinally:\n    pass"),
    "in loops": in_loops("seen_now = {1, 2, 3}"),
    "counter in loops": in_loops("steps_made = 0\nsteps_made += 1"),
    "if 0 in loops": in_loops("if 0:\n    break"),
    "renamed": lambda source, entry: rewritten(Renamed(ast.parse(source)), source),
    "swapped": lambda source, entry: rewritten(Swapped(), source),
    "temporary": lambda source, entry: rewritten(Returned("answer = {0}\nreturn answer"), source),
    "plus nothing": lambda source, entry: rewritten(Returned("return ({0}) if True else None"), source),
    "wrapped": wrapped,
    "reordered": lambda source, entry: f"def early():\n    return 1\n{source}",
    "if true": lambda source, entry: rewritten(Returned("if 1:\n    return {0}\nelse:\n    return []"), source),
    "aliased": lambda source, entry: rewritten(
        Returned("first = {0}\nsecond = first\nthird = second\nreturn third"), source
    ),
}


@pytest.mark.parametrize("kind", ADVERSARY)
def test_an_adversary_gains_nothing(kind):
    """Junk, other names, another order, helpers and temporaries: every program keeps the approach it had."""
    gained = []
    for row in ROWS:
        for name, sources in list(row["approaches"].items())[:2]:
            changed = ADVERSARY[kind](sources[0], row["entry"])
            compile(changed, kind, "exec")
            if approach(changed, row["entry"]) != of(row, name):
                gained.append(f"{row['entry']}: {name}: {approach(changed, row['entry'])}")
    assert not gained


def test_twelve_variants_of_one_factorial_are_one_approach():
    source = next(row for row in ROWS if row["entry"] == "factorial")["approaches"]["product"][0]
    variants = [source, *(change(source, "factorial") for change in list(ADVERSARY.values())[:11])]
    assert len({approach(variant, "factorial") for variant in variants}) == 1


@pytest.mark.long
def test_all_rewritings_at_once_are_one_approach_too():
    for row in ROWS:
        for sources in row["approaches"].values():
            changed = sources[0]
            for change in ADVERSARY.values():
                changed = change(changed, row["entry"]) if change is not wrapped else changed
            assert approach(changed, row["entry"]) == approach(sources[0], row["entry"]), row["entry"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("x = 1 + 2 * 3", "x = 7"),
        ("y = z if 3 > 2 else w", "y = z"),
        ("y = x + 0 + 0 * k", "y = x"),
        ("if n != n:\n    f()", ""),
        ("y = a or False", "y = a"),
        ("y = True or a", "y = True"),
        ("def f(x):\n    return x\n    x = 2", "def f(x):\n    return x"),
        ("y = 1 // 0", "y = 1 // 0"),
        ("y = 'a' * 10 ** 9", "y = 'a' * 10 ** 9"),
    ],
)
def test_folding(source, text):
    assert ast.unparse(folded(ast.parse(source))) == text


def test_the_slice_keeps_what_the_answer_depends_on():
    source = """
def f(xs, unused):
    total, junk = 0, []
    for x in xs:
        junk.append(x)
        if x < 0:
            continue
        total += x
    other = len(junk)
    return total
"""
    kept = ast.unparse(essential(ast.parse(source), "f"))
    assert "continue" in kept
    assert "junk.append" not in kept
    assert "other" not in kept


def test_a_function_that_answers_in_its_argument_is_read():
    bubble = """
def order(xs):
    for i in range(len(xs)):
        for j in range(len(xs) - 1):
            if xs[j] > xs[j + 1]:
                xs[j], xs[j + 1] = xs[j + 1], xs[j]
"""
    assert approach(bubble, "order") == "n^2 store in 2 loops"
    assert approach("def order(xs):\n    xs.sort()", "order") == "n log n sort"


def test_programs_that_are_run_whole_and_classes_have_approaches():
    assert approach("n = int(input())\nprint(sum(range(n)))", "") == "n"
    assert (
        approach("class Solution:\n    def run(self, xs):\n        return sorted(xs)", "Solution")
        == "n log n class sort"
    )


def test_what_cannot_be_read_has_no_approach():
    assert approach("def f(:", "f") is None
    assert approach("x = 1", "f") is None
    deep = "def f(x):\n    return " + "x + " * 500 + "x"
    assert approach(deep, "f") == approach("def f(x):\n" + "    x += 1\n" * 6000 + "    return x", "f") == "not read"
