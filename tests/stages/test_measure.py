"""From rows to measurements: our own folders and anyone's generations."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from polychromic.cli import commands
from polychromic.core.errors import InputError, MissingResourceError, RecordError
from polychromic.core.nouns import Completion, Decoding, Example, Prompt, SampleSet, Status, Verdict
from polychromic.records.jsonl import read_rows, write_rows
from polychromic.records.measurements import read_measurements, read_record
from polychromic.records.samples import StoredSet, read_sets, sample_rows
from polychromic.records.verdicts import verdict_keys, verdict_row
from polychromic.stages import measure

ROWS = [
    {"task_id": "a", "completion": "x y z", "passed": True, "answer": "x", "score": 2},
    {"task_id": "a", "completion": "x y", "passed": False, "answer": "y", "score": 1},
    {"task_id": "b", "completion": "p q r", "passed": True, "answer": "p", "score": 1},
    {"task_id": "b", "completion": "p q s", "passed": True, "answer": "s", "score": 3},
]


def write(path: Path, rows: list) -> Path:
    write_rows(path, rows)
    return path


def values(path: Path, *kinds: object) -> dict[str, measure.Score]:
    sets, verdicts = measure.read_any(path)
    metrics = measure.pinned_metrics(sets, bool(verdicts), measure.Measuring(kinds or None))
    return {score.signature: score for score in measure.scores(measure.measure(sets, verdicts, metrics))}


def test_foreign_rows_one_sample_each(tmp_path: Path) -> None:
    got = values(write(tmp_path / "f.jsonl", ROWS))
    assert got["pass_at_k|k:1"].score == 0.75
    assert got["pass_at_k|k:2"].score == 1.0
    assert got["distinct_correct|k:2"].score == 1.5
    assert got["length|unit:words"].score == 11 / 4
    assert got["semantic|k:2|encoder:none|scope:prompt"].reason == "there is no encoder"
    assert got["best_of_k|k:2|scorer:score"].score == 1
    assert "best_of_k|k:2|scorer:mean_logprob" not in got


def test_a_score_that_is_not_a_number_leaves_no_pick(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text(
        '{"prompt_id": 0, "text": ["a", "b"], "score": [NaN, 1.0], "passed": [true, false]}\n'
    )
    got = values(tmp_path / "f.jsonl")["best_of_k|k:2|scorer:score"]
    assert (got.prompts, got.reason) == (0, "1 of 2 samples have no score")


def test_foreign_lists_are_the_same_as_rows(tmp_path: Path) -> None:
    lists = [
        {"prompt_id": name, "text": [row["completion"] for row in rows]}
        | {key: [row[key] for row in rows] for key in ("passed", "answer", "score")}
        for name, rows in (("a", ROWS[:2]), ("b", ROWS[2:]))
    ]
    one, two = values(write(tmp_path / "f.jsonl", ROWS)), values(write(tmp_path / "f2.jsonl", lists))
    assert {key: score.score for key, score in one.items() if score.prompts} == {
        key: score.score for key, score in two.items() if score.prompts
    }


def test_texts_alone_are_enough(tmp_path: Path) -> None:
    got = values(write(tmp_path / "f.jsonl", [{"prompt_id": 1, "text": text} for text in ("a b", "a c")]))
    assert not any(key.startswith("pass") for key in got)
    assert got["distinct|n:1|tok:words|k:2|scope:prompt"].score == 0.75


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"text": "x"}], "1: the row has neither a prompt_id nor a task_id"),
        ([{"prompt_id": "a"}], "1: the row has neither a text nor a completion"),
        ([{"prompt_id": "a", "text": []}], "1: text is an empty list"),
        ([{"prompt_id": "a", "text": ["x", 3]}], "1: text is an empty list or holds something that is not text"),
        ([{"prompt_id": "a", "text": ["x", "y"], "passed": [True]}], "1: passed must be a list of 2"),
        ([{"prompt_id": "a", "text": "x", "passed": "yes"}], "1: passed is neither true nor false"),
        ([{"prompt_id": "a", "text": "x", "score": "high"}], "1: score is not a number"),
        ([{"prompt_id": "a", "text": "x", "sample_index": 0}] * 2, "2: sample 0 of prompt 'a' is given twice"),
        ([{"prompt_id": "a", "text": ["x"]}] * 2, "2: prompt 'a' has its list of samples already on line 1"),
        ([{"prompt_id": "a", "text": ["x"]}, {"prompt_id": "a", "text": "y"}], "2: prompt 'a' has its list"),
        (
            [{"prompt_id": "a", "text": "x", "temperature": t} for t in (0.5, 1)],
            "2: a second temperature (1 after 0.5); measure one temperature at a time",
        ),
        ([], ": is empty"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: list, reason: str) -> None:
    with pytest.raises(RecordError) as error:
        measure.read_any(write(tmp_path / "f.jsonl", rows))
    assert reason in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "f.jsonl"))
    assert "\n" not in str(error.value)


def test_nan_scores_and_missing_verdicts_give_reasons(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(
        '{"prompt_id": "a", "text": "x", "passed": true, "score": NaN}\n'
        '{"prompt_id": "a", "text": "y", "passed": null, "score": 1}\n'
        '{"prompt_id": "b", "text": "y", "passed": true, "score": null}\n'
        '{"prompt_id": "b", "text": "z", "passed": true, "score": 2}\n'
    )
    got = values(path, {"kind": "best_of_k", "scorer": "score"}, "pass_at_k", "distinct_correct")
    assert got["best_of_k|k:2|scorer:score"].missing == 2
    assert got["pass_at_k|k:1"].missing == 1
    assert got["pass_at_k|k:1"].reason == "1 of 2 completions were not judged"
    assert math.isnan(got["distinct_correct|k:2"].score)


def test_ragged_sets_keep_the_usual_size(tmp_path: Path) -> None:
    rows = [{"prompt_id": p, "text": f"t{i}", "passed": True, "answer": str(i)} for p in "abc" for i in range(4)]
    got = values(write(tmp_path / "f.jsonl", [*rows, {"prompt_id": "d", "text": "t", "passed": True, "answer": "1"}]))
    assert got["distinct_correct|k:4"].prompts == 3
    assert got["distinct_correct|k:4"].reason == "needs 4 samples, there are 1"


def folder_of(path: Path, models: dict[str, list[str]], temperature: float = 1.0) -> Path:
    sets, verdicts = [], []
    for model, texts in models.items():
        completions = tuple(Completion(text) for text in texts)
        drawn = SampleSet(Prompt("p", "Say."), completions, Decoding(temperature), policy=model)
        stored = StoredSet(drawn, "", 0, tuple(range(len(texts))))
        sets += sample_rows(stored)
        judged = [Verdict(Status.PASSED if text.isupper() else Status.FAILED, "", text) for text in texts]
        verdicts += [verdict_row(key, verdict) for key, verdict in zip(verdict_keys(stored), judged, strict=True)]
    write_rows(path / "samples.jsonl", sets)
    write_rows(path / "verdicts.jsonl", verdicts)
    return path


def test_a_folder_is_measured_once(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"sft": ["A", "b", "A", "c"], "ours": ["A", "B", "C", "d"]})
    calls: list[tuple[str, int, int]] = []
    path = measure.run(folder, progress=lambda *call: calls.append(call))
    assert calls[-1][1] == calls[-1][2]
    rows = {(row.model, row.measurement.signature): row.measurement for row in read_measurements(path)}
    assert rows["sft", "pass_at_k|k:1"].value == 0.5
    assert rows["ours", "distinct_correct|k:4"].value == 3.0
    before = path.stat().st_mtime_ns
    calls.clear()
    assert measure.run(folder, progress=lambda *call: calls.append(call)) == path
    assert (path.stat().st_mtime_ns, calls) == (before, [])
    # other metrics, other samples, other verdicts: measured anew
    measure.run(folder, measure.Measuring(["pass_at_k"]))
    assert {row["signature"] for _, row in read_rows(path)} == {"pass_at_k|k:1"}
    verdicts = [row | {"status": "passed"} for _, row in read_rows(folder / "verdicts.jsonl")]
    write_rows(folder / "verdicts.jsonl", verdicts)
    measure.run(folder, measure.Measuring(["pass_at_k"]))
    assert {row["numerator"] for _, row in read_rows(path)} == {1.0}


def test_completions_are_compared_with_the_demonstrations_of_their_prompt(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"sft": ["A", "b"]})
    prompts = {item.samples.prompt for item in read_sets(folder / "samples.jsonl")}
    shown = [Example(prompt, "A") for prompt in prompts]
    path = measure.run(folder, measure.Measuring(["chrf"], references=shown))
    assert {(row.measurement.value, row.measurement.reason) for row in read_measurements(path)} == {(0.5, "")}
    measure.run(folder, measure.Measuring(["chrf"]))
    assert {row.measurement.reason for row in read_measurements(path)} == {
        "there is no demonstration of this prompt to compare with"
    }


def test_models_share_what_is_pinned(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"short": ["a b c d e"] * 4, "long": ["a b c d e f g h i j k"] * 4})
    measure.run(folder, measure.Measuring(["rarefied_distinct", "compression"]))
    signatures = {row.measurement.signature for row in read_measurements(folder / "measurements.jsonl")}
    assert len(signatures) == 2
    assert "rarefied_distinct|n:2|tok:words|k:4|m:16|scope:prompt" in signatures


def test_foreign_files_become_a_folder(tmp_path: Path) -> None:
    files = {"one": write(tmp_path / "1.jsonl", ROWS), "two": write(tmp_path / "2.jsonl", ROWS[:2])}
    path = measure.run(measure.adopt(files, tmp_path / "both"))
    assert {(row.model, row.measurement.prompt_id) for row in read_measurements(path)} == {
        ("one", "a"), ("one", "b"), ("two", "a"),
    }  # fmt: skip
    native = measure.read_any(tmp_path / "both" / "samples.jsonl")
    assert [stored.model for stored in native[0]] == ["one", "one", "two"]
    assert len(native[1]) == 6
    named = write(tmp_path / "3.jsonl", [row | {"model": "m"} for row in ROWS])
    with pytest.raises(InputError, match="'m', which another file holds too"):
        measure.adopt({"x": named, "y": named}, tmp_path / "no")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(MissingResourceError, match="there are no samples; draw some"):
        measure.run(tmp_path)
    with pytest.raises(MissingResourceError, match="there is no such file"):
        measure.read_any(tmp_path / "no.jsonl")
    with pytest.raises(MissingResourceError, match="there is no folder"):
        measure.open_embedder(str(tmp_path / "no"))
    assert measure.open_embedder("none") is None


@pytest.mark.parametrize("judged", [False, True])
@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_default_metrics_are_all_buildable(n: int, judged: bool) -> None:
    metrics = measure.pinned_metrics([stored(n)], judged, measure.Measuring())
    signatures = [metric.signature for metric in metrics]
    assert len(set(signatures)) == len(signatures)
    assert ("pass_at_k|k:1" in signatures) == judged
    assert (f"distinct_correct|k:{n}" in signatures) == judged
    assert f"semantic|k:{n}|encoder:none|scope:prompt" in signatures


def stored(n: int) -> StoredSet:
    return StoredSet(SampleSet(Prompt("p", "Say."), (Completion("a"),) * n, Decoding()), "", 0, tuple(range(n)))


def test_what_the_metrics_mean_is_kept_beside_the_numbers(tmp_path: Path) -> None:
    path = measure.run(folder_of(tmp_path, {"sft": ["A", "b"]}), measure.Measuring(["jaccard", "pass_at_k"]))
    facts = read_record(path).facts
    assert list(facts) == ["jaccard|n:2|tok:words|k:2|scope:prompt", "pass_at_k|k:1"]
    assert [(each.title, each.role, each.direction) for each in facts.values()] == [
        ("lexical distance (orders 1 to 2)", "diversity", 1),
        ("pass@1", "quality", 1),
    ]


def test_the_verb(tmp_path: Path) -> None:
    file = write(tmp_path / "gen.jsonl", ROWS)
    runner = CliRunner()
    shown = runner.invoke(commands, ["measure", str(file), "--encoder", "hashing"])
    assert shown.exit_code == 0, shown.output
    assert "gen at temperature 1" in shown.output
    asked = [
        "measure",
        str(file),
        "--encoder",
        "none",
        "--json",
        "--metric",
        "pass_at_k",
        "--metric",
        "{kind: semantic}",
    ]
    rows = json.loads(runner.invoke(commands, asked).stdout)["metrics"]
    assert [row["signature"] for row in rows] == ["pass_at_k|k:1", "semantic|k:2|encoder:none|scope:prompt"]
    assert rows[0]["score"] == 0.75
    assert rows[1]["score"] is None
    assert rows[1]["reason"]
    folder = folder_of(tmp_path / "run", {"sft": ["A", "b"]})
    result = json.loads(runner.invoke(commands, ["measure", str(folder), "--encoder", "hashing", "--json"]).stdout)
    assert Path(result["measurements"]).exists()
    assert list((folder / "embeddings" / "hashing-256").glob("*.npy"))
