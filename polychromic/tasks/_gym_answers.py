"""What makes two right answers of a reasoning-gym family different, for the families with many right answers.

Each form takes an answer that the family's checker accepted and gives its canonical text, None where it breaks a rule
that the question states and the checker does not look at. puzzle24's counts the numbers without asking which they are,
and cuts what they come to down to a whole number; both sum families evaluate more than the four operations.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

MOST_SIGNS = 512
_ARITHMETIC = re.compile(r"[0-9+\-*/() \n]+")
_Signed = tuple[int, str]


def expression(answer: str, numbers: list[int], target: int) -> str | None:
    """The expression up to the order and grouping of sums and of products; None where it uses other numbers or signs.

    ``a-(b-c)`` is ``a+c-b``, ``a/(b/c)`` is ``a*c/b``; ``2*(3+4)`` is not ``2*3+2*4``, which uses other numbers.
    """
    if len(answer) > MOST_SIGNS or not _ARITHMETIC.fullmatch(answer):
        return None
    try:
        tree = ast.parse(" ".join(answer.split()), mode="eval").body
        used = sorted(node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))  # type: ignore[type-var]
        if used != sorted(numbers) or _value(tree) != target:
            return None
        return _sum(tree)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() as number):
            return Fraction(number)
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand)
        case ast.BinOp(op=ast.Add()):
            return _value(node.left) + _value(node.right)
        case ast.BinOp(op=ast.Sub()):
            return _value(node.left) - _value(node.right)
        case ast.BinOp(op=ast.Mult()):
            return _value(node.left) * _value(node.right)
        case ast.BinOp(op=ast.Div()):
            return _value(node.left) / _value(node.right)
    raise ValueError("another sign")


def _sum(node: ast.expr) -> str:
    """A sum's terms, what is added before what is subtracted, each sorted."""
    terms = _terms(node, 1)
    added, subtracted = (sorted(text for sign, text in terms if sign == wanted) for wanted in (1, -1))
    return "".join(["+".join(added), *(f"-{text}" for text in subtracted)])


def _terms(node: ast.expr, sign: int) -> list[_Signed]:
    match node:
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            other = sign if isinstance(node.op, ast.Add) else -sign
            return _terms(node.left, sign) + _terms(node.right, other)
        case ast.UnaryOp():
            return _terms(node.operand, -sign)
    own, text = _product(node)
    return [(sign * own, text)]


def _product(node: ast.expr) -> _Signed:
    """A product's sign, and its factors sorted: those above the line, then those below."""
    sign, factors = _factors(node, 1)
    above, below = (sorted(text for power, text in factors if power == wanted) for wanted in (1, -1))
    return sign, "".join(["*".join(above) or "1", *(f"/{text}" for text in below)])


def _factors(node: ast.expr, power: int) -> tuple[int, list[_Signed]]:
    match node:
        case ast.BinOp(op=ast.Mult() | ast.Div()):
            other = power if isinstance(node.op, ast.Mult) else -power
            (first, left), (second, right) = _factors(node.left, power), _factors(node.right, other)
            return first * second, left + right
        case ast.UnaryOp():
            sign, factors = _factors(node.operand, power)
            return -sign, factors
        case ast.Constant():
            return 1, [(power, str(node.value))]
    return 1, [(power, f"({_sum(node)})")]


def _colouring(answer: str, known: Mapping[str, Any]) -> str:
    """Which vertices share a colour: colours that change their names are the same answer."""
    colours = {str(vertex): colour for vertex, colour in json.loads(answer).items()}
    names: dict[Any, int] = {}
    return ",".join(str(names.setdefault(colours[str(vertex)], len(names))) for vertex in known["puzzle"]["vertices"])


def _pouring(answer: str, known: Mapping[str, Any]) -> str:
    """How much stands in the jugs from move to move, without moves that change nothing, up to the target."""
    from reasoning_gym.algorithmic.jugs import verify_solution

    states = verify_solution(known["puzzle"], json.loads(answer))[1]
    changed = [states[0], *(after for before, after in pairwise(states) if after != before)]
    last = next(place for place, state in enumerate(changed) if known["puzzle"]["target"] in state)
    return ";".join(",".join(map(str, state)) for state in changed[: last + 1])


FORMS: Mapping[str, Callable[[str, Mapping[str, Any]], str | None]] = {
    "countdown": lambda answer, known: expression(answer, known["numbers"], known["target"]),
    "puzzle24": lambda answer, known: expression(answer, known["numbers"], 24),
    "graph_color": _colouring,
    "jugs": _pouring,
    "n_queens": lambda answer, known: ",".join(str(row.split().index("Q")) for row in answer.splitlines()),
    "palindrome_generation": lambda answer, known: answer.strip().lower(),
}
"""By family; the answers of the others differ where their text does, but for case and white space."""
