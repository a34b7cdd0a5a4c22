from __future__ import annotations

import json
from pathlib import Path

import pytest

import polychromic
from polychromic.core.errors import InputError
from polychromic.project import plan
from polychromic.settings.load import settings_from

ROOT = Path(polychromic.__path__[0]).parent
QWEN3_8B = {
    "hidden_size": 4096,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 12288,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
}


def settings(**sections):
    values = {"experiment": {"name": "x"}, "model": {"name_or_path": "a/m-8B"}, "data": {"train_file": "none.jsonl"}}
    for name, section in sections.items():
        values[name] = values.get(name, {}) | section
    return settings_from(values)


def test_a_models_size_follows_from_its_configuration(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(QWEN3_8B))
    shape = plan.shape_of(settings(model={"name_or_path": str(tmp_path)}))
    assert shape.parameters == pytest.approx(8.19e9, rel=0.01)
    assert (shape.layers, shape.hidden, shape.kv_width) == (36, 4096, 1024)


@pytest.mark.parametrize(("name", "parameters"), [("a/b-0.6B", 6e8), ("a/Llama-70b-chat", 7e10), ("a/b", 8e9)])
def test_a_model_that_is_not_here_is_guessed_from_its_name_and_said_to_be(name, parameters):
    shape = plan.shape_of(settings(model={"name_or_path": name}))
    assert shape.parameters == parameters
    assert "guessed" in shape.source


def test_the_embedded_base_has_the_parameters_it_has():
    from safetensors import safe_open

    from polychromic.tasks.countdown import base_path

    shape = plan.shape_of(settings(model={"name_or_path": "embedded:countdown"}))
    with safe_open(str(base_path() / "model.safetensors"), framework="np") as file:
        stored = sum(file.get_tensor(key).size for key in file.keys())  # noqa: SIM118
    assert shape.parameters == pytest.approx(stored, rel=0.01)


def test_steps_and_tokens_are_counted_from_rows_and_settings(tmp_path):
    data = tmp_path / "d.jsonl"
    data.write_text(
        "".join(json.dumps({"prompt": "a b c " * 10, "completion": f"{i} " * 20}) + "\n" for i in range(100))
    )
    found = plan.forecast(
        settings(
            data={"train_file": str(data)},
            training={"num_train_epochs": 2, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2},
            polychromic={
                "lambda": 1.0,
                "gate": "none",
                "n_generations": 5,
                "max_examples_for_diversity": 3,
                "compute_every_n_steps": 4,
                "max_new_tokens": 10,
            },
        )
    )
    assert found.steps == 26
    assert found.diversity_steps == 7
    assert found.demonstration_tokens == pytest.approx(26 * 8 * 50 * 1.4)
    assert found.sampled_tokens == 7 * 3 * 5 * 10
    assert found.notes == ()


def test_a_larger_strength_of_the_diversity_term_costs_more_and_none_costs_nothing():
    every = {"lambda": 1.0, "compute_every_n_steps": 1}
    seldom = {"lambda": 1.0, "compute_every_n_steps": 5}
    costs = [sum(plan.forecast(settings(polychromic=p)).seconds.values()) for p in ({"lambda": 0.0}, seldom, every)]
    assert costs == sorted(costs)
    assert costs[0] < costs[1] < costs[2]


def test_what_is_looked_at_while_training_is_stated():
    watched = {"max_new_tokens": 16, "batch_size": 64, "during_training": {"prompts": 32, "n": 4}}
    training = {"max_steps": 100, "eval_steps": 20}
    found = plan.forecast(
        settings(training=training, evaluation=watched, data={"task": "countdown", "train_file": None})
    )
    assert "5 evaluations while training, 32 prompts x 4 samples each" in found.notes
    plain = plan.forecast(settings(training=training, data={"task": "countdown", "train_file": None}))
    assert set(found.seconds) - set(plain.seconds) == {"held-out prompts"}
    more = watched | {"during_training": {"prompts": 64, "n": 4}}
    twice = plan.forecast(settings(training=training, evaluation=more, data={"task": "countdown", "train_file": None}))
    assert twice.seconds["held-out prompts"] == pytest.approx(2 * found.seconds["held-out prompts"])


def test_four_bits_take_less_memory_and_a_small_card_is_said_to_be_too_small():
    full = plan.forecast(settings(), "rtx4090")
    small = plan.forecast(settings(quantization={"load_in_4bit": True}), "rtx4090")
    assert small.memory["weights"] < full.memory["weights"] / 2  # the embeddings stay in 16 bits
    assert not plan.forecast(settings(model={"name_or_path": "a/m-32B"}), "rtx4090").fits
    assert any(
        "does NOT fit" in line
        for line in plan.lines(plan.forecast(settings(model={"name_or_path": "a/m-32B"}), "rtx4090"))
    )


def test_an_unknown_device_is_refused():
    with pytest.raises(InputError, match=r"there is no 'h10'; did you mean h100\?"):
        plan.forecast(settings(), "h10")


def test_memory_is_what_the_embedded_model_takes(tmp_path):
    """Weights in 32 and in 4 bits, and the adapter with its gradient and optimizer, against the loaded model."""
    pytest.importorskip("bitsandbytes")
    from peft import LoraConfig, get_peft_model

    from polychromic.policy.load import load_base
    from polychromic.stages.models import resolve

    four = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    for quantization in (None, four):
        made = settings(model={"name_or_path": "embedded:countdown", "dtype": "float32"}, lora={"r": 8}).model_copy(
            update={"quantization": quantization}
        )
        model = load_base(resolve(made.model), quantization).model
        found = plan.memory_of(made)
        assert found["weights"] * plan.GIB == pytest.approx(model.get_memory_footprint(), rel=0.15)
    adapted = get_peft_model(model, LoraConfig(r=8, target_modules="all-linear"))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert found["adapter"] * plan.GIB == pytest.approx(16 * trained, rel=0.01)


def test_tokens_are_those_of_the_tokenizer_that_is_here():
    from polychromic.policy.load import load_tokenizer
    from polychromic.policy.render import training_row
    from polychromic.stages.models import resolve
    from polychromic.tasks.countdown.task import Countdown

    made = settings(
        model={"name_or_path": "embedded:countdown"},
        data={"train_file": None, "task": {"kind": "countdown", "train_size": 64}},
        training={"max_steps": 4, "per_device_train_batch_size": 16},
    )
    tokenizer = load_tokenizer(resolve(made.model))
    rows = [training_row(example) for example in Countdown(train_size=64).examples("train")]
    texts = ["".join(str(value) for value in row.values()) for row in rows]
    real = sum(len(ids) + 1 for ids in tokenizer(texts, add_special_tokens=False)["input_ids"])
    assert plan.forecast(made, "cpu").demonstration_tokens == pytest.approx(real, rel=0.1)


def choices_of(name, device):
    from polychromic.project.plan_choices import choices
    from polychromic.settings.load import load_settings

    path = ROOT / "config/experiments" / name
    return choices(load_settings(path), device, str(path))


def test_a_large_card_is_told_of_the_configuration_in_16_bits_and_where_checkpointing_may_be_off():
    bits, *rest = choices_of("polychromic_1.0_moderate.yaml", "h100")
    assert bits.startswith("4 bits are not needed on one h100: ")
    assert "config/experiments/bf16/polychromic_1.0_moderate.yaml takes " in bits
    assert [line.partition(" on one")[0] for line in rest] == ["gradient_checkpointing may be off"]
    assert not choices_of("polychromic_1.0_moderate.yaml", "rtx4090")
    assert [line.partition(" on one")[0] for line in choices_of("bf16/baseline.yaml", "h200")] == [
        "gradient_checkpointing may be off"
    ]


def test_what_does_not_fit_is_told_what_would():
    large = settings(model={"name_or_path": "a/m-32B"}, training={"gradient_checkpointing": True})
    from polychromic.project.plan_choices import choices

    found = choices(large, "l40s", "x.yaml")
    assert [line.partition(";")[0] for line in found] == ["in 16 bits it does not fit"]
    wide = settings(model={"name_or_path": "a/m-8B"}, training={"gradient_checkpointing": False, "max_length": 4096})
    wide = wide.model_copy(update={"training": wide.training | {"per_device_train_batch_size": 16}})
    assert "gradient_checkpointing must be on" in choices(wide, "h100", "x.yaml")[-1]
