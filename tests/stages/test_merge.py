from __future__ import annotations

import json

import pytest
import torch

from polychromic.core.errors import InputError, NumericalError
from polychromic.policy.load import attach_adapters, load_base
from polychromic.settings.schema import ModelSection
from polychromic.stages import merge
from polychromic.stages.models import resolve

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
BASE = ModelSection(name_or_path="embedded:countdown")


@pytest.fixture
def run(tmp_path):
    """A run folder with a LoRA adapter that changes every layer."""
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(load_base(resolve(BASE)).model, LoraConfig(r=4, target_modules="all-linear"))
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.1)
    folder = tmp_path / "run"
    model.save_pretrained(folder)
    (folder / "run.json").write_text(json.dumps({"settings": {"model": BASE.model_dump()}, "finished": "yes"}))
    return folder


def logits(model):
    with torch.no_grad():
        return model(torch.tensor([[5, 6, 7, 8, 9]])).logits


def test_the_merged_model_alone_says_what_base_and_adapter_say_together(run, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = merge.run(run, tmp_path / "merged")
    (tmp_path / "new").touch()
    assert {path.stat().st_mode for path in folder.iterdir()} == {(tmp_path / "new").stat().st_mode}
    together = attach_adapters(load_base(resolve(BASE)), {"a": run})
    together.use("a")
    alone = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert torch.allclose(logits(alone), logits(together.model), atol=1e-4)
    together.use(None)
    assert not torch.allclose(logits(alone), logits(together.model), atol=1e-1)
    assert AutoTokenizer.from_pretrained(folder)("2 3 = 5:")["input_ids"]
    assert json.loads((folder / "merge.json").read_text())["base"] == "embedded:countdown"
    assert not list(folder.glob("adapter*"))
    assert not list(folder.glob("*.bin"))
    rights = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert len(rights) == 1  # the weights as well as what lies beside them
    card = (folder / "README.md").read_text()
    assert "library_name: transformers" in card
    assert f"vllm serve {folder}" in card


def test_half_an_adapter_is_merged(run, tmp_path):
    from transformers import AutoModelForCausalLM

    def weight(folder):
        return AutoModelForCausalLM.from_pretrained(folder).get_submodule("model.layers.0.mlp.up_proj").weight

    whole, half = merge.run(run, tmp_path / "whole"), merge.run(f"{run}*0.5", tmp_path / "half")
    base = load_base(resolve(BASE)).model.get_submodule("model.layers.0.mlp.up_proj").weight
    assert torch.allclose(2 * (weight(half) - base), weight(whole) - base, atol=1e-6)
    assert not torch.allclose(weight(whole), base, atol=1e-2)
    assert json.loads((half / "merge.json").read_text())["scale"] == 0.5


def test_an_adapter_with_a_nan_is_not_merged(run, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = load_file(run / "adapter_model.safetensors")
    weights[next(iter(weights))][0, 0] = float("nan")
    save_file(weights, run / "adapter_model.safetensors")
    with pytest.raises(NumericalError, match="cannot be merged"):
        merge.run(run, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_full_folder_or_no_run_at_all_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="is not empty"):
        merge.run(run, run)
    with pytest.raises(InputError, match="it holds no adapter"):
        merge.run("embedded:countdown", tmp_path / "merged")
