from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import polychromic

ROOT = Path(polychromic.__path__[0]).parent
QUIET = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "WANDB_MODE": "disabled"}


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
    ]


@pytest.fixture(scope="session")
def environment():
    """The environment a verb runs in: this checkout, offline, one thread."""
    return os.environ | QUIET | {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def says(environment):
    """Runs a verb to its end, as a person would."""

    def run(*arguments):
        command = [sys.executable, "-m", "polychromic", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=400)

    return run


@pytest.fixture(scope="session")
def begin(environment):
    """Starts a verb as a terminal would: Ctrl-C reaches it, also where the tests run in a shell's background.

    Such a shell ignores SIGINT, and programs inherit what is ignored.
    """

    def start(*arguments):
        command = [sys.executable, "-m", "polychromic", *map(str, arguments)]
        pipe = subprocess.PIPE
        heard = signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=environment)
        finally:
            signal.signal(signal.SIGINT, heard)

    return start
