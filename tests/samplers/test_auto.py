"""Which engine ``auto`` stands for, and that the stage takes it."""

import importlib.util
from types import SimpleNamespace

import pytest
import torch

from polychromic.core.errors import InputError
from polychromic.core.nouns import Decoding
from polychromic.samplers.auto import Auto
from polychromic.settings.schema import EvaluationSection
from polychromic.stages.engines import engine_of


@pytest.mark.parametrize(
    ("gpu", "installed", "chosen"),
    [(True, True, "vllm"), (True, False, "transformers"), (False, True, "transformers")],
)
def test_vllm_needs_a_gpu_and_to_be_there(monkeypatch, gpu, installed, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace() if installed else None)
    assert Auto().chosen == chosen
    assert engine_of(EvaluationSection(engine="auto")) == chosen
    assert engine_of(EvaluationSection(engine={"kind": "vllm"})) == {"kind": "vllm"}


def test_it_draws_nothing_itself():
    with pytest.raises(InputError, match="draws nothing itself"):
        Auto().sample([], 1, Decoding(), 0)
