"""How a programming problem is put to a model: three strategies for chat models, three for base ones."""

from __future__ import annotations

from typing import Literal

from polychromic.code.extraction import PostProcessing
from polychromic.code.problems import Problem
from polychromic.core.errors import InputError
from polychromic.core.nouns import Message

Strategy = Literal["chat_direct", "chat_cot", "fewshot", "fewshot_devise", "minimal", "structured"]
STRATEGIES: tuple[Strategy, ...] = ("chat_direct", "chat_cot", "fewshot", "fewshot_devise", "minimal", "structured")

DIRECT = (
    "You are an expert Python programmer. You are given the signature and docstring of a function. "
    "Answer with the body of the function only: Python code, no explanation, no tests."
)
THINK = (
    "You are an expert Python programmer. Think about the problem step by step: restate what is asked, name the edge "
    "cases, sketch the algorithm. Then give the whole function, with its imports, in one ```python block."
)

STRUCTURE = (
    'You are an expert Python programmer. Answer with one JSON object and nothing else: {"imports": [import '
    'statements], "body": [statements of the function]}. A statement is one of '
    '{"op": "assign", "target": T, "value": E}, {"op": "do", "expression": E}, {"op": "return", "value": E}, '
    '{"op": "if", "test": E, "then": [...], "else": [...]}, {"op": "for", "target": T, "over": E, "body": [...]}, '
    '{"op": "while", "test": E, "body": [...]}, {"op": "raise", "error": E}, {"op": "break"}, {"op": "continue"}, '
    'with E and T as Python text; or {"op": "hole", "what": text} where you cannot settle what belongs there.'
)

EXEMPLARS = (
    (
        'def longest(words):\n    """Return the longest of the words, the first one if several are longest; None if '
        'there is none.\n    >>> longest(["a", "bcd", "efg"])\n    \'bcd\'\n    """\n',
        "Go through the words and keep the best so far. Replace it only by a strictly longer one, so that the first "
        "of equals stays. Without words the best stays None.",
        "    best = None\n    for word in words:\n        if best is None or len(word) > len(best):\n"
        "            best = word\n    return best\n",
    ),
    (
        'def digits_sum(n):\n    """Return the sum of the decimal digits of a non-negative integer.\n'
        '    >>> digits_sum(407)\n    11\n    """\n',
        "Write the number as text, turn each character back into a digit and add them up.",
        "    return sum(int(character) for character in str(n))\n",
    ),
    (
        'def running_max(numbers):\n    """Return a list whose i-th element is the maximum of the first i + 1 '
        'numbers.\n    >>> running_max([2, 1, 3])\n    [2, 2, 3]\n    """\n',
        "Keep the maximum seen so far. For each number update it and append it to the result.",
        "    result = []\n    highest = None\n    for number in numbers:\n"
        "        highest = number if highest is None else max(highest, number)\n        result.append(highest)\n"
        "    return result\n",
    ),
)

SYSTEM: dict[str, str] = {"chat_direct": DIRECT, "chat_cot": THINK, "structured": STRUCTURE}
"""What the strategies for chat models say first."""

Content = str | tuple[Message, ...]


def content(problem: Problem, strategy: Strategy) -> Content:
    """The prompt's content: messages for the chat strategies, text to be continued for the others.

    Raises:
        InputError: there is no such strategy.
    """
    code = problem.prompt if problem.prompt.endswith("\n") else problem.prompt + "\n"
    if strategy in SYSTEM:
        return Message("system", SYSTEM[strategy]), Message("user", f"```python\n{code}```")
    if strategy == "minimal":
        return code
    if strategy == "fewshot":
        shots = "".join(f"# Task {i}\n{head}{body}\n\n" for i, (head, _, body) in enumerate(EXEMPLARS, start=1))
        return f"{shots}# Task {len(EXEMPLARS) + 1}\n{code}"
    if strategy == "fewshot_devise":
        return "".join(map(_devised, EXEMPLARS)) + f"### Problem\n```python\n{code}```\n### Algorithm\n"
    raise InputError(f"there is no prompt strategy {strategy!r}; allowed: {', '.join(STRATEGIES)}")


def _devised(exemplar: tuple[str, str, str]) -> str:
    head, idea, body = exemplar
    return f"### Problem\n```python\n{head}```\n### Algorithm\n{idea}\n### Code\n```python\n{head}{body}```\n\n"


def answer_region(text: str, strategy: Strategy) -> str:
    """The part of a base model's continuation that answers its own problem, before it invents the next one."""
    if strategy == "fewshot":
        return text.split("\n# Task ", maxsplit=1)[0]
    if strategy == "fewshot_devise":
        return text.split("\n### Problem", maxsplit=1)[0]
    return text


def resolved(post_processing: Literal["auto", "ast", "completion", "none"]) -> PostProcessing:
    """The post-processing that ``auto`` stands for: extraction by parsing, which knows bodies from programs."""
    return "ast" if post_processing == "auto" else post_processing


def demonstration(problem: Problem, strategy: Strategy) -> str:
    """The gold program as the strategy asks for it: the prompt's continuation, or a fenced block."""
    if strategy in ("minimal", "fewshot"):
        if problem.gold.startswith(problem.prompt):
            return problem.gold[len(problem.prompt) :]
        signature, _, body = problem.gold.partition("\n")
        if problem.prompt.startswith(f"{signature}\n"):
            return body
    fenced = f"```python\n{problem.gold.rstrip()}\n```"
    return f"### Code\n{fenced}" if strategy == "fewshot_devise" else fenced
