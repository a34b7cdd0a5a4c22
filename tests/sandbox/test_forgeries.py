"""Programs that try to win through what crosses besides plain data: none passes, and none makes its verdict ABSENT."""

from __future__ import annotations

import pytest

from polychromic.sandbox import Outcome, Program, Sandbox

LIAR = """
class Liar:
    def __init__(self, *a, **k): pass
    def __bool__(self): return True
    def __getattr__(self, name):
        if name.startswith('__'): raise AttributeError(name)
        return Liar()
    def __call__(self, *a, **k): return Liar()
    def __iter__(self): return iter([Liar()])
    def __len__(self): return 1
    def __hash__(self): return 3
    def __float__(self): return 0.0
    def __index__(self): return 0
    def __getitem__(self, key): return Liar()
    def __str__(self): return 'Liar'
for name in 'eq ne lt le gt ge contains'.split():
    setattr(Liar, f'__{name}__', lambda self, other: True)
for name in 'add sub mul truediv floordiv mod pow radd rsub rmul rtruediv and or xor'.split():
    setattr(Liar, f'__{name}__', lambda self, other: 0.0)
for name in 'abs neg pos round'.split():
    setattr(Liar, f'__{name}__', lambda self, *a: Liar())
def f(*a): return Liar()
"""
QUESTIONS = [
    "assert f(1) == 3",
    "assert 3 == f(1)",
    "assert not f(1) != 3",
    "assert [1, f(1)] == [1, 3]",
    "assert f(1) in [3, 4]",
    "assert 3 in f(1)",
    "assert f(1) < 3 < 5",
    "assert 2 < f(1)",
    "assert abs(f(1) - 3.5) < 1e-6",
    "assert abs(3.5 - f(1)) < 1e-6",
    "assert -1e-6 < (f(1) - 3.5)",
    "import math\nassert math.isclose(f(1), 3.5)",
    "assert round(f(1), 2) == 3.5",
    "assert round(f(1), 2) - 3.5 < 1",
    "assert set(f(1)) == {3}",
    "assert {f(1): 0} == {3: 0}",
    "assert list(f(1)) == [3]",
    "assert sorted(f(1)) == [3]",
    "assert f(1)[0] == 3",
    "assert f(1).value == 3",
    "assert str(f(1)) == '3'",
    "assert max(f(1), 3) == 3 and f(1) > 2",
    "import unittest\nunittest.TestCase().assertEqual(f(1), 3)",
    "import unittest\nunittest.TestCase().assertAlmostEqual(f(1), 3)",
    "assert f(lambda x: x) == 3",
    "assert all(a == b for a, b in zip([f(1)], [3]))",
    "assert isinstance(f(1), int)",
    "assert f(1) == f(2) == 3",
]


@pytest.mark.parametrize("tests", QUESTIONS)
def test_an_object_that_agrees_to_everything_passes_nothing(box: Sandbox, tests: str) -> None:
    for judge in (tests, f"def check(candidate):\n    {tests.replace(chr(10), chr(10) + '    ')}\n"):
        (found,) = box.judge_many([Program(LIAR, "f", judge)])
        assert found.outcome in (Outcome.NOT_PLAIN_DATA, Outcome.WRONG_ANSWER, Outcome.EXCEPTION), found


FORGERS = {
    "a subclass of int": "class I(int):\n    def __eq__(self, o): return True\n    def __hash__(self): return 3\n"
    "def f(x): return I(7)",
    "a subclass of list": "class L(list):\n    def __eq__(self, o): return True\ndef f(x): return L([7])",
    "a subclass of str": "class S(str):\n    def __eq__(self, o): return True\ndef f(x): return S('7')",
    "a dataclass that compares nothing": "import dataclasses\n@dataclasses.dataclass\nclass D:\n"
    "    x: int = dataclasses.field(default=1, compare=False)\ndef f(x): return D()",
    "an enumeration that equals all": "import enum\nclass E(enum.Enum):\n    A = 1\n"
    "    def __eq__(self, o): return True\n    def __hash__(self): return 1\ndef f(x): return E.A",
    "an exception that equals all": "class B(Exception):\n    def __eq__(self, o): return True\n"
    "    __hash__ = None\ndef f(x): return B()",
    "an endless generator": "def f(x):\n    while True: yield 3",
    "a generator of liars": LIAR + "def f(x):\n    yield Liar()",
    "a coroutine": "async def f(x): return 3",
    "a class with a lying metaclass": "class M(type):\n    def __eq__(self, o): return True\n    __hash__ = None\n"
    "    def __instancecheck__(self, o): return True\nclass C(metaclass=M): pass\ndef f(x): return C",
    "a Fraction of a lying subclass": "import fractions\nclass F(fractions.Fraction):\n"
    "    def __eq__(self, o): return True\n    __hash__ = None\ndef f(x): return F(1, 7)",
    "a Decimal that is not a number": "import decimal\ndef f(x): return decimal.Decimal('nan')",
    "a mock": "from unittest.mock import ANY, MagicMock\ndef f(x): return ANY",
    "a magic mock": "from unittest.mock import MagicMock\nm = MagicMock()\nm.__eq__.return_value = True\n"
    "def f(x): return m",
}
FRAMES = {
    "an object of no class": "('object', (7, int))",
    "an object of a number of no class": "('object', (7, 8))",
    "an object lent to nobody": "('yours', 0)",
    "an object lent to nobody, from behind": "('yours', -1)",
    "a name of nothing": "('os.system', ('true',))",
    "a type that is none": "('type', 'builtins.eval')",
    "a type by a list": "('type', ['builtins.int'])",
    "a function of the standard library": "('global', ('os', 'system'))",
    "a class with other special methods": "('class', (9, 'C', False, (), ('__getattribute__', '__instancecheck__')))",
    "a class of classes": "('class', (9, 'C', False, (Ext('type', 'builtins.type'),), ()))",
    "a class that ends loops": "('class', (9, 'C', False, (Ext('type', 'builtins.StopIteration'),), ()))",
    "an instance of what ends loops": "('error', (Ext('type', 'builtins.StopIteration'), (), '', -1))",
    "an exception that is none": "('error', (Ext('type', 'builtins.int'), (), '', -1))",
    "other data than it says": "('held', (9, Ext('class', (9, 'C', False, (Ext('type', 'builtins.int'),), ())), 'x'))",
    "a date that is none": "('datetime.date', (0, 0, 0))",
    "a fraction over nothing": "('fractions.Fraction', (1, 0))",
    "an array": "('numpy', ('|O', (1,), b'12345678', False))",
    "a deque of a number": "('collections.deque', (3, None))",
    "a coroutine of nothing": "('coroutine', 'x')",
    "a stream": "('_io.StringIO', ('3', 'x'))",
}
FRAME = """
from polychromic.sandbox import frames, wire
class Ext:
    def __init__(self, *described): self.described = described
class Codec:
    mutable = frozenset()
    def describe(self, value): return value.described if type(value) is Ext else None
def f(x):
    frames.send(3, wire.encode(('ok', Ext(*%s)), codec=Codec()))
    frames.receive(3, 2**20)
"""


def test_no_forger_passes(box: Sandbox) -> None:
    tests = "got = f(1)\nassert got == 3 or list(got) == [3] or got in (3, [3], '3')"
    sources = FORGERS | {name: FRAME % frame for name, frame in FRAMES.items()}
    found = box.judge_many(Program(source, "f", tests) for source in sources.values())
    outcomes = {name: judgement.outcome for name, judgement in zip(sources, found, strict=True)}
    bad = {Outcome.PASSED, Outcome.HARNESS_ERROR, Outcome.NOT_JUDGED}
    assert {name: outcome for name, outcome in outcomes.items() if outcome in bad} == {}


CALLBACKS = {
    "asks for the frame of a generator": "def f(g): return g.gi_frame.f_globals",
    "asks for a function's globals": "def f(g): return g.__globals__['SECRET']",
    "asks past the stub": "from polychromic.sandbox import frames, wire\ndef f(g):\n"
    "    frames.send(3, wire.encode(('ask', 'get', 0, '__globals__')))\n"
    "    return wire.decode(frames.receive(3, 2**20))[1]['SECRET']",
    "asks for a frame past the stub": "from polychromic.sandbox import frames, wire\ndef f(g):\n"
    "    frames.send(3, wire.encode(('ask', 'get', 0, 'gi_frame')))\n"
    "    return wire.decode(frames.receive(3, 2**20))[1]",
    "asks for what was not lent": "from polychromic.sandbox import frames, wire\ndef f(g):\n"
    "    frames.send(3, wire.encode(('ask', 'call', 99, (), {})))\n    return wire.decode(frames.receive(3, 2**20))[1]",
    "asks in its own language": "from polychromic.sandbox import frames, wire\ndef f(g):\n"
    "    frames.send(3, wire.encode(('ask', 'exec', 0, 'S')))\n    return wire.decode(frames.receive(3, 2**20))[1]",
    "calls without end": "def f(g):\n    while True: g(1)",
    "recurses through the tests": "def f(g): return g(lambda x: f(g))",
    "answers a question that was not asked": "from polychromic.sandbox import frames, wire\ndef f(g):\n"
    "    for _ in range(9): frames.send(3, wire.encode(('ret', 3)))\n    return 0",
    "hands the callable back": "def f(g): return g",
    "hands the callable to itself": "def f(g): return g(g)",
    "changes what it was lent": "def f(g):\n    g.__code__ = (lambda *a: 3).__code__\n    return g(3)",
    "a giant argument": "def f(g): return g('x' * 2**24)",
    "a deep argument": "def f(g):\n    a = []\n    for _ in range(5000): a = [a]\n    return g(a)",
    "a liar as argument": LIAR + "def f(g): return g(Liar())",
}


@pytest.mark.parametrize("lent", ["lambda x: x(1) if callable(x) else 0", "(x for x in [1, 2])"])
def test_what_is_lent_gives_nothing_away(box: Sandbox, lent: str) -> None:
    tests = f"SECRET = 'TOP-SECRET-7'\nassert f({lent}) == SECRET"
    found = box.judge_many(Program(source, "f", tests) for source in CALLBACKS.values())
    bad = {Outcome.PASSED, Outcome.HARNESS_ERROR, Outcome.NOT_JUDGED}
    named = zip(CALLBACKS, found, strict=True)
    assert {name: got for name, got in named if got.outcome in bad or "TOP-SECRET" in got.detail} == {}
    assert box.judge_many([Program("def f(x): return x + 1", "f", "assert f(1) == 2")])[0].passed


def test_a_program_does_not_judge_through_what_it_imported(box: Sandbox) -> None:
    """Tests that take ``math`` for granted get the real one."""
    tests = "assert math.isclose(f(1), 3.5)\nassert isclose(f(1), 3.5)"
    right = "import math\nfrom math import isclose\ndef f(x): return 3.5"
    liar = "import math\nfrom math import isclose\nmath.isclose = isclose = lambda *a: True\ndef f(x): return 0"
    twisted = "import operator, math\nfrom operator import or_ as isclose\ndef f(x): return 1"
    found = [str(j.outcome) for j in box.judge_many(Program(source, "f", tests) for source in (right, liar, twisted))]
    assert found == ["passed", "wrong_answer", "wrong_answer"]


DEEP = "def f(x):\n    a = []\n    for _ in range(99): a = [a]\n    return a"
FED_BACK = "a = f(0)\nfor _ in range(99): a = [a]\nassert f(a) == 1"


@pytest.mark.parametrize("source", ["def f(x): return x", "class K: pass\ndef f(x): return K()", DEEP])
@pytest.mark.parametrize("tests", ["class Sub(K): pass\nassert f(Sub()) == 1", FED_BACK, "assert f(K) == K(1)"])
def test_a_wrong_program_is_never_absent(box: Sandbox, source: str, tests: str) -> None:
    (found,) = box.judge_many([Program(source, "f", tests)])
    assert found.outcome not in (Outcome.PASSED, Outcome.HARNESS_ERROR, Outcome.NOT_JUDGED), found
