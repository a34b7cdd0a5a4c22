"""The numbers a run logs: an open dictionary, each number with the rule that reduces it over steps and ranks.

A plain number is averaged; ``Sum``, ``Max`` and ``Last`` mark numbers that are reduced in another way. Names that TRL
has are TRL's; ours begin with ``polychromic/``. ``docs/logged-numbers.md`` lists them all with unit and meaning.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

Numbers = dict[str, list[float]]
"""What was observed since the last log, by name."""
Gather = Callable[[Any], Sequence[Any]]


class Sum(float):
    """A number that is added up over steps and ranks, such as tokens."""


class Max(float):
    """A number of which the largest counts."""


class Last(float):
    """A number of which the newest counts, as the last rank that has one sees it."""


RULES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "float": lambda values: sum(values) / len(values),
    "Sum": sum,
    "Max": max,
    "Last": lambda values: values[-1],
}


class LoggedMetrics:
    """The numbers since the last log; NaN and infinities do not count."""

    def __init__(self) -> None:
        self._numbers: Numbers = {}
        self._rules: dict[str, str] = {}

    def update(self, values: Mapping[str, float]) -> None:
        """Takes one number for each name.

        Raises:
            ValueError: a name comes with another rule than before.
        """
        for name, value in values.items():
            rule = type(value).__name__ if isinstance(value, Sum | Max | Last) else "float"
            if self._rules.setdefault(name, rule) != rule:
                raise ValueError(f"{name}: reduced as {self._rules[name]} until now, as {rule} this time")
            if math.isfinite(value):
                self._numbers.setdefault(name, []).append(float(value))

    def state_dict(self) -> dict[str, Any]:
        """The numbers since the last log and their rules, as JSON says them."""
        return {"numbers": self._numbers, "rules": self._rules}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state_dict`` gave."""
        self._numbers = {name: list(values) for name, values in state["numbers"].items()}
        self._rules = dict(state["rules"])

    def take(self, gather: Gather = lambda own: [own]) -> dict[str, float]:
        """The reduced numbers of all ranks, which ``gather`` brings together; starts anew.

        A name without a number on any rank is left out.
        """
        own, self._numbers = self._numbers, {}
        together: Numbers = {}
        for numbers, rules in gather([own, self._rules]):
            self._rules |= rules
            for name, values in numbers.items():
                together.setdefault(name, []).extend(values)
        return {name: float(RULES[self._rules[name]](values)) for name, values in together.items()}


def gather_over_ranks(accelerator: Any) -> Gather:
    """Brings every rank's JSON value to all of them, in the ranks' order."""

    def gather(own: Any) -> list[Any]:
        if accelerator.num_processes == 1:
            return [own]
        text = torch.tensor([list(json.dumps(own).encode())], dtype=torch.uint8, device=accelerator.device)
        rows = accelerator.gather(accelerator.pad_across_processes(text, dim=1)).tolist()
        return [json.loads(bytes(row).rstrip(b"\0")) for row in rows]

    return gather


def mean_over_ranks(accelerator: Any, values: Sequence[float]) -> list[float]:
    """Each value's mean over the ranks that have one; NaN counts as none."""
    if accelerator.num_processes == 1:
        return list(values)
    table = torch.tensor([[value if math.isfinite(value) else 0.0, float(math.isfinite(value))] for value in values])
    total = accelerator.reduce(table.to(accelerator.device), "sum").tolist()
    return [s / n if n else math.nan for s, n in total]
