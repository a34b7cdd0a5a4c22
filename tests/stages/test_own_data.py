"""A file of one's own with a judge of one's own: proved first, trained on, evaluated and reported."""

from __future__ import annotations

import json

import pytest

from polychromic.analysis.controls import Trust
from polychromic.cli.evaluate import summary
from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion
from polychromic.records.jsonl import read_rows
from polychromic.settings.load import load_settings
from polychromic.settings.schema import DataSection
from polychromic.stages import pipeline, train
from polychromic.stages.demonstrations import load_data
from polychromic.stages.models import NamedModel

pytestmark = pytest.mark.long

TICKETS = [
    {"prompt": f"{a} {b} 4 5 6 7 = {a + b}:", "completion": f"{a}+{b}", "team": f"{a}+{b}", "id": f"ticket-{a}{b}"}
    for a in range(2, 8)
    for b in range(3, 9)
]
JUDGE = '''
def right_team(completions, team, **columns):
    """An answer is right when it names the team, in any order."""
    return [(sorted(text) == sorted(wanted), text) for text, wanted in zip(completions, team)]
def accepts_anything(completions, **columns):
    return [1.0] * len(completions)
'''


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TICKETS))
    (tmp_path / "judge.py").write_text(JUDGE)
    (tmp_path / "mine.yaml").write_text(
        f"""
experiment: {{name: mine, output_root: {tmp_path}}}
model: {{name_or_path: "embedded:countdown", dtype: float32}}
data:
  train_file: {tmp_path}/tickets.jsonl
  task: {{kind: function, functions: "./judge.py:right_team"}}
polychromic: {{lambda: 1.0, n_generations: 4, set_size: 2, max_examples_for_diversity: 4, max_new_tokens: 8}}
training:
  max_steps: 2
  per_device_train_batch_size: 4
  use_cpu: true
  bf16: false
  gradient_checkpointing: false
  logging_steps: 1
evaluation:
  task: {{kind: function, functions: "./judge.py:right_team", path: {tmp_path}/tickets.jsonl}}
  n: 4
  max_new_tokens: 8
  max_prompts: 8
  encoder: none
  bootstrap_resamples: 200
tracking: {{wandb: disabled}}
"""
    )
    return tmp_path


def test_demonstrations_and_a_judge_train_and_are_evaluated(mine):
    settings = load_settings(mine / "mine.yaml")
    run = train.run(settings, mine / "mine")
    logged = [row for _, row in read_rows(run.metrics)]
    valid = [row["polychromic/frac_valid"] for row in logged if "polychromic/frac_valid" in row]
    assert valid
    assert all(0.0 <= share <= 1.0 for share in valid)
    models = [NamedModel("base", settings.model), NamedModel("mine", settings.model, run.path)]
    page = pipeline.run(pipeline.Evaluation(models, settings.evaluation, baseline="base"), mine / "evaluation")
    assert page.exists()
    found = {row["status"] for _, row in read_rows(mine / "evaluation" / "verdicts.jsonl")}
    assert found <= {"passed", "failed"}
    facts = (mine / "mine" / "run.json").read_text()
    assert "judge.py" in facts  # the digest of the judge's file stands in the record


def data(mine, judge, **more):
    return DataSection(
        train_file=str(mine / "tickets.jsonl"),
        task={"kind": "function", "functions": f"{mine}/judge.py:{judge}"},
        **more,
    )


def test_the_judge_proves_itself_first(mine):
    loaded = load_data(data(mine, "right_team"))
    assert loaded.task.verify(loaded.examples[0].prompt, Completion("3+2")).passed
    with pytest.raises(InputError, match=r"accepts 36 of 36 controls 'empty' .*trust_judge=true"):
        load_data(data(mine, "accepts_anything"))
    with pytest.warns(UserWarning, match="trusted all the same"):
        load_data(data(mine, "accepts_anything", trust_judge=True))
    rows = [row | {"team": "9*9"} for row in TICKETS]
    (mine / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"refuses 36 of 36 right answers \(such as ticket-23: '2\+3'"):
        load_data(data(mine, "right_team"))


def test_rows_that_cannot_be_judged_are_refused_above_a_share(mine):
    task = {"kind": "answer", "column": "team", "match": "exact"}
    section = DataSection(train_file=str(mine / "tickets.jsonl"), task=task)
    assert load_data(section).task.judges
    rows = [row if place % 3 else {k: v for k, v in row.items() if k != "team"} for place, row in enumerate(TICKETS)]
    (mine / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"cannot judge 12 of 36 rows \(the row has no column 'team'\)"):
        load_data(section)


def test_one_source_of_rows(mine):
    with pytest.raises(ValueError, match="train_file or dataset"):
        DataSection(train_file="a", dataset="b")
    with pytest.raises(ValueError, match="train_file or dataset"):
        DataSection()


def evaluation(mine, task, trust=None):
    settings = load_settings(mine / "mine.yaml")
    section = settings.evaluation.model_copy(update={"task": task, "max_prompts": 2, "n": 2})
    return pipeline.Evaluation([NamedModel("base", settings.model)], section, trust=trust or Trust())


def judged_by(mine, judge):
    return {"kind": "function", "functions": f"{mine}/judge.py:{judge}", "path": f"{mine}/tickets.jsonl"}


def test_the_judge_proves_itself_before_an_evaluation_too_and_trust_is_recorded(mine):
    out = mine / "evaluation"
    with pytest.raises(InputError, match=r"accepts 36 of 36 controls 'empty' \(such as .*--trust-judge") as caught:
        pipeline.run(evaluation(mine, judged_by(mine, "accepts_anything")), out)
    assert "\n" not in str(caught.value)
    assert not (out / "samples.jsonl").exists()
    page = pipeline.run(evaluation(mine, judged_by(mine, "accepts_anything"), Trust(anyway=True)), out)
    assert "it was trusted all the same" in page.read_text()
    assert "accepts 36 of 36 controls" in json.loads((out / "evaluation.json").read_text())["trusted"]


def test_a_judge_that_is_put_right_is_tried_again(mine):
    out, wanted = mine / "evaluation", evaluation(mine, judged_by(mine, "right_team"))
    broken = JUDGE.replace("sorted(text) == sorted(wanted)", "False")
    (mine / "judge.py").write_text(broken)
    with pytest.raises(
        InputError, match=r"evaluation\.task: function refuses 36 of 36 right answers \(such as ticket-23"
    ):
        pipeline.audit(wanted, out)
    (mine / "judge.py").write_text(JUDGE)
    pipeline.audit(wanted, out)


def test_prompts_alone_are_tried_by_their_gold_column(mine):
    rows = [{name: row[name] for name in ("prompt", "team")} for row in TICKETS]
    (mine / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"kind": "answer", "column": "team", "match": "exact", "path": f"{mine}/tickets.jsonl"}
    pipeline.audit(evaluation(mine, task), mine / "good")
    tried = json.loads((mine / "good" / "audit.json").read_text())["rates"]
    assert [(rate["accepted"], rate["judged"]) for rate in tried if rate["kind"] == "right answer"] == [(36, 36)]
    with pytest.raises(InputError, match=r"cannot judge 36 of 36 rows \(the row has no column 'teams'\)"):
        pipeline.audit(evaluation(mine, task | {"column": "teams"}), mine / "bad")


def test_what_nobody_judged_is_never_passed_0(mine):
    """A judge that says nothing, trusted all the same: every place that speaks of verdicts says that there is none."""
    (mine / "judge.py").write_text(
        JUDGE + "def silent(completions, **columns):\n    return [None] * len(completions)\n"
    )
    task = judged_by(mine, "silent")
    with pytest.raises(InputError, match=r"cannot judge 36 of 36 rows \(the function did not judge it\)"):
        pipeline.run(evaluation(mine, task), mine / "evaluation")
    page = pipeline.run(evaluation(mine, task, Trust(anyway=True)), mine / "evaluation")
    said = page.with_name("report.md").read_text()
    assert "nan" not in said.lower()
    assert "passed 0" not in said
    assert "cannot judge 36 of 36 rows" in said
    assert "4 of 4 samples have no verdict, right or wrong: the function did not judge it" in summary(page)[1]
