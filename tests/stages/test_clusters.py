"""Right texts of like meaning are one answer, whichever of them was there first."""

from __future__ import annotations

import pytest

from polychromic.core.errors import UnsoundObjectiveError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.records.jsonl import AppendLog
from polychromic.records.samples import sample_rows, store
from polychromic.records.verdicts import read_verdict_rows
from polychromic.settings.catalog import build
from polychromic.settings.load import settings_from
from polychromic.stages import train, verify

ALIKE = ("the cat sat on the mat", "The cat  sat on the mat", "the cat sat on the mat today")
OTHER = "a completely different sentence about trains"


@pytest.fixture
def task(tmp_path):
    judge = tmp_path / "judge.py"
    judge.write_text("def fine(completions, **columns):\n    return ['bad' not in text for text in completions]\n")
    options = {"distinct_by": "cluster", "encoder": "hashing", "cluster_distance": 0.4}
    return build("tasks", {"kind": "function", "functions": f"{judge}:fine", **options})


def drawn(folder, *texts, start=0):
    found = SampleSet(Prompt("p", "say"), tuple(map(Completion, texts)), Decoding(), "model")
    with AppendLog(folder / "samples.jsonl") as log:
        log.append(row for stored in store([found], "", 0, start) for row in sample_rows(stored))


def answers(folder, task):
    verify.run(folder, task)
    found = read_verdict_rows(folder / "verdicts.jsonl")
    return [found[key].answer for key in sorted(found)]


def test_right_texts_that_are_alike_are_one_answer(task, tmp_path):
    drawn(tmp_path, ALIKE[2], OTHER, "bad " + ALIKE[0], ALIKE[0], ALIKE[1])
    alike = ALIKE[2].casefold()
    assert answers(tmp_path, task) == [alike, OTHER, None, alike, alike]


def test_more_samples_join_the_clusters_that_are_there(task, tmp_path):
    drawn(tmp_path, ALIKE[0], OTHER)
    before = answers(tmp_path, task)
    size = (tmp_path / "verdicts.jsonl").stat().st_size
    assert answers(tmp_path, task) == before  # nothing new is written
    assert (tmp_path / "verdicts.jsonl").stat().st_size == size
    drawn(tmp_path, ALIKE[2], start=2)
    assert answers(tmp_path, task) == [*before, before[0]]


def test_a_reward_that_counts_texts_is_refused(task, tmp_path):
    values = {
        "experiment": {"name": "x"},
        "model": {"name_or_path": "m"},
        "data": {"train_file": "a", "task": {"kind": "answer", "distinct_by": "cluster"}},
        "polychromic": {"lambda": 1.0},
    }
    with pytest.raises(UnsoundObjectiveError, match=r"counts clusters of them .* take reward: \{kind: clusters"):
        train.refuse_early(settings_from(values))
    values["polychromic"]["reward"] = {"kind": "clusters"}
    train.refuse_early(settings_from(values))
