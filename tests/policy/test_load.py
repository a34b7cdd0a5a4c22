"""Loading: one line for what is missing or does not fit, adapters side by side on one base."""

import json
import shutil
from importlib.metadata import PackageNotFoundError

import pytest
import torch
from safetensors.torch import load_file, save_file

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.policy import load
from polychromic.policy.adapter_check import refuse_unfit
from polychromic.policy.load import attach_adapters, load_base
from polychromic.settings.schema import ModelSection

IDS = torch.tensor([[3, 4, 5, 6]])


@pytest.fixture(scope="module")
def adapters(base_folder, tmp_path_factory, add_adapter):
    """Two adapters of the tiny base, as run folders."""
    folders = {}
    for place, name in enumerate(("one", "two")):
        folders[name] = tmp_path_factory.mktemp(name)
        add_adapter(load_base(ModelSection(name_or_path=str(base_folder))).model, seed=place).save_pretrained(
            folders[name]
        )
    return folders


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def test_adapters_take_turns_on_one_base(base_folder, adapters):
    section = ModelSection(name_or_path=str(base_folder))
    bare = logits(load_base(section).model)
    both = attach_adapters(load_base(section), adapters)
    for name in ("one", "two", "one"):
        alone = attach_adapters(load_base(section), {name: adapters[name]})
        alone.use(name)
        both.use(name)
        assert torch.equal(logits(both.model), logits(alone.model))
        assert not torch.allclose(logits(both.model), bare, atol=1e-3)
        both.use(None)
        assert torch.equal(logits(both.model), bare)
    assert not any(module.training for module in both.model.modules())


def test_an_adapter_is_scaled_from_the_base_to_what_was_trained(base_folder, adapters):
    """Two names, such as torch would not take, share one run's weights; scaling one leaves the other alone."""
    section = ModelSection(name_or_path=str(base_folder))
    bare, trained = logits(load_base(section).model), attach_adapters(load_base(section), {"one": adapters["one"]})
    trained.use("one")
    both = attach_adapters(load_base(section), {"lambda_1.0": adapters["one"], "half": adapters["one"]})
    both.scale("half", 0.0)
    both.use("half")
    assert torch.equal(logits(both.model), bare)
    both.use("lambda_1.0")
    assert torch.equal(logits(both.model), logits(trained.model))


@pytest.mark.parametrize("scale", [0.25, 0.5, 2.0])
def test_what_an_adapter_adds_to_a_linear_module_is_linear_in_the_scale(base_folder, adapters, scale):
    policy = attach_adapters(load_base(ModelSection(name_or_path=str(base_folder))), {"one": adapters["one"]})
    policy.use("one")
    module = policy.model.get_submodule("base_model.model.model.layers.0.self_attn.q_proj")
    rows = torch.randn(5, module.in_features, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        base, whole = module.base_layer(rows), module(rows)
        policy.scale("one", scale)
        found = module(rows)
    assert torch.allclose(found - base, scale * (whole - base), atol=1e-6)
    assert not torch.allclose(found, whole, atol=1e-2)


@pytest.mark.parametrize("name", ["/no/such/folder", "./nothing", "embedded"])
def test_a_missing_model_is_one_line(name):
    with pytest.raises(MissingResourceError, match=name) as caught:
        load_base(ModelSection(name_or_path=name))
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_base_is_refused(
    base_folder, adapters, tiny_model_factory, tiny_tokenizer_factory, tmp_path
):
    other = tmp_path / "other"
    tiny_model_factory(hidden_size=48).save_pretrained(other)
    tiny_tokenizer_factory().save_pretrained(other)
    with pytest.raises(InputError, match="belongs to another base") as caught:
        attach_adapters(load_base(ModelSection(name_or_path=str(other))), adapters)
    assert "\n" not in str(caught.value)


def test_a_folder_without_adapter_is_refused(base_folder, tmp_path):
    with pytest.raises(MissingResourceError, match="no adapter here"):
        attach_adapters(load_base(ModelSection(name_or_path=str(base_folder))), {"x": tmp_path})


def without_half(weights):
    """Every second module has lost its matrices."""
    modules = sorted({key.rpartition(".lora_")[0] for key in weights})
    return {key: value for key, value in weights.items() if modules.index(key.rpartition(".lora_")[0]) % 2}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda weights: {}, r"28 of its 28 weights are missing \(the first: base_model.*lora_A\.weight\)"),
        (without_half, "14 of its 28 weights are missing"),
        (lambda weights: {key: value for key, value in weights.items() if "lora_B" not in key}, "14 of its 28"),
        (lambda weights: weights | {"more": torch.zeros(1)}, "1 weights that its configuration does not know"),
        (lambda weights: {key.replace("q_proj", "z_proj"): value for key, value in weights.items()}, "another base"),
    ],
)
def test_an_adapter_that_is_not_whole_is_refused(base_folder, adapters, tmp_path, damage, said):
    broken = shutil.copytree(adapters["one"], tmp_path / "broken")
    save_file(damage(load_file(broken / "adapter_model.safetensors")), broken / "adapter_model.safetensors")
    with pytest.raises(InputError, match=rf"broken: the adapter .*{said}") as caught:
        attach_adapters(load_base(ModelSection(name_or_path=str(base_folder))), {"broken": broken})
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError) as again:  # for an engine that loads it itself
        refuse_unfit(broken, ModelSection(name_or_path=str(base_folder)), 64)
    assert str(again.value) == str(caught.value)


def test_an_engines_adapter_is_looked_at_without_loading_a_weight(base_folder, adapters, tmp_path):
    section = ModelSection(name_or_path=str(base_folder))
    refuse_unfit(adapters["one"], section, 4)
    with pytest.raises(InputError, match=r"the adapter has rank 4; the engine was given max_lora_rank 3"):
        refuse_unfit(adapters["one"], section, 3)
    with pytest.raises(MissingResourceError, match="no adapter here"):
        refuse_unfit(tmp_path, section, 64)


def test_quantisation_without_bitsandbytes_or_with_an_old_one_is_refused(base_folder, monkeypatch):
    section = ModelSection(name_or_path=str(base_folder))

    def missing(name):
        raise PackageNotFoundError

    monkeypatch.setattr(load, "version", missing)
    with pytest.raises(MissingResourceError, match=r"pip install 'polychromic\[quantization\]'"):
        load_base(section, {"load_in_4bit": True})
    monkeypatch.setattr(load, "version", lambda name: "0.49.2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"bitsandbytes 0\.50 or newer, and 0\.49\.2 is installed"):
        load_base(section, {"load_in_4bit": True})


def test_the_base_is_loaded_in_the_type_asked_for(base_folder):
    assert load_base(ModelSection(name_or_path=str(base_folder), dtype="bfloat16")).model.dtype == torch.bfloat16
    assert load_base(ModelSection(name_or_path=str(base_folder))).model.dtype == torch.float32
    assert json.loads((base_folder / "config.json").read_text())["model_type"] == "qwen3"
