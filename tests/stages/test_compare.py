"""The compare stage and verb: folders, measurement files, anyone's samples."""

import json

import pytest
from click.testing import CliRunner

from polychromic.cli.compare import command
from polychromic.core.errors import InputError, RecordError
from polychromic.core.facts import MetricFacts, Role
from polychromic.records.rows import to_row
from polychromic.stages import compare


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def measured(path, model, shift, count=40):
    rows = [
        {
            "model": model,
            "temperature": 1.0,
            "prompt_id": f"p{i}",
            "signature": "distinct_correct|k:8",
            "numerator": 1.0 + i % 5 + shift + 0.1 * (i % 3) * shift,
            "denominator": 1.0,
            "reason": "",
        }
        for i in range(count)
    ]
    return write(path, rows)


def generations(path, answers, prompts=30):
    rows = [
        {"task_id": f"t{i}", "completion": [f"x = {(i + j) % answers}" for j in range(4)], "passed": [True] * 4}
        for i in range(prompts)
    ]
    return write(path, rows)


def invoke(*arguments):
    done = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_measurement_files_are_named_by_their_file(tmp_path):
    a, b = measured(tmp_path / "old.jsonl", "m", 0.0), measured(tmp_path / "new.jsonl", "m", 1.0)
    found = json.loads(invoke(a, b, "--json", "--resamples", 500))
    assert found["models"] == ["old", "new"]
    assert found["settings"]["baseline"] == "old"
    assert found["differences"][0]["difference"] == pytest.approx(1.0975)


@pytest.mark.long
def test_foreign_samples_are_measured_and_compared(tmp_path):
    a, b = generations(tmp_path / "narrow.jsonl", 1), generations(tmp_path / "wide.jsonl", 4)
    out = tmp_path / "kept"
    said = invoke(a, b, "--encoder", "none", "--resamples", 500, "--out", out)
    assert "wide has much more diverse texts than narrow" in said
    assert said.rstrip().endswith("report.html")
    assert {path.name for path in out.iterdir()} >= {"samples.jsonl", "measurements.jsonl", "comparison.json"}
    rows = [json.loads(line) for line in (out / "measurements.jsonl").read_text().splitlines()]
    wide = [r["numerator"] for r in rows if r["model"] == "wide" and r["signature"] == "distinct_at_k|k:4|by:text"]
    assert wide == [4.0] * 30


def test_a_verdict_rests_on_the_metric_that_was_asked_for(tmp_path):
    a, b = generations(tmp_path / "narrow.jsonl", 1), generations(tmp_path / "wide.jsonl", 4)
    said = invoke(a, b, "--metric", "jaccard", "--resamples", 500)
    assert "STRONG: wide has much more diverse texts than narrow: lexical distance (orders 1 to 2)" in said


def test_a_metric_means_what_its_file_says(tmp_path):
    """Also one that is not on our shelf, as long as the file comes with its facts."""
    files = {}
    for name, shift in (("old", 0.0), ("new", 5.0)):
        rows = [json.loads(line) for line in measured(tmp_path / "rows.jsonl", name, shift).read_text().splitlines()]
        files[name] = write(tmp_path / f"{name}.jsonl", [row | {"signature": "shouting|k:4"} for row in rows])
    with pytest.raises(
        InputError, match=r"what shouting\|k:4 means is not stored beside it, and unknown metric 'shouting'"
    ):
        compare.run(compare.merge(files, tmp_path / "without"), "old")
    facts = MetricFacts("shouting|k:4", "shouting", "shouts", Role.DIVERSITY, -1, 0, {"k": "4"})
    for path in files.values():
        path.with_suffix(".json").write_text(json.dumps({"metrics": [to_row(facts)]}))
    found = json.loads(compare.run(compare.merge(files, tmp_path / "with"), "old").read_text())
    assert found["verdicts"][0]["level"] == "worse"
    assert found["metrics"]["shouting|k:4"]["title"] == "shouts"
    files["new"].with_suffix(".json").write_text(json.dumps({"metrics": [{"signature": "shouting|k:4"}]}))
    with pytest.raises(RecordError, match=r"new.json: metrics: 0: the row has no 'kind'"):
        compare.merge(files, tmp_path / "with")


def test_equal_stems_are_told_apart(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        measured(tmp_path / name / "run.jsonl", "m", 0.5)
    found = json.loads(invoke(*(tmp_path / name / "run.jsonl" for name in ("one", "two")), "--json"))
    assert found["models"] == ["one/run", "two/run"]


def test_folder(tmp_path):
    compare.merge(
        {"sft": measured(tmp_path / "a.jsonl", "m", 0.0), "x": measured(tmp_path / "b.jsonl", "m", 1.0)}, tmp_path
    )
    assert invoke(tmp_path, "--resamples", 300).rstrip().endswith("comparison.json")
    first = (tmp_path / "comparison.json").read_bytes()
    invoke(tmp_path, "--resamples", 300)
    assert (tmp_path / "comparison.json").read_bytes() == first


@pytest.mark.parametrize("count", [1, 0])
def test_too_few_files(tmp_path, count):
    paths = [str(measured(tmp_path / f"{i}.jsonl", "m", 0.0)) for i in range(count)]
    assert CliRunner().invoke(command, paths).exit_code == 2


def test_one_model_in_two_files_is_refused(tmp_path):
    both = [*map(json.loads, measured(tmp_path / "a.jsonl", "m", 0.0).read_text().splitlines())]
    write(tmp_path / "a.jsonl", [*both, *(row | {"model": "n"} for row in both)])
    write(tmp_path / "b.jsonl", [*both, *(row | {"model": "o"} for row in both)])
    with pytest.raises(InputError, match="'m', which"):
        compare.merge({"a": tmp_path / "a.jsonl", "b": tmp_path / "b.jsonl"}, tmp_path / "out")


def test_likely_baseline():
    assert compare.likely_baseline(["base", "poly", "sft"]) == "sft"
    assert compare.likely_baseline(["base", "poly"]) == compare.likely_baseline(["base", "sft"]) == "base"
    assert compare.likely_baseline(["base", "one", "two"]) == "one"
    assert compare.likely_baseline(["base"]) == "base"
