"""The verb lora on two small adapters."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from polychromic.cli.lora import command
from polychromic.stages.lora import split


@pytest.fixture
def adapters(tmp_path):
    generator = np.random.default_rng(0)
    for name in ("moderate", "aggressive"):
        (tmp_path / name).mkdir()
        tensors = {}
        for layer in range(3):
            for kind in ("q_proj", "v_proj"):
                module = f"base_model.model.model.layers.{layer}.self_attn.{kind}"
                tensors[f"{module}.lora_A.weight"] = generator.normal(size=(4, 16)).astype(np.float32)
                tensors[f"{module}.lora_B.weight"] = generator.normal(size=(16, 4)).astype(np.float32)
        save_file(tensors, tmp_path / name / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "lora_alpha": 8, "r": 4}
        (tmp_path / name / "adapter_config.json").write_text(json.dumps(config))
    return [str(tmp_path / name) for name in ("moderate", "aggressive")]


def test_table_and_files(adapters, tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(command, [*adapters, "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "moderate and aggressive" in done.output
    assert {path.name for path in out.iterdir()} == {
        "lora.json",
        *(f"lora-cosine-moderate-aggressive.{kind}" for kind in ("svg", "png")),
    }
    pair = json.loads((out / "lora.json").read_text())["pairs"][0]
    assert len(pair["modules"]) == 6
    assert all(abs(row["cosine"]) < 0.5 for row in pair["modules"])


def test_json_and_modules(adapters):
    done = CliRunner().invoke(command, [adapters[0], "--json"])
    assert len(json.loads(done.output)["adapters"]["moderate"]) == 6
    done = CliRunner().invoke(command, [adapters[0], "--modules"])
    assert "model.layers.2.self_attn.v_proj" in done.output


def test_an_adapter_against_itself_is_told_by_its_path(adapters):
    done = CliRunner().invoke(command, [adapters[0], adapters[0] + "/", "--json"])
    result = json.loads(done.output)
    assert result["pairs"][0]["modules"][0]["cosine"] == pytest.approx(1.0)
    assert result["remarks"] == [f"{adapters[0]} and {adapters[0]}/ are the same adapter"]


def test_an_adapter_that_adds_nothing_is_named(adapters, tmp_path):
    path = tmp_path / "aggressive" / "adapter_model.safetensors"
    save_file({name: tensor * ("lora_A" in name) for name, tensor in load_file(path).items()}, path)
    done = CliRunner().invoke(command, adapters)
    assert "aggressive adds nothing: all its updates are 0" in done.output.splitlines()
    assert "same adapter" not in done.output


def test_layers_and_kinds():
    assert split("model.layers.11.mlp.up_proj") == ("11", "up_proj")
    assert split("lm_head") == ("", "lm_head")
