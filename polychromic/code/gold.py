"""Whether a benchmark's own right programs pass its tests here; where one does not, its verdicts would mean nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from polychromic.code.benchmarks import Reading
from polychromic.code.extraction import Extraction
from polychromic.code.problems import Problem
from polychromic.code.verifier import Judging, verify_completions
from polychromic.core.errors import InputError


class GoldCheck(NamedTuple):
    """How many gold programs were judged, which failed and why, and how many problems have none to be judged.

    Problems whose gold program fails are left out of every result; tests without a gold program are trusted.
    """

    checked: int
    failed: dict[str, str]
    without: int

    def facts(self, reading: Reading) -> dict[str, Any]:
        """The same for a results file, with the rows of the benchmark's file that are no problems."""
        return {"gold": self._asdict(), "bad_rows": reading.bad, "bad_places": list(reading.places)}


def check_golds(problems: Sequence[Problem], judging: Judging) -> GoldCheck:
    """The self-check of ``problems``, made before anything is judged.

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
    return GoldCheck(len(solved), failed, len(problems) - len(solved))
