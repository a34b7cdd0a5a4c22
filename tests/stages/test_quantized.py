"""QLoRA on a CPU with a real 4-bit base: trained, scored, evaluated in 4 bits."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from polychromic.core.errors import InputError
from polychromic.policy.load import load_base
from polychromic.records.artefacts import RunFolder
from polychromic.records.jsonl import read_json
from polychromic.settings.schema import ModelSection
from polychromic.stages.models import NamedModel, named_model, one_precision

pytestmark = pytest.mark.long

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


@pytest.fixture(scope="module")
def trained(qlora):
    """Its run."""
    from polychromic.stages import train

    return train.run(qlora)


def test_qlora_on_a_cpu_is_trained_and_sampled_from_in_four_bits(trained, tmp_path):
    from polychromic.settings.schema import EvaluationSection
    from polychromic.stages import sample
    from polychromic.stages.engines import Engines, SamplePlan
    from polychromic.stages.models import parse_models

    run = trained
    rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    logged = [row for row in rows if "polychromic/logprob_gap" in row]
    assert len(logged) == 2
    assert max(row["polychromic/logprob_gap"] for row in logged) < 1e-3
    models = parse_models(f"base=embedded:countdown,q={run.path}")
    section = EvaluationSection(task={"kind": "countdown", "test_size": 2}, n=2, max_new_tokens=8)
    engines = Engines(models, SamplePlan(section))
    matrix = engines._loaded().model.get_submodule("base_model.model.model.layers.0.mlp.up_proj").base_layer.weight
    assert matrix.dtype == torch.uint8  # evaluated as it was trained, the base too
    assert sample.forecast(models, [], SamplePlan(section), tmp_path / "new").engine == "transformers"
    with pytest.raises(InputError, match="trained on a quantised base"):
        Engines(models, SamplePlan(EvaluationSection(engine={"kind": "vllm"})))


def test_a_qlora_run_continues_as_if_nothing_had_happened(trained, qlora, tmp_path):
    from polychromic.stages import train

    settings = qlora.model_copy(
        update={"experiment": qlora.experiment.model_copy(update={"output_root": str(tmp_path)})}
    )
    shutil.copytree(trained.path, tmp_path / "q")
    copy = RunFolder(tmp_path / "q")
    shutil.rmtree(copy.checkpoints / "checkpoint-2")
    copy.adapter.unlink()
    copy.run_json.write_text(json.dumps(read_json(copy.run_json) | {"finished": None}))
    again = train.run(settings)
    assert read_json(again.run_json)["resumed_from"] == "checkpoint-1"
    assert again.adapter.read_bytes() == trained.adapter.read_bytes()


def test_a_qlora_run_is_evaluated_in_its_own_precision_and_the_report_says_so(trained, tmp_path):
    from polychromic.settings.schema import EvaluationSection
    from polychromic.stages import pipeline
    from polychromic.stages.models import parse_models

    section = EvaluationSection(
        task={"kind": "countdown", "test_size": 4}, n=2, max_new_tokens=8, encoder="hashing", bootstrap_resamples=100
    )
    models = parse_models(f"base=embedded:countdown,q={trained.path}")
    page = pipeline.run(pipeline.Evaluation(models, section), tmp_path / "evaluation")
    assert read_json(page.parent / "evaluation.json")["pins"]["quantization"] == dict(models[1].quantization)
    assert "4 bits (nf4)" in (page.parent / "report.md").read_text()


def test_a_qlora_run_is_merged_out_of_place_into_the_base_in_full(trained, tmp_path):
    """Into 32 bits, and it is said that the training saw others: rounded weights are never merged into."""
    from transformers import AutoModelForCausalLM

    from polychromic.policy.load import attach_adapters
    from polychromic.stages import merge
    from polychromic.stages.models import resolve

    before = trained.adapter.read_bytes()
    with pytest.warns(UserWarning, match="was trained on a base in 4 bits"):
        folder = merge.run(trained.path, tmp_path / "merged", "float32")
    assert trained.adapter.read_bytes() == before
    assert read_json(folder / "merge.json")["trained_on"]["load_in_4bit"] is True
    base = resolve(ModelSection(name_or_path="embedded:countdown", dtype="float32"))
    ids, found = torch.tensor([[5, 6, 7, 8, 9]]), {}
    for name, quantization in (("full", None), ("packed", NF4)):
        together = attach_adapters(load_base(base, quantization), {"a": trained.path})
        together.use("a")
        found[name] = together.model(ids).logits.detach()
    alone = AutoModelForCausalLM.from_pretrained(folder).eval()(ids).logits.detach()
    assert torch.allclose(alone, found["full"], atol=1e-4)
    assert 1e-3 < float((alone - found["packed"]).abs().max()) < 5.0
