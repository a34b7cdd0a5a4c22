"""Every rival is a file of ``config/rivals`` away, and trains through the train stage as its formula says."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

import polychromic
from polychromic.objective.rivals import NAMES
from polychromic.records.jsonl import read_rows
from polychromic.reporting.runs import costs
from polychromic.settings.catalog import kinds
from polychromic.settings.load import load_settings
from polychromic.stages import train

CONFIG = Path(polychromic.__path__[0]).parent / "config"
RIVALS = sorted((CONFIG / "rivals").glob("*.yaml"))
SHORT = (
    "training.max_steps=3",
    "training.logging_steps=1",
    "training.warmup_steps=0",
    "polychromic.compute_every_n_steps=1",
    "polychromic.max_examples_for_diversity=4",
    "data.task.train_size=64",
)


def trained(path, root):
    """The run's folder, the adapter's weights after three steps, and the log."""
    folder = train.run(load_settings(path, [*SHORT, f"experiment.output_root={root}"]))
    return folder, load_file(folder.adapter), [row for _, row in read_rows(folder.metrics) if "loss" in row]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """SFT's adapter with the same seed, and that of our own term."""
    root = tmp_path_factory.mktemp("plain")
    return {name: trained(CONFIG / "demo" / f"{name}.yaml", root)[1] for name in ("sft", "online")}


def apart(one, other):
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def test_there_is_a_file_for_every_rival():
    losses = set(kinds("demonstration")) - {"nll"}
    assert {path.stem for path in RIVALS} == losses | {"neftune"} | set(NAMES)


@pytest.mark.parametrize("path", RIVALS, ids=lambda path: path.stem)
def test_a_rival_trains_and_is_neither_sft_nor_ours(path, plain, tmp_path):
    """But for the naive one, which is SFT to the bit: that is what it stands for."""
    folder, weights, log = trained(path, tmp_path)
    samples = load_settings(path).polychromic.diversity_weight > 0
    assert len(log) == 3
    assert all(("polychromic/diversity_value" in row) == samples for row in log)
    assert costs({"x": folder.path}, "x")[0].tokens > 3 * 16 * 10
    assert apart(weights, plain["online"]) > 1e-6
    if path.stem == "naive":
        assert apart(weights, plain["sft"]) == 0.0
    else:
        assert apart(weights, plain["sft"]) > 1e-6
