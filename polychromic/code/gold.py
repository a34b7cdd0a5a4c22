"""Whether a benchmark's own right programs pass its tests here; where one does not, its verdicts would mean nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polychromic.code.extraction import Extraction
from polychromic.code.nouns import Footing, Gold
from polychromic.code.problems import Problem
from polychromic.code.task import CodeTask
from polychromic.code.verifier import Judging, sandbox_facts, verify_completions
from polychromic.core.errors import InputError


def check_golds(problems: Sequence[Problem], judging: Judging) -> Gold:
    """The self-check of ``problems``, made before anything is judged.

    Problems whose gold program fails are left out of every result; tests without a gold program are trusted.

    Raises:
        InputError: no gold program passes, so the tests, their form or the limits are wrong.
        SandboxError: the sandbox cannot be trusted here.
    """
    solved = [problem for problem in problems if problem.gold.strip()]
    items = [(problem, Extraction(problem.gold, "gold")) for problem in solved]
    failed = {
        solved[place].id: verdict.detail
        for place, verdict in sorted(verify_completions(items, judging))
        if not verdict.passed
    }
    if solved and len(failed) == len(solved):
        name, why = next(iter(failed.items()))
        raise InputError(f"no gold program passes its own tests, so nothing can be judged; the first, {name}: {why}")
    return Gold(len(solved), failed, len(problems) - len(solved))


def footing(task: CodeTask, gold: Gold) -> dict[str, Any]:
    """The fields of a ``Footing``: what results on the task rest on."""
    places = tuple(task.reading.places)
    facts = sandbox_facts(task.judging)
    return vars(Footing(task=task.name, sandbox=facts, gold=gold, bad_rows=task.reading.bad, bad_places=places))
