from __future__ import annotations

import os
from pathlib import Path

import pytest

import polychromic
from tests import processes

ROOT = Path(polychromic.__path__[0]).parent


@pytest.fixture(scope="session")
def tiny():
    """Overrides that make the demo's configurations take seconds."""
    return [
        "training.max_steps=4",
        "training.per_device_train_batch_size=4",
        "training.gradient_accumulation_steps=1",
        "training.save_steps=2",
        "training.logging_steps=1",
        "data.max_examples=64",
        "lora.r=4",
        "polychromic.n_generations=4",
        "polychromic.max_examples_for_diversity=2",
        "polychromic.set_size=2",
        "evaluation.max_prompts=12",
        "evaluation.n=4",
        "evaluation.temperatures=[1.0]",
        "evaluation.max_new_tokens=12",
        "evaluation.encoder=hashing",
        "evaluation.bootstrap_resamples=100",
        "data.task.train_size=64",
    ]


@pytest.fixture(scope="session")
def environment():
    """The environment a verb runs in: this checkout, and what all tests have, offline and one thread."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def says(environment):
    """Runs a verb to its end, as a person would."""

    def run(*arguments):
        return processes.run("-m", "polychromic", *arguments, environment=environment)

    return run


@pytest.fixture(scope="session")
def begin(environment):
    """Starts a verb as a terminal would."""

    def start(*arguments):
        return processes.Program("-m", "polychromic", *arguments, environment=environment)

    return start
