"""What a launcher or a configuration asks for is served or refused by name, before a model is loaded."""

import pytest

from polychromic.core.errors import InputError, SettingsError
from polychromic.settings.load import load_settings, settings_from
from polychromic.stages import train
from polychromic.training.launchers import refuse_untested

FOUR_BITS = {"load_in_4bit": True}
FSDP2 = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
PLAIN = {
    "experiment": {"name": "run"},
    "model": {"name_or_path": "embedded:countdown"},
    "data": {"task": {"kind": "countdown", "train_size": 8}},
}


@pytest.mark.parametrize(
    ("environment", "training", "quantization", "said"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, {}, None, r"DeepSpeed \(ZeRO-1, 2 and 3\)"),
        ({"ACCELERATE_USE_MEGATRON_LM": "true"}, {}, None, "Megatron-LM"),
        ({"ACCELERATE_USE_PARALLELISM_CONFIG": "true"}, {}, None, "context parallelism"),
        ({"ACCELERATE_DYNAMO_BACKEND": "INDUCTOR"}, {}, None, r"torch.compile \(inductor\)"),
        ({"ACCELERATE_MIXED_PRECISION": "fp8"}, {}, FOUR_BITS, "fp8 under the 4-bit section quantization"),
        ({"ACCELERATE_MIXED_PRECISION": "fp8"}, {"bf16": True}, None, "fp8, which is not tested"),
        (
            {"ACCELERATE_MIXED_PRECISION": "fp16"},
            {"bf16": True},
            None,
            "mixed precision fp16, and training.fp16 is off",
        ),
        ({"ACCELERATE_MIXED_PRECISION": "bf16"}, {"bf16": False}, None, "mixed precision bf16, and training.bf16 is"),
        ({"ACCELERATE_USE_FSDP": "true"}, {}, None, "FSDP1, which was never tried"),
        (FSDP2, {}, FOUR_BITS, "FSDP2 under the section quantization"),
        (FSDP2 | {"FSDP_OFFLOAD_PARAMS": "true"}, {}, None, "fsdp_offload_params true; allowed: false"),
        (FSDP2 | {"FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}, {}, None, "fsdp_cpu_ram_efficient_loading true"),
        (FSDP2 | {"FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT"}, {}, None, "allowed: full_state_dict"),
        ({"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}, {}, None, "gradient_accumulation_steps 4"),
    ],
)
def test_what_was_never_tried_is_refused_by_name(monkeypatch, environment, training, quantization, said):
    monkeypatch.setattr("polychromic.policy.load.load_base", None)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = settings_from(PLAIN | {"training": training, "quantization": quantization})
    with pytest.raises(InputError, match=said):
        train.run(settings)


def test_what_the_shipped_launchers_ask_for_is_served(monkeypatch):
    for name, value in (("DYNAMO_BACKEND", "NO"), ("MIXED_PRECISION", "bf16"), ("GRADIENT_ACCUMULATION_STEPS", "1")):
        monkeypatch.setenv(f"ACCELERATE_{name}", value)
    assert refuse_untested({"bf16": True, "gradient_accumulation_steps": 4}, FOUR_BITS) is None


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.fsdp=full_shard", "is the launcher's"),
        ("training.deepspeed=zero2.json", "DeepSpeed's backward pass"),
    ],
)
def test_a_setting_that_would_mean_something_else_is_refused(tmp_path, override, said):
    path = tmp_path / "run.yaml"
    path.write_text("experiment: {name: run}\nmodel: {name_or_path: x}\ndata: {train_file: x}\n")
    with pytest.raises(SettingsError, match=said):
        load_settings(path, [override])
