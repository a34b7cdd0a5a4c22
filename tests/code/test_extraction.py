"""Extraction keeps programs whole: answers as models write them, each with what it must compute and its rule."""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polychromic.code import python_ast
from polychromic.code.extraction import extract, segments
from polychromic.code.python_ast import MAX_CHARACTERS, READINGS, SPARE_CHARACTERS, Parser, definition
from polychromic.settings.catalog import build

PROMPT = '''from typing import List


def total(numbers: List[int]) -> int:
    """ Return the sum of the numbers.
    >>> total([1, 2])
    3
    """
'''
HELPER_PROMPT = '''import math


def double(x):
    return 2 * x


def area(r):
    """ Return the doubled area of a circle, rounded down. """
'''


@dataclass(frozen=True)
class Golden:
    name: str
    text: str
    call: str = "total([1, 2, 3])"
    value: object = 6
    rule: str = "fence"
    prompt: str = PROMPT
    entry: str = "total"


FENCED = [
    Golden("plain fence", "```python\ndef total(numbers):\n    return sum(numbers)\n```"),
    Golden(
        "prose around",
        "Sure! Here is the function:\n\n```python\ndef total(numbers):\n    return sum(numbers)\n```\n\n"
        "This runs in O(n). Let me know if you need more!",
    ),
    Golden("fence without language", "```\ndef total(numbers):\n    return sum(numbers)\n```"),
    Golden("upper-case language", "```Python3\ndef total(numbers):\n    return sum(numbers)\n```"),
    Golden("tilde fence", "~~~python\ndef total(numbers):\n    return sum(numbers)\n~~~"),
    Golden("four ticks", "````python\ndef total(numbers):\n    return sum(numbers)\n````"),
    Golden("fence with title", '```python title="total.py"\ndef total(numbers):\n    return sum(numbers)\n```'),
    Golden("fence opens after prose", "The code: ```python\ndef total(numbers):\n    return sum(numbers)\n```"),
    Golden("code begins on the fence line", "```def total(numbers):\n    return sum(numbers)\n```"),
    Golden("one-line fence", "```python def total(numbers): return sum(numbers)```"),
    Golden("unclosed fence", "Here you go:\n```python\ndef total(numbers):\n    return sum(numbers)\n"),
    Golden("fence closed by the stop string only", "def total(numbers):\n    return sum(numbers)\n```\nThat is all."),
    Golden(
        "fence in a list item",
        "1. First:\n   ```python\n   def total(numbers):\n       return sum(numbers)\n   ```\n2. Done.",
        rule="fence_dedented",
    ),
    Golden("windows line ends", "```python\r\ndef total(numbers):\r\n    return sum(numbers)\r\n```\r\n"),
    Golden(
        "tabs",
        "```python\ndef total(numbers):\n\tresult = 0\n\tfor n in numbers:\n\t\tresult += n\n\treturn result\n```",
    ),
    Golden(
        "tabs and spaces mixed",
        "```python\ndef total(numbers):\n    result = 0\n    for n in numbers:\n\tresult += n\n    return result\n```",
        rule="fence_wide_tabs",
    ),
    Golden(
        "no-break spaces",
        "```python\ndef total(numbers):\n\u00a0\u00a0\u00a0\u00a0return sum(numbers)\n```",
        rule="fence_dedented",
    ),
    Golden(
        "body at the signature's column",
        "```python\ndef total(numbers):\nreturn sum(numbers)\n```",
        rule="fence_reindented",
    ),
    Golden(
        "the later of two versions wins",
        "First try:\n```python\ndef total(numbers):\n    return 0\n```\nThat is wrong, corrected:\n"
        "```python\ndef total(numbers):\n    return sum(numbers)\n```",
    ),
    Golden(
        "usage in a second fence",
        "```python\ndef total(numbers):\n    return sum(numbers)\n```\nUsage:\n```python\nprint(total([1, 2]))\n```",
    ),
    Golden(
        "output in a second fence",
        "```python\ndef total(numbers):\n    return sum(numbers)\n```\nOutput:\n```\ntotal([1]) -> 1\n```",
    ),
    Golden(
        "shell fence first",
        "```bash\npip install total\n```\n```python\ndef total(numbers):\n    return sum(numbers)\n```",
    ),
    Golden(
        "helper in the first fence",
        "Helper:\n```python\ndef add(a, b):\n    return a + b\n```\nMain:\n"
        "```python\ndef total(numbers):\n    s = 0\n    for n in numbers:\n        s = add(s, n)\n    return s\n```",
        rule="fences_joined",
    ),
    Golden(
        "import in the first fence",
        "```python\nfrom functools import reduce\n```\nthen\n"
        "```python\ndef total(numbers):\n    return reduce(lambda a, b: a + b, numbers, 0)\n```",
        rule="fences_joined",
    ),
    Golden(
        "signature echoed in a later fence",
        "```python\ndef total(numbers):\n    return sum(numbers)\n```\nThe signature is\n```python\n"
        "def total(numbers):\n    ...\n```",
    ),
    Golden(
        "fence inside the docstring",
        '```python\ndef total(numbers):\n    """Adds.\n\n    ```\n    total([1])\n    ```\n    """\n'
        "    return sum(numbers)\n```",
        rule="fences_span",
    ),
    Golden(
        "cut off after the function",
        "```python\ndef total(numbers):\n    return sum(numbers)\n\ndef other(x):\n    return (x +",
        rule="fence_cut",
    ),
    Golden(
        "prose inside the fence",
        "```python\ndef total(numbers):\n    return sum(numbers)\n\nThis function adds the numbers.\n```",
        rule="fence_cut",
    ),
    Golden(
        "doctest prompts",
        "```\n>>> def total(numbers):\n...     return sum(numbers)\n...\n>>> total([1])\n1\n```",
        rule="fence_from_doctest",
    ),
    Golden("html in strings", '```python\ndef total(numbers):\n    return "</s>"\n```', value="</s>"),
]

WHOLE = [
    Golden(
        "decorator",
        "```python\nimport functools\n\n@functools.lru_cache(maxsize=None)\ndef total(numbers):\n"
        "    return sum(numbers)\n```",
        call="total((1, 2, 3))",
    ),
    Golden(
        "decorator of its own",
        "```python\ndef logged(f):\n    def wrapper(*a):\n        return f(*a)\n    return wrapper\n\n"
        "@logged\ndef total(numbers):\n    return sum(numbers)\n```",
    ),
    Golden(
        "try-import",
        "```python\ntry:\n    import no_such_module as fast\nexcept ImportError:\n    fast = None\n\n"
        "def total(numbers):\n    return sum(numbers) if fast is None else fast.sum(numbers)\n```",
    ),
    Golden(
        "tuple constants",
        "```python\nZERO, ONE = 0, 1\n\ndef total(numbers):\n    return sum(numbers) * ONE + ZERO\n```",
    ),
    Golden(
        "augmented assignment",
        "```python\nVOWELS = 'ab'\nVOWELS += 'c'\n\ndef total(numbers):\n    return len(VOWELS) + len(numbers)\n```",
    ),
    Golden(
        "table-filling loop",
        "```python\nTABLE = [0] * 10\nfor i in range(1, 10):\n    TABLE[i] = TABLE[i - 1] + i\n\n"
        "def total(numbers):\n    return TABLE[len(numbers)]\n```",
    ),
    Golden(
        "helper without return",
        "```python\ndef push(stack, x):\n    stack.append(x)\n\ndef total(numbers):\n    s = []\n"
        "    for n in numbers:\n        push(s, n)\n    return sum(s)\n```",
    ),
    Golden(
        "helper after the function",
        "```python\ndef total(numbers):\n    return add_all(numbers)\n\ndef add_all(xs):\n    return sum(xs)\n```",
    ),
    Golden(
        "call that fills a table",
        "```python\nSEEN = {}\n\ndef prepare():\n    SEEN['k'] = 6\n\nprepare()\n\ndef total(numbers):\n"
        "    return SEEN['k']\n```",
    ),
    Golden(
        "class helper",
        "```python\nclass Box:\n    def __init__(self):\n        self.v = 0\n\n    def put(self, x):\n"
        "        self.v += x\n\n"
        "def total(numbers):\n    b = Box()\n    for n in numbers:\n        b.put(n)\n    return b.v\n```",
    ),
    Golden(
        "dataclass helper",
        "```python\nfrom dataclasses import dataclass\n\n@dataclass\nclass Acc:\n    v: int = 0\n\n"
        "def total(numbers):\n    a = Acc()\n    for n in numbers:\n        a.v += n\n    return a.v\n```",
    ),
    Golden("lambda", "```python\ntotal = lambda numbers: sum(numbers)\n```"),
    Golden("alias", "```python\ndef add_up(numbers):\n    return sum(numbers)\n\ntotal = add_up\n```"),
    Golden(
        "last definition wins",
        "```python\ndef total(numbers):\n    return 0\n\ndef total(numbers):\n    return sum(numbers)\n```",
    ),
    Golden(
        "stub after the real definition",
        "```python\ndef total(numbers):\n    return sum(numbers)\n\ndef total(numbers):\n    pass\n```",
    ),
    Golden(
        "main block",
        "```python\ndef total(numbers):\n    return sum(numbers)\n\nif __name__ == '__main__':\n"
        "    raise SystemExit(total([1]))\n```",
    ),
    Golden(
        "asserts and prints",
        "```python\ndef total(numbers):\n    return sum(numbers)\n\nassert total([1]) == 2\n"
        "print(total([1, 2]) / 0)\n```",
    ),
    Golden(
        "demonstration loop",
        "```python\ndef total(numbers):\n    return sum(numbers)\n\nfor case in [[1], [2]]:\n"
        "    print(total(case) / 0)\n```",
    ),
    Golden(
        "result assigned and printed",
        "```python\ndef total(numbers):\n    return sum(numbers)\n\nresult = total(None)\nprint(result)\n```",
    ),
    Golden(
        "input read and printed",
        "```python\ndef total(numbers):\n    n = len(numbers)\n    return sum(numbers) + 0 * n\n\n"
        "n = int(input())\nprint(total([n]))\n```",
    ),
    Golden(
        "test function called",
        "```python\ndef total(numbers):\n    return sum(numbers)\n\ndef test():\n"
        "    assert total([1]) == 2\n\ntest()\n```",
    ),
    Golden(
        "semicolons",
        "```python\ndef total(numbers): return sum(numbers) * K\nK = 1; print(total([1]) / 0); K = K + 0\n```",
    ),
    Golden(
        "future import below the preamble",
        "```python\nfrom __future__ import annotations\n\n"
        "def total(numbers: list[int] | Unknown) -> int:\n    return sum(numbers)\n```",
    ),
    Golden(
        "typing taken from the prompt", "```python\ndef total(numbers: List[int]) -> int:\n    return sum(numbers)\n```"
    ),
    Golden(
        "prompt's helper used",
        "```python\ndef area(r):\n    return math.floor(double(math.pi * r * r))\n```",
        "area(1)",
        6,
        "fence",
        HELPER_PROMPT,
        "area",
    ),
    Golden(
        "unicode before a dropped statement",
        "```python\ndef total(numbers):\n    return sum(numbers)\nÜ = 'ß'; print('é', total([1]) / 0)\n```",
    ),
]

UNFENCED = [
    Golden("bare function", "def total(numbers):\n    return sum(numbers)\n", rule="text"),
    Golden(
        "prose before and after",
        "Here is the solution:\n\ndef total(numbers):\n    return sum(numbers)\n\nThe function uses the builtin sum.",
        rule="text",
    ),
    Golden(
        "prose that begins like code",
        "For this task we import nothing.\nfrom here on it is easy\n\ndef total(numbers):\n    return sum(numbers)\n",
        rule="text",
    ),
    Golden(
        "prose between two pieces",
        "def add(a, b):\n    return a + b\n\nNow the main function:\n\n"
        "def total(numbers):\n    s = 0\n    for n in numbers:\n        s = add(s, n)\n    return s\n",
        rule="text",
    ),
    Golden("one word after", "def total(numbers):\n    return sum(numbers)\n\nExplanation\n", rule="text"),
    Golden("annotation-like prose", "def total(numbers):\n    return sum(numbers)\n\nNote: fast\n", rule="text"),
    Golden("prompt echo", PROMPT + "    return sum(numbers)\n", rule="text"),
    Golden(
        "indented block between paragraphs",
        "The answer:\n\n    def total(numbers):\n        return sum(numbers)\n\nDone.",
        rule="text_unindented",
    ),
    Golden("body", "    return sum(numbers)\n", rule="body"),
    Golden("body of several lines", "    s = 0\n    for n in numbers:\n        s += n\n    return s\n", rule="body"),
    Golden(
        "body, then another function", "    return sum(numbers)\n\n\ndef next_task(x):\n    return (x\n", rule="body"
    ),
    Golden(
        "body, then the signature again",
        "    return sum(numbers)\n\n\ndef total(numbers: List[int]) -> int:\n    pass\n",
        rule="body",
    ),
    Golden(
        "body, then a main block",
        "    return sum(numbers)\n\nif __name__ == '__main__':\n    print(total([]) / 0)\n",
        rule="body",
    ),
    Golden("body whose first line lost its indentation", "s = sum(numbers)\n    return s\n", rule="body_first_line"),
    Golden(
        "first line opens a block",
        "for n in numbers:\n        if n < 0:\n            return -1\n    return sum(numbers)\n",
        rule="body_first_line",
    ),
    Golden("body at the margin", "s = 0\nfor n in numbers:\n    s += n\nreturn s\n", rule="body_indented"),
    Golden("body with two spaces", "  s = 0\n  for n in numbers:\n    s += n\n  return s\n", rule="body_indented"),
    Golden("body with tabs", "\ts = 0\n\tfor n in numbers:\n\t\ts += n\n\treturn s\n", rule="body_first_line"),
    Golden("fenced body", "```python\n    return sum(numbers)\n```", rule="fence_body"),
    Golden("fenced body at the margin", "```python\ns = sum(numbers)\nreturn s\n```", rule="fence_body_indented"),
    Golden("body then prose", "    return sum(numbers)\n\nThis returns the sum of the numbers.", rule="body"),
    Golden("one-line body", "return sum(numbers)", rule="body_first_line"),
]

TEMPLATES = [
    Golden(
        "thought with a wrong draft",
        "<think>\n```python\ndef total(numbers):\n    return 0\n```\nno...\n</think>\n```python\n"
        "def total(numbers):\n    return sum(numbers)\n```",
    ),
    Golden(
        "thought whose start is in the template",
        "I add them.\n</think>\n\n```python\ndef total(numbers):\n    return sum(numbers)\n```",
    ),
    Golden(
        "end token", "```python\ndef total(numbers):\n    return sum(numbers)\n```<|im_end|>\n<|im_start|>user\nthanks"
    ),
    Golden(
        "end-of-text, then another document",
        "    return sum(numbers)\n<|endoftext|>def total(x):\n    return 7\n",
        rule="body",
    ),
    Golden("sentence end token", "```python\ndef total(numbers):\n    return sum(numbers)\n```</s>"),
    Golden(
        "role header", "<|im_start|>assistant\n```python\ndef total(numbers):\n    return sum(numbers)\n```<|im_end|>"
    ),
    Golden("eot right after the code", "def total(numbers):\n    return sum(numbers)<|eot_id|>", rule="text"),
]

GOLDEN = FENCED + WHOLE + UNFENCED + TEMPLATES


def run(source: str, call: str) -> object:
    """The value of ``call``; every program here was written by hand for this file."""
    namespace: dict[str, object] = {"__name__": "candidate"}
    exec(compile(source, "candidate", "exec", dont_inherit=True), namespace)
    return eval(call, namespace)


def test_there_are_at_least_sixty_golden_answers():
    assert len({case.name for case in GOLDEN}) == len(GOLDEN) >= 60


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_golden_answers_stay_whole(case):
    found = extract(case.text, case.entry, case.prompt)
    assert run(found.source, case.call) == case.value, found.source
    assert found.rule == case.rule
    assert found.attempts <= 2 * (case.text.count("\n") + case.prompt.count("\n")) + 24


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        (" \n\t\n", "empty"),
        ("<think>\ndef total(numbers):\n    return sum(numbers)", "unfinished_thought"),
        ("I cannot help with that.", "no_code"),
        ("def total(numbers):\n    return sum(numbers)\0", "bad_characters"),
        ("def total(numbers):\n    return '\ud800'", "bad_characters"),
        ("```python\ndef total(numbers):\n    return sum(numbers)\n```" + "\n" * 10_000_000, "too_long"),
    ],
    ids=["empty", "blank", "cut off in thought", "refusal", "nul", "surrogate", "ten megabytes"],
)
def test_answers_without_a_program_give_none_and_say_why(text, rule):
    found = extract(text, "total", "")
    assert (found.source, found.rule) == ("", rule)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("```python\ndef totl(numbers):\n    return sum(numbers)\n```", "no_entry_point"),
        ("```python\ndef total(numbers:\n    return sum(numbers)\n```", "unparsed"),
        ("```python\ndef total(numbers):\n    s = sum(numbers)\nreturn s\n```", "unparsed"),
        ("```python\ndef total(numbers):\n    pass\n```", "stub"),
        ("```python\ndef total(numbers):\n    raise NotImplementedError\n```", "stub"),
    ],
)
def test_what_is_no_solution_is_handed_on_under_its_own_rule(text, rule):
    found = extract(text, "total", PROMPT)
    assert found.rule == rule
    assert found.source.strip()


def test_completion_and_none_change_nothing():
    text = "    return sum(numbers)\nprint(total([1]))\n"
    assert build("post_processing", "completion").program(text, "total", PROMPT).source == PROMPT + text
    assert build("post_processing", "none").program(text, "total", PROMPT).source == text


def test_prose_that_looks_like_code_is_read_a_few_lines_at_a_time():
    prose = "\n".join(f"from step {i} we import the value = of {i}{' (' * (i % 50 == 0)}" for i in range(200))
    text = f"{prose}\n\ndef total(numbers):\n    return sum(numbers)\n\n{prose}"
    found = extract(text, "total", "")
    assert run(found.source, "total([1, 2])") == 3
    assert found.attempts <= 2 * text.count("\n")


def test_the_parser_refuses_more_than_its_budget():
    parser = Parser(length=100)
    source = "x" + " " * (SPARE_CHARACTERS + READINGS * 100) + "\n"
    assert parser.parse(source[: len(source) // 2])[0] is not None
    assert parser.parse(source)[0] is None
    parser = Parser(length=10**9)
    assert parser.parse("x")[0] is not None
    assert parser.parse(" " * (17 * MAX_CHARACTERS))[0] is None


DEGENERATE = (
    "@a\n",
    "x = (\n",
    "a = \\\n",
    "def f(x):\n",
    "if x:\n ",
    "x = '''\n",
    "```python\ndef total(x): (\n```\n",
    "y = {1: [",
    "total(x, ",
    "lambda: ",
    "@(",
    "import a\nfrom b\n",
    ">>> total(\n",
    "def total(x):\n  \u202e return 1\n",
    "é = é +\t",
)


@given(st.lists(st.sampled_from(DEGENERATE), min_size=1, max_size=3), st.integers(1, 6000))
@settings(max_examples=60, deadline=None)
def test_what_the_interpreter_reads_is_proportional_to_the_text_however_it_is_made(units, size):
    text = ("".join(units) * size)[:size]
    read = []
    with pytest.MonkeyPatch.context() as patch:
        counting = lambda source, *rest, **named: read.append(len(source)) or compile(source, *rest, **named)  # noqa: E731
        patch.setattr(python_ast, "compile", counting, raising=False)
        extract(text, "total", PROMPT)
    assert sum(read) <= SPARE_CHARACTERS + READINGS * (len(text) + len(PROMPT)) + 2 * len(PROMPT)


@pytest.mark.parametrize(
    "source",
    [
        "-" * 100_000 + "1",
        "(" * 5_000,
        "not " * 60_000 + "x",
        "x" + ".a" * 100_000,
        "1" + "+1" * 100_000,
        "lambda: " * 30_000 + "1",
        "9" * 200_000,
        "f'{" * 1_000,
        "[" * 90 + "]" * 90,
        "if 1:\n" * 300,
    ],
    ids=lambda source: source[:8],
)
def test_a_program_made_to_break_the_parser_is_only_a_failed_candidate(source):
    found = extract(f"```python\ndef total(x):\n    return 1\n{source}\n```", "total", PROMPT)
    assert isinstance(found.source, str)


@given(
    st.lists(
        st.sampled_from(
            [
                "```",
                "```python\n",
                "\n",
                "def total(x):",
                "    return x",
                "\t",
                "<think>",
                "</think>",
                "print(total(1))",
                "'''",
                '"""',
                "@f",
                "x = (1,",
                "if x:",
                "else:",
                "prose here",
                "\\",
                ";",
                "#",
                "\u00a0",
                "é",
                "\x0c",
                "class A:",
            ]
        ),
        max_size=25,
    ).map("".join)
)
@settings(max_examples=300, deadline=None)
def test_any_mixture_is_extracted_without_raising_and_found_programs_parse(text):
    found = extract(text, "total", PROMPT)
    if found.rule in {"empty", "no_code", "unfinished_thought"}:
        assert found.source == ""
    elif found.rule in {"unparsed", "no_entry_point"}:
        assert found.source.strip()
    else:
        assert definition(ast.parse(found.source), "total") is not None


def test_segments_keep_every_line_that_is_no_fence():
    text = "a\n```python\nb\n```\nc"
    assert segments(text) == [(False, "a"), (True, "b"), (False, "c")]


def test_an_indented_program_keeps_its_relative_indentation():
    body = textwrap.dedent("""\
        ```python
            def total(numbers):
                if not numbers:
                    return 0
                return numbers[0] + total(numbers[1:])
        ```""")
    assert run(extract(body, "total", PROMPT).source, "total([4, 5])") == 9
