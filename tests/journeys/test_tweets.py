"""Short replies to tweets: the shipped configuration runs from its YAML alone, and fills every row of the verdict."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from polychromic.analysis.controls import content_text
from polychromic.analysis.record import read_comparison
from polychromic.records.conversations import refuse
from polychromic.settings.load import load_settings
from polychromic.stages import pipeline, train
from polychromic.stages.data import examine
from polychromic.stages.models import NamedModel
from polychromic.stages.rows import read_demonstrations
from tests.journeys.taught import teach

ROOT = Path(__file__).parents[2]
SMALL = [
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


@pytest.fixture
def base(tmp_path, tiny_model_factory):
    """A base that has read replies like these, and so is right at times."""
    shipped = load_settings(ROOT / "config/own/tweets.yaml")
    held_out = [json.loads(line) for line in (ROOT / "config/own/held-out.jsonl").read_text().splitlines()]
    pairs = [(row["prompt"], row["gold"]) for row in held_out]
    for example in read_demonstrations(shipped.data, refuse).examples:
        pairs.append((content_text(example.prompt), example.demonstration))
    return teach(tmp_path / "base", pairs, tiny_model_factory)


def test_the_configuration_for_tweets_fills_every_row_of_the_matrix(at_the_root, base, tmp_path):
    assert len(examine(ROOT / "config/own/tweets.yaml").forms) == 4
    changes = [*SMALL, f"model.name_or_path={base}", f"experiment.output_root={tmp_path}"]
    changes.append("evaluation.task.encoder=hashing")
    diverse = load_settings(ROOT / "config/own/tweets.yaml", changes)
    plain = load_settings(ROOT / "config/own/tweets.yaml", [*changes, "polychromic.lambda=0", "experiment.name=sft"])
    models = [NamedModel(one.experiment.name, one.model, train.run(one).path) for one in (plain, diverse)]
    page = pipeline.run(pipeline.Evaluation(models, diverse.evaluation, baseline="sft"), tmp_path / "evaluation")
    (verdict,) = read_comparison(page.with_name("comparison.json")).verdicts
    assert len(verdict.matrix) == 6
    assert all(math.isfinite(line.gain) for line in verdict.matrix)
    tried = json.loads(page.with_name("audit.json").read_text())["rates"]
    assert [(one["accepted"], one["judged"]) for one in tried if one["kind"] == "right answer"] == [(10, 10)]
