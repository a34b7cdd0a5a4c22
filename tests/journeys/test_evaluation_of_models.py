"""From run folders to a report, offline, on the embedded base: continued, extended, refused."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import time
from pathlib import Path

import pytest

from polychromic.analysis.cost import Prices
from polychromic.analysis.record import read_comparison
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.records.jsonl import read_json
from polychromic.records.samples import read_sets
from polychromic.settings.schema import EvaluationSection, ModelSection
from polychromic.settings.thresholds import DEFAULT_MATRIX, MatrixRow, Thresholds
from polychromic.stages import pipeline
from polychromic.stages.models import NamedModel, bases_of, named_model, parse_models, with_bases

TASK = {"kind": "countdown", "test_size": 12}
SMALL = EvaluationSection(task=TASK, n=4, max_new_tokens=12, encoder="hashing", bootstrap_resamples=100)
TWO = "sft=embedded:countdown,other=embedded:countdown"


def evaluation(models=TWO, seed=0, **changes):
    return pipeline.Evaluation(parse_models(models), SMALL.model_copy(update=changes), seed)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation") / "e"
    return pipeline.run(evaluation(), folder)


@pytest.fixture
def copied(done, tmp_path):
    return Path(shutil.copytree(done.parent, tmp_path / "e"))


def state(folder):
    """Every result in the folder; a lock's file only says which process held it last."""
    files = (path for path in Path(folder).glob("*.*") if path.name != "evaluation.json" and path.suffix != ".lock")
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.quick
def test_everything_is_there_and_a_second_call_changes_nothing(done):
    names = {path.name for path in done.parent.iterdir()}
    wanted = {"samples.jsonl", "verdicts.jsonl", "measurements.jsonl", "comparison.json", "report.html", "report.md"}
    assert wanted <= names
    sets = read_sets(done.parent / "samples.jsonl")
    assert {(item.model, len(item.samples.completions)) for item in sets} == {("sft", 4), ("other", 4)}
    assert len(sets) == 24
    before = state(done.parent)
    assert pipeline.run(evaluation(), done.parent) == done
    assert state(done.parent) == before


def test_more_samples_and_temperatures_extend_what_is_there(copied):
    old = (copied / "samples.jsonl").read_text()
    pipeline.run(evaluation(n=6, temperatures=(1.0, 0.7)), copied)
    assert (copied / "samples.jsonl").read_text().startswith(old)
    sets = read_sets(copied / "samples.jsonl")
    assert {(item.model, item.temperature, len(item.samples.completions)) for item in sets} == {
        (model, temperature, 6) for model in ("sft", "other") for temperature in (1.0, 0.7)
    }
    assert len((copied / "verdicts.jsonl").read_text().splitlines()) == 12 * 6 * 4


@pytest.mark.filterwarnings("ignore:.*(the last row was cut off by a crash|are made anew)")
def test_a_sampler_that_is_killed_midway_continues_with_the_missing_samples(copied):
    whole = (copied / "samples.jsonl").read_bytes()
    cut = whole[: len(whole) // 3]
    (copied / "samples.jsonl").write_bytes(cut)
    pipeline.run(evaluation(), copied)
    found = (copied / "samples.jsonl").read_bytes()
    assert found.startswith(cut[: cut.rfind(b"\n") + 1])
    rows = [json.loads(line) for line in found.splitlines()]
    assert len(rows) == 96
    assert len({(row["model"], row["prompt_id"], row["sample_index"]) for row in rows}) == 96


RESULTS = ("samples.jsonl", "verdicts.jsonl", "measurements.jsonl", "comparison.json")


def without_cost(page):
    """The page's text but for the section on cost, which holds the seconds of the run."""
    text, found = re.subn(r'<section id="cost">.*?</section>', "", page.read_text(), flags=re.DOTALL)
    assert found == 1
    return text


def written(path):
    return path.exists() and path.stat().st_size > 0


def test_killed_in_every_stage_it_ends_with_the_identical_report(begin, says, tmp_path):
    """SIGKILL while it samples, judges, measures, compares and writes the report; then the same command to its end."""
    names, task = ("--models", TWO), ("--task", json.dumps(TASK))
    sizes = ("--n", "6", "--temperatures", "0.8,1.0", "--max-new-tokens", "12", "--batch-size", "12")
    command = ("evaluate", *names, *task, *sizes, "--encoder", "hashing", "--out")
    whole, out = tmp_path / "whole", tmp_path / "killed"
    assert says(*command, whole).returncode == 0
    for name in (*RESULTS, "report.html"):
        process = begin(*command, out)
        deadline = time.monotonic() + 120
        while not written(out / name) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
        process.communicate()
        assert written(out / name)
    done = says(*command, out, "--json")
    assert done.returncode == 0, done.stderr
    for name in RESULTS:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    assert without_cost(out / "report.html") == without_cost(whole / "report.html")
    tokens = [[row["tokens"] for row in read_json(folder / "cost.json")["models"]] for folder in (whole, out)]
    assert tokens[0] == tokens[1]
    assert json.loads(done.stdout)["forecast"]["missing"] == 0


def test_the_account_says_what_a_passing_answer_came_to(done):
    account = read_json(done.parent / "cost.json")
    rows = [json.loads(line) for line in (done.parent / "samples.jsonl").read_text().splitlines()]
    judged = [json.loads(line) for line in (done.parent / "verdicts.jsonl").read_text().splitlines()]
    for row in account["models"]:
        model = row["model"]
        assert row["tokens"] == sum(len(one["token_ids"]) for one in rows if one["model"] == model)
        assert row["passed"] == sum(one["status"] == "passed" for one in judged if one["model"] == model)
        if row["passed"]:
            assert row["device_seconds_per_pass"] == pytest.approx(row["device_seconds"] / row["passed"])
        else:
            assert row["device_seconds_per_pass"] is None
            assert row["reason"] == "none of 48 judged samples passed"
    assert [row["multiplier"] for row in account["models"] if row["model"] == "sft"] == [1.0]
    assert [row["stage"] for row in account["stages"]] == ["load", "sample", "verify", "measure", "compare"]


def test_a_price_given_later_is_put_into_the_report(copied):
    page = pipeline.run(dataclasses.replace(evaluation(), prices=Prices(per_hour=3.6)), copied)
    row = read_json(copied / "cost.json")["models"][0]
    assert row["dollars"] == pytest.approx(row["device_seconds"] / 1000)
    assert "<th>dollars a pass</th>" in page.read_text()
    pipeline.run(evaluation(), copied)
    assert read_json(copied / "cost.json")["price_per_hour"] == 3.6


def test_thresholds_are_those_of_the_configuration(copied):
    own = Thresholds(matrix=(MatrixRow(metric="semantic", moderate=0.2), *DEFAULT_MATRIX[-1:]), significance=0.01)
    pipeline.run(evaluation(thresholds=own), copied)
    found = read_comparison(copied / "comparison.json")
    assert found.settings.thresholds == own
    assert [line.title for line in found.verdicts[0].matrix] == ["semantic diversity", "pass@1"]


def test_several_bases_are_evaluated_one_after_another_and_each_is_its_models_own(tmp_path, monkeypatch):
    """The second base is a copy; both are loaded once, never together, and their samples are those of either alone."""
    from polychromic.policy import load
    from polychromic.tasks.countdown import base_path

    copy, loaded, real = shutil.copytree(base_path(), tmp_path / "copy"), [], load.load_base
    monkeypatch.setattr(load, "load_base", lambda section, *more: loaded.append(section) or real(section, *more))
    models = parse_models(f"one=embedded:countdown,two={copy},three=embedded:countdown")
    page = pipeline.run(pipeline.Evaluation(models, SMALL), tmp_path / "e")
    assert [section.name_or_path for section in loaded] == [str(base_path()), str(copy)]
    assert read_json(tmp_path / "e" / "evaluation.json")["pins"]["base"] == ["embedded:countdown", str(copy)]
    (tmp_path / "alone").mkdir()
    pipeline.run(pipeline.Evaluation(parse_models(f"two={copy}"), SMALL), tmp_path / "alone")
    texts = [{(s.samples.prompt.id): s.samples.texts for s in read_sets(folder / "samples.jsonl") if s.model == "two"}
             for folder in (page.parent, tmp_path / "alone")]  # fmt: skip
    assert texts[0] == texts[1]


def test_an_untrained_base_is_added_for_every_adapter():
    one, two = ModelSection(name_or_path="embedded:countdown"), ModelSection(name_or_path="org/Other")
    sft, other = NamedModel("sft", one, Path("runs/sft")), NamedModel("other", two, Path("runs/other"))
    assert [model.name for model in with_bases([sft])] == ["base", "sft"]
    both = with_bases([sft, other])
    assert [model.name for model in both] == ["base countdown", "base Other", "sft", "other"]
    assert bases_of(both) == {"sft": "base countdown", "other": "base Other"}
    named = [NamedModel("raw", one), sft]
    assert with_bases(named) == named
    assert bases_of(named) == {"sft": "raw"}
    assert with_bases([NamedModel("raw", one)]) == [NamedModel("raw", one)]
    with pytest.raises(InputError, match="'base' is what the untrained base is called"):
        with_bases([NamedModel("base", one, Path("runs/sft"))])


def test_another_evaluation_in_the_folder_is_refused_in_one_line(done, tmp_path):
    with pytest.raises(InputError, match=r"holds an evaluation of other settings \(seed\); choose another --out"):
        pipeline.run(evaluation(seed=1), done.parent)
    with pytest.raises(InputError, match=r"other settings \(max_new_tokens\)"):
        pipeline.run(evaluation(max_new_tokens=5), done.parent)
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InputError, match="holds no evaluation of ours"):
        pipeline.run(evaluation(), tmp_path)
    with pytest.raises(InputError, match="--task: is missing"):
        pipeline.run(evaluation(task=None), tmp_path / "new")
    with pytest.raises(MissingResourceError, match="encoder: there is no folder"):
        pipeline.run(evaluation(encoder="/nowhere/at/all"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ("", "names no model"),
        ("sft", "expected name=RUN_FOLDER or name=MODEL"),
        ("a=embedded:countdown,a=embedded:countdown", "the name 'a' is given twice"),
        ("a=runs/of/nobody", "there is no folder runs/of/nobody; train it first"),
        ("a=embedded:countdwn", r"no such embedded base; did you mean embedded:countdown\?"),
    ],
)
def test_models_that_are_not_to_be_had_are_named(models, expected, tmp_path):
    with pytest.raises(InputError, match=expected):
        pipeline.run(pipeline.Evaluation(parse_models(models), SMALL), tmp_path / "e")
    assert not (tmp_path / "e" / "samples.jsonl").exists()


def test_a_folder_without_a_finished_run_is_said_to_be_one(tmp_path):
    with pytest.raises(MissingResourceError, match="holds neither a finished run nor a model"):
        named_model("a", str(tmp_path))
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(MissingResourceError, match="has no adapter yet; finish it"):
        named_model("a", str(tmp_path))


def test_prompts_without_a_checker_are_measured_for_diversity_alone(tmp_path):
    data = tmp_path / "prompts.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"{n} 3 5 7 8 9 = 42:"}) + "\n" for n in range(1, 7)))
    own = evaluation(task={"kind": "conversations", "path": str(data)})
    page = pipeline.run(own, tmp_path / "e")
    assert not (page.parent / "verdicts.jsonl").exists()
    signatures = {row["signature"] for row in json.loads((page.parent / "comparison.json").read_text())["scores"]}
    assert any(name.startswith("distinct|") for name in signatures)
    assert not any(name.startswith("pass_at_k") for name in signatures)
