"""Negative controls: answers that a checker must refuse, made from right ones, and what it means when it does not."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from polychromic.core.nouns import Completion, Prompt, Status, Verdict
from polychromic.core.seeds import child_seed
from polychromic.core.thoughts import split_thought

GOLD = "right answer"
EMPTY, ECHO = "empty", "prompt echo"
SHUFFLED, TRUNCATED, OTHER = "shuffled words", "first half", "another prompt's answer"
T = TypeVar("T")
EXAMPLES = 3  # accepted controls shown, so that a person can judge the checker


@dataclass(frozen=True, slots=True)
class Control:
    """A text for a prompt, and what kind of control it is."""

    kind: str
    prompt: Prompt
    text: str

    @property
    def completion(self) -> Completion:
        """The text as a finished completion."""
        return Completion(self.text)


@dataclass(frozen=True, slots=True)
class Rate:
    """How many controls of a kind the checker accepted; ``absent`` ones had no verdict and are not among ``judged``.

    ``examples`` are the first wrongly accepted ones (of right answers: refused), ``reason`` is why the first had no
    verdict.
    """

    kind: str
    accepted: int
    judged: int
    absent: int
    examples: tuple[tuple[str, str], ...] = ()
    reason: str = ""

    @property
    def share(self) -> float:
        """Accepted over judged, NaN without any judged."""
        return self.accepted / self.judged if self.judged else math.nan


@dataclass(frozen=True, slots=True)
class Audit:
    """The content of ``audit.json``: acceptance by kind of control, warnings in sentences, and headroom.

    ``identical`` is the share of prompts whose candidates are all alike, by model and temperature, when samples were
    there.
    """

    task: str
    rates: tuple[Rate, ...]
    warnings: tuple[str, ...]
    identical: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def controls(golds: Sequence[tuple[Prompt, str]], seed: int = 0) -> list[Control]:
    """Every control for right answers ``(prompt, text)``: the answer itself, then five that should fail.

    A control that happens to equal the right answer is left out, and so is a thought before an answer.
    """
    found = []
    answers = [split_thought(text)[1] for _, text in golds]
    others = _others([prompt for prompt, _ in golds], answers)
    for (prompt, _), text, other in zip(golds, answers, others, strict=True):
        made = {
            GOLD: text,
            EMPTY: "",
            ECHO: content_text(prompt),
            SHUFFLED: _shuffled(text, child_seed(seed, "controls", prompt.id)),
            TRUNCATED: text[: len(text) // 2],
            OTHER: other,
        }
        found += [Control(kind, prompt, made[kind]) for kind in made if kind == GOLD or made[kind] != text]
    return found


def spread(rows: Sequence[T], most: int) -> list[T]:
    """At most so many of the rows, evenly spread: the first rows of a sorted file are all of one class."""
    return [rows[place * len(rows) // most] for place in range(most)] if len(rows) > most else list(rows)


def _others(prompts: Sequence[Prompt], answers: Sequence[str]) -> list[str]:
    """For each prompt a right answer of another one; its own where every other would do as well.

    Rows of the same prompt or the same columns have the same right answers. The search begins half the list away.
    """
    rights: dict[str, set[str]] = {}
    for prompt, text in zip(prompts, answers, strict=True):
        rights.setdefault(prompt.id, set()).add(text)
    found, size = [], len(prompts)
    for place, prompt in enumerate(prompts):
        away = ((place + size // 2 + step) % size for step in range(size))
        fit = (
            answers[at]
            for at in away
            if answers[at] not in rights[prompt.id] and not (prompt.payload and prompt.payload == prompts[at].payload)
        )
        found.append(next(fit, answers[place]))
    return found


def content_text(prompt: Prompt) -> str:
    """The prompt as text: its content, or its last message's."""
    return prompt.content if isinstance(prompt.content, str) else prompt.content[-1].content


def _shuffled(text: str, seed: int) -> str:
    words = text.split()
    parts, joint = (words, " ") if len(words) > 2 else (list(text), "")
    generator = random.Random(seed)
    for _ in range(8):
        mixed = parts[:]
        generator.shuffle(mixed)
        if mixed != parts:
            return joint.join(mixed)
    return text


def rates(made: Sequence[Control], verdicts: Sequence[Verdict]) -> list[Rate]:
    """Acceptance by kind of control, in the order of ``controls``, with a few accepted examples."""
    accepted: Counter[str] = Counter()
    absent: Counter[str] = Counter()
    examples: dict[str, list[tuple[str, str]]] = {}
    reasons: dict[str, str] = {}
    for control, verdict in zip(made, verdicts, strict=True):
        accepted[control.kind] += verdict.passed
        if verdict.status is Status.ABSENT:
            absent[control.kind] += 1
            reasons.setdefault(control.kind, verdict.detail)
        wanted = verdict.passed != (control.kind == GOLD) and verdict.status is not Status.ABSENT
        if wanted and len(examples.setdefault(control.kind, [])) < EXAMPLES:
            examples[control.kind].append((control.prompt.id, control.text))
    total = Counter(control.kind for control in made)
    return [
        Rate(
            kind,
            accepted[kind],
            total[kind] - absent[kind],
            absent[kind],
            tuple(examples.get(kind, ())),
            reasons.get(kind, ""),
        )
        for kind in total
    ]


@dataclass(frozen=True, slots=True)
class Trust:
    """How far a judge is believed: ``anyway``, or when its errors on answers known beforehand are at most these shares.

    ``by_chance`` is allowed for another prompt's answer, which may be right (a choice letter, yes or no).
    """

    anyway: bool = False
    refused: float = 0.02
    accepted: float = 0.02
    by_chance: float = 0.7
    absent: float = 0.1
    tried: int = 64


USUAL = Trust()


def faults(found: Sequence[Rate], trust: Trust) -> str:
    """What is wrong with a judge, in one line with the first cases; empty when it can be believed.

    It cannot judge many of the rows, refuses right answers, or accepts an empty one, the prompt's echo or most other
    prompts' answers.
    """
    known, said = {rate.kind: rate for rate in found}, []
    first = known.get(GOLD, next(iter(found), None))
    if first is not None and first.absent > trust.absent * (first.absent + first.judged):
        said.append(f"cannot judge {first.absent} of {first.absent + first.judged} rows ({first.reason})")
    elif first is not None and first.kind == GOLD and first.judged and first.share < 1.0 - trust.refused:
        said.append(f"refuses {first.judged - first.accepted} of {first.judged} right answers{_cases(first)}")
    for kind, bound in ((EMPTY, trust.accepted), (ECHO, trust.accepted), (OTHER, trust.by_chance)):
        if kind in known and known[kind].share > bound:
            rate = known[kind]
            said.append(f"accepts {rate.accepted} of {rate.judged} controls {kind!r}{_cases(rate)}")
    return "; ".join(said)


def _cases(rate: Rate) -> str:
    """The first cases, by prompt and text."""
    shown = ", ".join(f"{name}: {text[:40]!r}" for name, text in rate.examples[:2])
    return f" (such as {shown})" if shown else ""


def warnings(found: Sequence[Rate], k: int, bound: float = 0.02, by_chance: float = 0.1) -> list[str]:
    """A sentence for each kind accepted more often than ``bound`` (or right answers refused), with what it does.

    Shuffled words may be right by chance (8+6+4 is 4+6+8), so they are allowed ``by_chance``.
    """
    said = []
    for rate in found:
        if rate.absent:
            said.append(f"{rate.kind}: {rate.absent} controls had no verdict; a pass@k over them would be missing.")
        if rate.kind == GOLD and rate.share < 1.0 - bound:
            said.append(f"The checker refuses {1 - rate.share:.0%} of the right answers: every score is too low.")
        if rate.kind != GOLD and rate.share > (by_chance if rate.kind == SHUFFLED else bound):
            inflated = 1.0 - (1.0 - rate.share) ** k
            said.append(
                f"The checker accepts {rate.accepted} of {rate.judged} controls of kind {rate.kind!r}"
                f" ({rate.share:.1%}): a model that only wrote such answers would have pass@{k} = {inflated:.2f}."
            )
    return said


def identical_share(texts: Mapping[str, Sequence[str]]) -> float:
    """Share of prompts (id -> candidates) with all candidates alike: there best-of-N cannot help. NaN without any."""
    several = [set(found) for found in texts.values() if len(found) > 1]
    return sum(len(found) == 1 for found in several) / len(several) if several else math.nan
