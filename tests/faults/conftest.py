"""A short real run of the train stage on the embedded base."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def settings_of(tmp_path_factory):
    """Settings of a run named ``name``, all under one folder."""
    root = tmp_path_factory.mktemp("runs")

    def make(name="run", weight=1.0, **training):
        from polychromic.settings.load import settings_from

        return settings_from(
            {
                "experiment": {"name": name, "output_root": str(root), "seed": 3},
                "model": {"name_or_path": "embedded:countdown", "dtype": "float32"},
                "data": {"task": {"kind": "countdown", "train_size": 32}},
                "lora": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.1},
                "polychromic": {
                    "lambda": weight,
                    "n_generations": 4,
                    "set_size": 2,
                    "max_examples_for_diversity": 2,
                    "max_new_tokens": 12,
                    "schedule": {"monitor_every": 2},
                },
                "training": {
                    "max_steps": 6,
                    "per_device_train_batch_size": 2,
                    "gradient_accumulation_steps": 2,
                    "learning_rate": 1e-3,
                    "logging_steps": 1,
                    "save_steps": 2,
                    "use_cpu": True,
                    "bf16": False,
                    "gradient_checkpointing": False,
                }
                | training,
                "tracking": {"wandb": "disabled"},
            }
        )

    return make
