"""Problems that the package reasoning-gym generates, in some hundred families, each with a checker of its own.

Many of the checkers evaluate what the model wrote (``eval``, sympy's parser). Whatever family's code does so runs in
the sandbox; the verdict is then taken outside, from the score alone.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
import io
import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from types import ModuleType
from typing import Any, ClassVar, Literal

from polychromic.code.verifier import STATUS, Judging, open_sandbox
from polychromic.core.digests import text_digest
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.nouns import Completion, Example, Message, Prompt, Status, Verdict
from polychromic.core.seeds import child_seed
from polychromic.sandbox import Program
from polychromic.settings.content import options
from polychromic.settings.introspection import nearest
from polychromic.tasks._gym_answers import FORMS
from polychromic.tasks._gym_entries import Entry, entries

SPLITS = ("test", "validation", "train")
OPEN, CLOSE = "<answer>", "</answer>"
SYSTEM = f"Think as long as you need to. Then write the answer alone between {OPEN} and {CLOSE}."
WRITTEN = ("possible_answer", "example_answer", "example_correct_answer")
"""Where families keep a right answer when many are right."""
PRELOADED = (
    "reasoning_gym",
    "sympy.assumptions.wrapper",
    "sympy.physics.units",
    "sympy.sets.setexpr",
    "sympy.simplify.simplify",
    "sympy.tensor.tensor",
)
"""What checkers import when they are called, which they cannot do confined."""
_EVALUATING = frozenset({"eval", "exec", "compile", "__import__"})
_SCORER = """
import reasoning_gym.factory

def score(family, config, answer, entry):
    kind, settings = reasoning_gym.factory.DATASETS[family]
    dataset = kind.__new__(kind)
    dataset.config, dataset.seed, dataset.size = settings(**config), 0, 1
    return float(dataset.score_answer(answer, entry))
"""


@dataclass(frozen=True)
class ReasoningGym:
    """Problems of one ``family`` of reasoning-gym with the family's own ``config``, judged by the family's checker.

    Right is an answer with a score of at least ``threshold``. With ``form: chat`` a system message asks for the answer
    between <answer> tags, of which the last count; with ``plain`` the whole completion is the answer. ``words`` put a
    plain question shorter, as a format of the problem's metadata such as ``{letters}:`` (lists are joined by nothing).
    The splits have seeds of their own and share no question. ``cpu_seconds`` bound a checker that runs in the sandbox.
    """

    family: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    train_size: int = 1024
    validation_size: int = 100
    test_size: int = 200
    form: Literal["chat", "plain"] = "chat"
    words: str = ""
    threshold: float = 1.0
    cpu_seconds: float = 10.0

    kind: ClassVar[str] = "reasoning_gym"
    judges: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise InputError(f"reasoning_gym: threshold must lie in (0, 1], not {self.threshold}")
        if min(self.train_size, self.validation_size, self.test_size) < 0:
            raise InputError("reasoning_gym: a split's size cannot be negative")
        dataset = _dataset(self.family, self._config)
        if self.words and self.form != "plain":
            raise InputError("reasoning_gym: words put a plain question; set form: plain")
        if self.words:
            self._asking(dataset[0])

    @property
    def name(self) -> str:
        """The family's."""
        return f"reasoning_gym:{self.family}"

    @property
    def _config(self) -> str:
        return json.dumps(dict(self.config), sort_keys=True)

    def prompts(self, split: str) -> Sequence[Prompt]:
        """The split's different questions, in order; raises InputError where the family cannot make them."""
        return [prompt for prompt, _ in self._problems(split)]

    def examples(self, split: str) -> Sequence[Example]:
        """The split's questions with a right answer.

        Raises:
            InputError: the family writes none.
        """
        found = [
            Example(prompt, self._shown(gold)) for prompt, entry in self._problems(split) if (gold := _gold(entry))
        ]
        if not found:
            raise InputError(f"{self.name}: the family makes no right answers to learn from, only problems")
        return found

    def grounds(self, prompts: Sequence[Prompt]) -> list[Any]:
        """The options, and the package's version."""
        return [[metadata.version("reasoning_gym"), options(self)]] * len(prompts)

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """As ``verify_many``, for one completion."""
        return self.verify_many([prompt], [completion])[0]

    def verify_many(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict for each completion: PASSED with the canonical answer, or why not.

        Raises:
            SandboxError: the checker evaluates answers, and the sandbox cannot be trusted here.
        """
        asked = [self._asked(*pair) for pair in zip(prompts, completions, strict=True)]
        judged = iter(self._judged([one for one in asked if not isinstance(one, Verdict)]))
        return [one if isinstance(one, Verdict) else next(judged) for one in asked]

    def _problems(self, split: str) -> list[tuple[Prompt, Entry]]:
        if split not in SPLITS:
            raise InputError(f"{self.name}: there is no split {split!r}{nearest(split, SPLITS)}")
        earlier = {self._asking(entry) for other in SPLITS[: SPLITS.index(split)] for entry in self._entries(other)}
        fresh: dict[str | tuple[Message, ...], tuple[Prompt, Entry]] = {}
        for index, entry in enumerate(self._entries(split)):
            asked = self._asking(entry)
            if asked not in earlier and asked not in fresh:
                digest = text_digest(self.family, entry["question"])
                fresh[asked] = Prompt(digest, asked, {"split": split, "index": index}), entry
        return list(fresh.values())

    def _entries(self, split: str) -> tuple[Entry, ...]:
        size = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}[split]
        seed = child_seed(self.seed, "reasoning_gym", split) % 2**31
        return entries(self.family, self._config, seed, size)

    def _asking(self, entry: Entry) -> str | tuple[Message, ...]:
        question = entry["question"]
        if self.form != "plain":
            return Message("system", SYSTEM), Message("user", question)
        if not self.words:
            return f"{question.strip()}\nAnswer:\n"
        facts = {name: "".join(map(str, v)) if isinstance(v, list) else v for name, v in entry["metadata"].items()}
        try:
            return self.words.format_map(facts)
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            known = ", ".join(sorted(facts))
            raise InputError(f"reasoning_gym: words: {self.words!r}: {error}; the metadata have {known}") from None

    def _shown(self, answer: str) -> str:
        return answer if self.form == "plain" else f"{OPEN}{answer}{CLOSE}"

    def _asked(self, prompt: Prompt, completion: Completion) -> tuple[str, Entry] | Verdict:
        """The answer and its problem, or the verdict where there is nothing to judge."""
        split, index = prompt.payload.get("split"), prompt.payload.get("index")
        known = self._entries(split) if split in SPLITS else ()
        if not isinstance(index, int) or not 0 <= index < len(known):
            return Verdict(Status.ABSENT, f"is no problem of {self.name} with these options")
        if prompt.content != self._asking(known[index]):
            return Verdict(Status.ABSENT, f"{self.name} with these options has another problem in this place")
        if not completion.finished:
            return Verdict(Status.FAILED, "the answer was cut off")
        answer = completion.text.strip() if self.form == "plain" else _tagged(completion.text)
        return Verdict(Status.FAILED, f"no answer between {OPEN} tags") if answer is None else (answer, known[index])

    def _judged(self, asked: Sequence[tuple[str, Entry]]) -> list[Verdict]:
        scored = self._confined(asked) if _evaluates(self.family) else map(self._scored, asked)
        return [
            self._named(answer, entry) if verdict.passed else verdict
            for (answer, entry), verdict in zip(asked, scored, strict=True)
        ]

    def _scored(self, asked: tuple[str, Entry]) -> Verdict:
        dataset = _dataset(self.family, self._config)
        try:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                score = float(dataset.score_answer(*asked))
        except Exception as error:  # noqa: BLE001 - somebody else's checker on a model's answer
            return Verdict(Status.CRASHED, f"the checker raised {type(error).__name__}")
        return Verdict(Status.PASSED if score >= self.threshold else Status.FAILED, f"score {score:.3g}")

    def _confined(self, asked: Sequence[tuple[str, Entry]]) -> Iterator[Verdict]:
        box = open_sandbox(Judging(cpu_seconds=self.cpu_seconds, memory_mb=2048, modules=PRELOADED))
        for found in box.judge_many(self._program(*one) for one in asked):
            status = STATUS.get(found.outcome, Status.FAILED)
            yield Verdict(status, "" if status is Status.PASSED else f"the checker, confined: {found.outcome}")

    def _program(self, answer: str, entry: Entry) -> Program:
        called = f"candidate({self.family!r}, {dict(self.config)!r}, {answer!r}, {entry!r})"
        return Program(_SCORER, "score", f"def check(candidate):\n    assert {called} >= {self.threshold!r}\n")

    def _named(self, answer: str, entry: Entry) -> Verdict:
        form = FORMS.get(self.family)
        canonical = " ".join(answer.casefold().split()) if form is None else form(answer, entry["metadata"])
        if canonical is None:
            return Verdict(Status.FAILED, "the checker accepts it, but it breaks a rule that the question states")
        return Verdict(Status.PASSED, answer=canonical)


def _gold(entry: Entry) -> str | None:
    """A right answer as text, where the family writes one."""
    if isinstance(entry["answer"], str):
        return entry["answer"]
    found = next((entry["metadata"][name] for name in WRITTEN if name in entry["metadata"]), None)
    return found if found is None or isinstance(found, str) else json.dumps(found)


def _tagged(text: str) -> str | None:
    _, mark, last = text.rpartition(OPEN)
    return last.partition(CLOSE)[0].strip() if mark and CLOSE in last else None


def _library() -> ModuleType:
    try:
        return importlib.import_module("reasoning_gym.factory")
    except ImportError as error:
        raise MissingResourceError(
            f"needs {error.name}: pip install 'polychromic[gym]' && pip install --no-deps reasoning_gym"
        ) from None


@functools.lru_cache(maxsize=64)
def _dataset(family: str, config: str) -> Any:
    """The family with its checker.

    Raises:
        InputError: there is no such family, or it refuses the configuration.
        MissingResourceError: the package is not here.
    """
    known = _library().DATASETS
    if family not in known:
        raise InputError(f"reasoning_gym: family: unknown {family!r}{nearest(family, known)}")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return _library().create_dataset(family, **json.loads(config), seed=0, size=1)
    except (TypeError, ValueError, AssertionError) as error:
        raise InputError(f"reasoning_gym: config of {family}: {str(error).partition(chr(10))[0]}") from None


@functools.cache
def _evaluates(family: str) -> bool:
    """Whether a family's code, and what it imports of the package, can evaluate text: names ``eval``, uses sympy."""
    waiting, seen = [_library().DATASETS[family][0].__module__], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in sys.modules:
            continue
        seen.add(name)
        module = sys.modules[name]
        if _names_evaluation(module):
            return True
        homes = (
            getattr(value, "__module__", None) or getattr(value, "__name__", "") for value in vars(module).values()
        )
        waiting += [home for home in homes if isinstance(home, str) and home.startswith("reasoning_gym.")]
    return False


def _names_evaluation(module: ModuleType) -> bool:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Name) and node.id in _EVALUATING:
            return True
        if isinstance(node, ast.Import) and any(name.name.split(".")[0] == "sympy" for name in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sympy":
            return True
    return False
