"""The samples themselves, prompt by prompt, grouped by answer and cut to a size a page can carry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polychromic.core.nouns import Prompt
from polychromic.records.evaluation import Folder, opened
from polychromic.records.verdicts import verdict_keys

BUDGET = 1_500_000  # bytes of JSON in the page
LIMITS = ((1200, 64), (600, 32), (300, 16), (160, 8), (80, 4))  # characters a text, different texts a cell
MOST_PROMPTS = 400


@dataclass(slots=True)
class _Group:
    text: str
    status: str
    answer: str | None
    finished: bool
    count: int = 0


def load(folder: Folder, models: Sequence[str]) -> dict[str, Any] | None:
    """What the page's drill-down shows: prompts, and for each model and temperature the grouped samples.

    Prompts with the largest spread of right answers between models come first and are kept first when not all fit.
    None if the folder has no samples.
    """
    folder = opened(folder)
    sets, verdicts = folder.sets(), folder.judged()
    if not sets:
        return None
    prompts: dict[str, str] = {}
    cells: dict[str, dict[tuple[int, float], dict[tuple[str, str, bool], _Group]]] = {}
    for stored in sets:
        if stored.model not in models:
            continue
        prompt = stored.samples.prompt
        prompts.setdefault(prompt.id, _flat(prompt))
        place = (models.index(stored.model), stored.temperature)
        cell = cells.setdefault(prompt.id, {}).setdefault(place, {})
        for key, completion in zip(verdict_keys(stored), stored.samples.completions, strict=True):
            verdict = verdicts.get(key)
            status, answer = (verdict.status.value, verdict.answer) if verdict else ("", None)
            fresh = _Group(completion.text, status, answer, completion.finished)
            cell.setdefault((completion.text, status, completion.finished), fresh).count += 1
    temperatures = sorted({key[1] for cell in cells.values() for key in cell})
    order = sorted(prompts, key=lambda prompt: (-_spread(cells[prompt]), prompt))
    return _fitted(prompts, cells, order, temperatures) | {"judged": bool(verdicts)}


def _flat(prompt: Prompt) -> str:
    if isinstance(prompt.content, str):
        return prompt.content
    return "\n".join(f"{turn.role}: {turn.content}" for turn in prompt.content)


def _right(groups: Iterable[_Group]) -> int:
    return len(
        {group.answer if group.answer is not None else group.text for group in groups if group.status == "passed"}
    )


def _spread(cell: Mapping[tuple[int, float], Mapping[Any, _Group]]) -> int:
    found = [_right(groups.values()) for groups in cell.values()]
    return max(found) - min(found)


def _fitted(
    prompts: Mapping[str, str], cells: Mapping[str, Any], order: Sequence[str], temperatures: Sequence[float]
) -> dict[str, Any]:
    kept = list(order[:MOST_PROMPTS])
    for length, variety in LIMITS:
        data = [_entry(prompt, prompts[prompt], cells[prompt], temperatures, (length, variety)) for prompt in kept]
        sizes = [len(json.dumps(entry)) for entry in data]
        if sum(sizes) <= BUDGET:
            break
    while data and sum(sizes) > BUDGET:
        data.pop()
        sizes.pop()
    return {"temperatures": list(temperatures), "prompts": data, "all": len(prompts)}


def _entry(
    prompt: str,
    text: str,
    cell: Mapping[tuple[int, float], Any],
    temperatures: Sequence[float],
    limits: tuple[int, int],
) -> dict[str, Any]:
    length, variety = limits
    sets = []
    for (model, temperature), groups in sorted(cell.items()):
        answers: dict[str, int] = {}
        ordered = sorted(groups.values(), key=lambda group: (group.status != "passed", -group.count, group.text))
        listed = []
        for group in ordered:
            named = group.answer if group.answer is not None else group.text
            place = answers.setdefault(named, len(answers))
            listed.append([_cut(group.text, length), group.count, group.status, place, int(group.finished)])
        hidden = [[entry[1], entry[2], entry[3]] for entry in listed[variety:]]
        sets.append([model, temperatures.index(temperature), listed[:variety], hidden])
    return {"id": prompt, "prompt": _cut(text, 4 * length), "sets": sets}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
