"""A reward, a gate, a metric and a task, each one file outside the checkout, from training to the report."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from polychromic.cli import commands
from polychromic.core.errors import InputError
from polychromic.records.jsonl import read_json
from polychromic.settings.load import load_settings
from polychromic.stages import pipeline, train
from polychromic.stages.models import parse_models

pytestmark = pytest.mark.long

CONFIG = """\
experiment: {{name: {name}, output_root: "{root}"}}
model: {{name_or_path: "embedded:countdown", dtype: float32}}
data: {{task: "./sums.py:Sums"}}
lora: {{r: 4}}
polychromic:
  lambda: {weight}
  n_generations: 4
  set_size: 2
  max_examples_for_diversity: 4
  max_new_tokens: 6
  reward: "./beginnings.py:Beginnings"
  gate: {{kind: "./lengths.py:Lengths", most: 20}}
training:
  max_steps: 3
  per_device_train_batch_size: 4
  logging_steps: 1
  learning_rate: 1e-2
  bf16: false
  use_cpu: true
  gradient_checkpointing: false
evaluation:
  task: "./sums.py:Sums"
  max_prompts: 12
  n: 4
  max_new_tokens: 6
  encoder: hashing
  bootstrap_resamples: 100
  metrics: [pass_at_k, {{kind: "./starts.py:Starts", characters: 1}}, "./spaces.py:spaces"]
tracking: {{wandb: disabled}}
"""


def says(*arguments):
    done = CliRunner().invoke(commands, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """The four files as ``polychromic new`` writes them, and two configurations beside them."""
    folder = tmp_path_factory.mktemp("mine")
    for what, name in (("reward", "beginnings"), ("gate", "lengths"), ("metric", "starts"), ("task", "sums")):
        says("new", what, name, "--to", folder)
    (folder / "spaces.py").write_text("def spaces(completions):\n    return sum(' ' in text for text in completions)\n")
    for name, weight in (("sft", 0.0), ("wide", 2.0)):
        text = CONFIG.format(name=name, weight=weight, root=folder / "runs")
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_what_new_writes_passes_its_own_test(room):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", room, room],
        capture_output=True,
        text=True,
        cwd=room,
    )
    assert done.returncode == 0, done.stdout
    with pytest.raises(InputError, match=r"sums.py: exists already"):
        says("new", "task", "sums", "--to", room)
    with pytest.raises(InputError, match="is no file name"):
        says("new", "task", "No Name", "--to", room)


def test_kinds_lists_yours_beside_ours(room):
    found = json.loads(says("kinds", "metrics", "--with", f"{room}/starts.py:Starts", "--json"))["shelves"]["metrics"]
    mine = found[f"{room}/starts.py:Starts"]
    assert mine["options"] == {"characters": {"type": "int", "default": "3"}}
    assert mine["says"].startswith("Different first")
    assert found["semantic"]["needs"] == ["encoder"]
    assert "      characters: int = 3" in says("kinds", "metrics", "--with", f"{room}/starts.py:Starts")


def test_from_training_to_the_report_and_a_changed_file_is_noticed(room, tmp_path):
    folders = {name: train.run(load_settings(room / f"{name}.yaml")).path for name in ("sft", "wide")}
    stored = read_json(folders["wide"] / "run.json")["settings"]["files"]
    assert {path.rpartition("/")[2] for path in stored} == {"beginnings.py", "lengths.py", "sums.py"}
    assert all(len(digest) == 64 for digest in stored.values())

    section = load_settings(room / "wide.yaml").evaluation
    models = parse_models(",".join(f"{name}={path}" for name, path in folders.items()))
    out = tmp_path / "evaluation"
    page = pipeline.run(pipeline.Evaluation(models, section), out)
    assert "different first 1 characters" in page.read_text()
    rows = read_json(out / "comparison.json")["differences"]
    assert any(row["metric"] == "starts|characters:1" and row["difference"] is not None for row in rows)
    manifest = read_json(out / "evaluation.json")
    assert list(manifest["metric_files"]) == [str(room / "spaces.py"), str(room / "starts.py")]
    assert any(row["metric"] == "spaces" for row in rows)
    said = says("compare", out, "--metric", "starts")
    assert "sft in diversity of the texts: different first 1 characters" in said, "another metric decided"

    (room / "sums.py").write_text((room / "sums.py").read_text() + "# a changed judge\n")
    with pytest.raises(InputError, match=r"another configuration \(different: files\..*sums\.py\)"):
        train.run(load_settings(room / "wide.yaml"))
    with pytest.warns(UserWarning, match=r"verdicts were made of other samples, other tests or by other code"):
        pipeline.run(pipeline.Evaluation(models, section), out)
