"""QLoRA on a CPU with a real 4-bit base: trained, resumed, scored, evaluated in 4 bits, merged out of place."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from polychromic.core.errors import InputError
from polychromic.policy.load import load_base
from polychromic.settings.schema import ModelSection
from polychromic.stages.models import NamedModel, named_model, one_precision

NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}


def test_adapters_trained_in_different_precisions_are_not_compared(tmp_path):
    base = ModelSection(name_or_path="b")
    quantized = NamedModel("q", base, tmp_path, quantization=NF4)
    plain = NamedModel("p", base, tmp_path)
    assert one_precision([NamedModel("base", base), quantized]) == NF4
    assert one_precision([NamedModel("base", base), plain]) is None
    with pytest.raises(InputError, match="q and p were trained on bases of different precision"):
        one_precision([quantized, plain])


def test_a_runs_precision_is_read_from_its_record(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    settings = {"model": {"name_or_path": "b"}, "quantization": NF4}
    (tmp_path / "run.json").write_text(json.dumps({"settings": settings}))
    assert named_model("q", str(tmp_path)).quantization == NF4


def test_drawing_from_a_quantised_base_leaves_its_gradient(base_folder, add_adapter):
    """On CPUs with AVX512-BF16 bitsandbytes would pack the weights at the first draw, and lose the gradient."""
    pytest.importorskip("bitsandbytes")
    ids, found = torch.tensor([[3, 4, 5, 6, 7]]), []
    for drawn_before in (False, True):
        policy = load_base(ModelSection(name_or_path=str(base_folder), dtype="float32"), NF4)
        model = add_adapter(policy.model)
        if drawn_before:
            model.eval()
            with torch.no_grad():
                model(input_ids=ids)
        model.train()
        model(input_ids=ids, labels=ids).loss.backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    torch.testing.assert_close(found[1], found[0])
    assert float(found[0].abs().max()) > 1e-3


@pytest.fixture(scope="module")
def qlora(tmp_path_factory):
    """Settings of a QLoRA run on the embedded base, checkpointed, with the likelihood gate."""
    pytest.importorskip("bitsandbytes")
    from polychromic.settings.load import settings_from

    return settings_from(
        {
            "experiment": {"name": "q", "output_root": str(tmp_path_factory.mktemp("runs")), "seed": 3},
            "model": {"name_or_path": "embedded:countdown", "dtype": "float32"},
            "quantization": NF4 | {"bnb_4bit_compute_dtype": "float32"},
            "data": {"task": {"kind": "countdown", "train_size": 32}},
            "lora": {"r": 4, "lora_alpha": 8},
            "polychromic": {
                "lambda": 1.0,
                "n_generations": 4,
                "max_examples_for_diversity": 2,
                "max_new_tokens": 12,
                "gate": "likelihood",
            },
            "training": {
                "max_steps": 2,
                "per_device_train_batch_size": 2,
                "logging_steps": 1,
                "save_steps": 1,
                "use_cpu": True,
                "bf16": False,
                "gradient_checkpointing": True,
            },
            "tracking": {"wandb": "disabled"},
        }
    )


def test_qlora_on_a_cpu_from_training_to_merging(qlora, tmp_path):
    from polychromic.records.jsonl import read_json, read_rows
    from polychromic.settings.schema import EvaluationSection
    from polychromic.stages import merge, sample, train
    from polychromic.stages.models import parse_models

    run = train.run(qlora)
    logged = [row for row in read_rows(run.metrics) if "loss" in row]
    assert len(logged) == 2
    assert max(row["polychromic/logprob_gap"] for row in logged) < 1e-3
    shutil.rmtree(run.checkpoints / "checkpoint-2")
    whole = run.adapter.read_bytes()
    run.adapter.unlink()
    assert train.run(qlora).adapter.read_bytes() == whole  # continued from the first step's checkpoint

    models = parse_models(f"base=embedded:countdown,q={run.path}")
    section = EvaluationSection(task={"kind": "countdown", "test_size": 2}, n=2, max_new_tokens=8)
    engines = sample._Engines(models, section)
    matrix = engines._loaded().model.get_submodule("base_model.model.model.layers.0.mlp.up_proj").base_layer.weight
    assert matrix.dtype == torch.uint8  # evaluated as it was trained, the base too
    assert sample.forecast(models, [], sample.SamplePlan(section), tmp_path / "new").engine == "transformers"
    with pytest.raises(InputError, match="trained on a quantised base"):
        sample._Engines(models, EvaluationSection(engine={"kind": "vllm"}))

    merged = merge.run(run.path, tmp_path / "merged")
    assert read_json(merged / "config.json").get("quantization_config") is None
    alone = load_base(ModelSection(name_or_path=str(merged))).model
    assert alone.get_submodule("model.layers.0.mlp.up_proj").weight.dtype == torch.float32
