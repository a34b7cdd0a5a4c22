"""An evaluation's folder: its long files are parsed once for all stages, and again only when they have changed."""

from dataclasses import dataclass

import pytest

from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Status, Verdict
from polychromic.records import evaluation
from polychromic.records.evaluation import EvaluationFolder, opened
from polychromic.records.jsonl import AppendLog, write_rows
from polychromic.records.samples import read_sets, sample_rows, store
from polychromic.records.verdicts import read_verdict_rows
from polychromic.stages import compare, measure, report, verify

OUTPUTS = ("verdicts.jsonl", "measurements.jsonl", "comparison.json", "report.md")


@dataclass(frozen=True)
class Parity:
    """Even numbers are right."""

    name: str = "parity"
    judges: bool = True

    def prompts(self, split):
        return [Prompt(f"p{i}", "An even number?") for i in range(12)]

    def examples(self, split):
        return []

    def verify(self, prompt, completion):
        right = int(completion.text) % 2 == 0
        return Verdict(Status.PASSED if right else Status.FAILED, "", completion.text if right else None)


def rows(n, start=0):
    sets = [
        SampleSet(prompt, tuple(Completion(str(i * shift + j)) for j in range(n)), Decoding(), model)
        for model, shift in (("sft", 2), ("new", 3))
        for i, prompt in enumerate(Parity().prompts("test"))
    ]
    return [row for stored in store(sets, "", 0, start) for row in sample_rows(stored)]


@pytest.fixture
def parsed(monkeypatch):
    """Names of the files that were parsed, in order."""
    found = []
    for name, read in (("read_sets", read_sets), ("read_verdict_rows", read_verdict_rows)):
        monkeypatch.setattr(evaluation, name, lambda path, read=read: found.append(path.name) or read(path))
    monkeypatch.setattr("polychromic.reporting.figures.draw", lambda *_: [])
    return found


def evaluate(folder):
    """The stages after sampling, as ``evaluate`` runs them."""
    metrics = [{"kind": "pass_at_k", "k": 1}, {"kind": "distinct", "n": 2}]
    verify.run(folder, Parity())
    measure.run(folder, measure.Measuring(metrics))
    compare.run(folder)
    report.run(folder)


def test_all_stages_together_parse_each_file_once_and_find_the_same(tmp_path, parsed):
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    for place in (shared, alone):
        write_rows(place / "samples.jsonl", rows(4))
    evaluate(EvaluationFolder(shared))
    assert parsed.count("samples.jsonl") == 1
    assert parsed.count("verdicts.jsonl") == 2  # the empty one, and that with all verdicts
    parsed.clear()
    evaluate(alone)
    assert parsed.count("samples.jsonl") > 2
    for name in OUTPUTS:
        texts = [(place / name).read_text().split("## Cost")[0] for place in (shared, alone)]
        assert texts[0] == texts[1], name


def test_what_has_grown_is_parsed_again(tmp_path, parsed):
    folder = opened(tmp_path)
    assert opened(folder) is folder
    assert (folder.sets(), folder.judged()) == ((), {})
    write_rows(folder.samples, rows(2))
    assert folder.sets() is folder.sets()
    with AppendLog(folder.samples) as log:
        log.append(rows(2, start=2))
    assert {stored.indices for stored in folder.sets()} == {(0, 1, 2, 3)}
    assert parsed == ["samples.jsonl"] * 2
