"""What draws a step's samples: which engines training takes, what moves, and what another engine's draws count."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file

from polychromic.core.errors import MissingResourceError, UnsoundObjectiveError
from polychromic.policy.generate import generate
from polychromic.settings.schema import PolychromicSection
from polychromic.training import drawing, term
from polychromic.training.drawing import InProcess, MovedAdapter, build_drawing


def trainer_of(model, ranks=1):
    accelerator = SimpleNamespace(unwrap_model=lambda model: model, num_processes=ranks)
    return SimpleNamespace(model=model, accelerator=accelerator)


@pytest.fixture
def installed(monkeypatch):
    """As where vLLM is installed."""
    monkeypatch.setattr(drawing, "find_spec", lambda name: object())


class Recorder:
    """In the place of an engine: what it was handed, and draws by the model itself."""

    def __init__(self, model, lower=0.0):
        self.model, self.lower, self.adapters, self.folders = model, lower, [], []

    def with_adapter(self, folder):
        folder = Path(folder)
        self.folders.append(folder)
        self.adapters.append(load_file(folder / "adapter_model.safetensors"))
        assert json.loads((folder / "adapter_config.json").read_text())["r"] == 4
        return self

    def draw(self, prompts, request):
        found = generate(self.model, prompts, request)
        return [[replace(one, logprob=one.logprob - self.lower) for one in group] for group in found]


def test_the_adapter_of_now_moves_and_nothing_else(make_trainer):
    trainer = make_trainer(max_steps=2)
    recorder = Recorder(trainer.model)
    trainer.term.drawing = MovedAdapter(recorder)
    trainer.train()
    first, second = recorder.adapters
    assert first.keys() == second.keys()
    assert all("lora_" in name for name in first)
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert recorder.folders[0] != recorder.folders[1]
    assert not any(folder.exists() for folder in recorder.folders)


@pytest.mark.parametrize(("lower", "factor"), [(0.0, 1.0), (math.log(1.5), 1.5), (4.0, 2.0)])
def test_what_was_drawn_elsewhere_is_weighted_at_most_twice(make_trainer, first_gradients, monkeypatch, lower, factor):
    monkeypatch.setattr(term, "LARGEST_GAP", math.inf)
    demonstrations, _ = first_gradients(make_trainer(weight=0.0))
    ours, _ = first_gradients(make_trainer())
    trainer = make_trainer()
    trainer.term.drawing = MovedAdapter(Recorder(trainer.model, lower))
    weighted, _ = first_gradients(trainer)
    moved = 0.0
    for name, gradient in demonstrations.items():
        torch.testing.assert_close(weighted[name] - gradient, factor * (ours[name] - gradient), atol=1e-5, rtol=1e-3)
        moved = max(moved, float((ours[name] - gradient).abs().max()))
    assert moved > 1e-3


def test_more_than_rounding_is_refused(make_trainer):
    trainer = make_trainer(max_steps=1)
    trainer.term.drawing = MovedAdapter(Recorder(trainer.model, lower=4.0))
    with pytest.raises(UnsoundObjectiveError, match="nats a token away"):
        trainer.train()


def test_which_engine_is_built(tiny_model_factory, installed):
    assert isinstance(build_drawing(PolychromicSection(), trainer_of(tiny_model_factory())), InProcess)
    section = PolychromicSection(engine={"kind": "vllm", "max_model_len": 99})
    found = build_drawing(section, trainer_of(tiny_model_factory(lora=True)))
    assert isinstance(found, MovedAdapter)
    assert (found.engine.max_model_len, found.engine.gpu_memory_utilization) == (99, 0.3)


@pytest.mark.parametrize(
    ("engine", "options", "ranks", "said"),
    [
        ("server", {}, 1, "allowed: transformers"),
        ({"kind": "transformers", "batch_size": 3}, {}, 1, "allowed: transformers"),
        ({"kind": "vllm", "stop": ["x"]}, {}, 1, "no stop and no schema"),
        ("vllm", None, 1, "the adapter is another"),
        ("vllm", {"use_dora": True}, 1, "the adapter is another"),
        ("vllm", {"modules_to_save": ["lm_head"]}, 1, "weights beside it are trained"),
        ("vllm", {}, 2, "2 ranks"),
    ],
)
def test_what_cannot_move_is_refused(tiny_model_factory, installed, engine, options, ranks, said):
    model = tiny_model_factory(tie_word_embeddings=False)
    if options is not None:
        model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], **options))
    with pytest.raises(UnsoundObjectiveError, match=said):
        build_drawing(PolychromicSection(engine=engine), trainer_of(model, ranks))


def test_without_vllm_one_line_says_how_to_get_it(tiny_model_factory, monkeypatch):
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    with pytest.raises(MissingResourceError, match="pip install"):
        build_drawing(PolychromicSection(engine="vllm"), trainer_of(tiny_model_factory(lora=True)))
