"""Short replies to tweets: the shipped configuration runs from its YAML alone, and fills every row of the verdict."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from polychromic.analysis.record import read_comparison
from polychromic.settings.load import load_settings
from polychromic.stages import pipeline, train
from polychromic.stages.data import examine
from polychromic.stages.models import NamedModel

ROOT = Path(__file__).parents[2]
SMALL = [
    "model.name_or_path=embedded:countdown",
    "model.chat_template_kwargs={}",
    "training.max_steps=2",
    "training.num_train_epochs=1",
    "training.per_device_train_batch_size=4",
    "training.use_cpu=true",
    "training.bf16=false",
    "training.gradient_checkpointing=false",
    "polychromic.max_new_tokens=24",
    "polychromic.n_generations=4",
    "evaluation.encoder=hashing",
    "evaluation.n=10",
    "evaluation.max_new_tokens=24",
    "evaluation.bootstrap_resamples=200",
    "tracking.wandb=disabled",
]


@pytest.fixture
def at_the_root():
    """The configuration names its files from the folder in which it lies in the repository."""
    before = Path.cwd()
    os.chdir(ROOT)
    yield
    os.chdir(before)


@pytest.mark.filterwarnings("ignore:.*diversity term had no effect")
def test_the_configuration_for_tweets_fills_every_row_of_the_matrix(at_the_root, tmp_path):
    assert len(examine(ROOT / "config/own/tweets.yaml").forms) == 4
    changes = [*SMALL, f"experiment.output_root={tmp_path}", "evaluation.task.encoder=hashing"]
    diverse = load_settings(ROOT / "config/own/tweets.yaml", changes)
    plain = load_settings(ROOT / "config/own/tweets.yaml", [*changes, "polychromic.lambda=0", "experiment.name=sft"])
    models = [NamedModel(one.experiment.name, one.model, train.run(one).path) for one in (plain, diverse)]
    page = pipeline.run(pipeline.Evaluation(models, diverse.evaluation, baseline="sft"), tmp_path / "evaluation")
    comparison = read_comparison(page.with_name("comparison.json"))
    lines = [line for verdict in comparison.verdicts for line in verdict.matrix]
    assert len(lines) >= 6
    assert "not measured" not in json.dumps([str(line) for line in lines])
    tried = json.loads(page.with_name("audit.json").read_text())["rates"]
    assert [(one["accepted"], one["judged"]) for one in tried if one["kind"] == "right answer"] == [(10, 10)]
