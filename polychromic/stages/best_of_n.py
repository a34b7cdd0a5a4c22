"""samples.jsonl (and verdicts.jsonl) -> best_of_n.json: whether drawing N candidates pays. Needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polychromic.analysis.resampling import Plan
from polychromic.code.best_of_n import advice, choice, differing_temperature, ground
from polychromic.code.candidates import Candidates
from polychromic.code.nouns import BestOfN, BestOfNResult, Claim, read_result
from polychromic.code.verifier import Judging
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.protocols import Progress, no_progress
from polychromic.records.evaluation import EvaluationFolder
from polychromic.records.jsonl import write_json
from polychromic.records.rows import read_noun
from polychromic.records.samples import StoredSet, group_sets
from polychromic.records.verdicts import verdicts_of
from polychromic.settings.catalog import build, kinds, split

Scorers = Sequence[str | dict[str, Any]]


def run(
    folder: str | Path,
    ns: Sequence[int],
    scorers: Scorers = (),
    task: Any = None,
    progress: Progress = no_progress,
) -> Path:
    """The path of ``best_of_n.json``: one entry for each model, temperature and N, with every scorer's choices.

    Without ``scorers`` all of them are tried; without a ``task`` of programs those that read programs say so.

    Raises:
        MissingResourceError: the folder has no samples.
        InputError: an N is below 1.
    """
    folder = Path(folder)
    if not (folder / "samples.jsonl").exists():
        raise MissingResourceError(f"{folder / 'samples.jsonl'}: there are no samples")
    if not ns or min(ns) < 1:
        raise InputError("N: give one or more numbers from 1, such as 2,4,8")
    groups = _candidates(folder, task)
    named = [(_name(entry), build("scorers", entry)) for entry in scorers or kinds("scorers")]
    plan = Plan(resamples=2000, confidence=1 - 0.05 / len(named))  # the best of several scorers is looked for
    cells = [(key, n) for key in groups for n in ns]
    grounds = {cell: ground(groups[cell[0]], cell[1]) for cell in cells}
    entries = []
    for done, (key, n) in enumerate(cells, start=1):
        base = grounds[key, n]
        choices = (
            [choice(groups[key], name, scorer, n, plan) for name, scorer in named] if base.prompts and n > 1 else []
        )
        shares = {t: grounds[(m, t), n].all_identical for m, t in groups if m == key[0]}
        differs = differing_temperature(shares)
        entries.append(
            BestOfN(**vars(base), choices=tuple(choices), differs_at=differs, advice=advice(base, choices, differs))
        )
        progress("best-of-n", done, len(cells))
    write_json(folder / "best_of_n.json", BestOfNResult(tuple(entries)))
    return folder / "best_of_n.json"


def task_of(folder: str | Path) -> Any:
    """The entry of the code task that the folder's samples were judged by, as far as the folder tells; else None."""
    experiment = Path(folder) / "experiment.json"
    if experiment.exists():
        found = read_noun(experiment, Claim)
        kind, options = split(found.task)
        return {"kind": kind, **options, "strategy": found.strategy, "post_processing": found.post_processing}
    return read_result(folder).task if (Path(folder) / "code.json").exists() else None


def _candidates(folder: Path, task: Any) -> dict[tuple[str, float], list[Candidates]]:
    """The candidates of each model and temperature, with their verdicts and, for programs, their problems."""
    held = EvaluationFolder(folder)
    verdicts = held.judged()
    problems = {problem.id: problem for problem in getattr(task, "problems", ())}
    judging = getattr(task, "judging", Judging())

    def one(stored: StoredSet) -> Candidates:
        problem = problems.get(stored.samples.prompt.id)
        return Candidates(stored.samples, verdicts_of(stored, verdicts), problem, judging)

    return {key: [one(item) for item in sets] for key, sets in group_sets(held.sets()).items()}


def _name(entry: str | dict[str, Any]) -> str:
    if isinstance(entry, str):
        return entry
    options = ", ".join(f"{key}={value}" for key, value in entry.items() if key != "kind")
    return f"{entry.get('kind')}({options})" if options else str(entry.get("kind"))
