from __future__ import annotations

import json

import pytest

from polychromic.core.errors import InputError
from polychromic.settings.load import settings_from
from polychromic.stages import plan

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
    assert small.memory["weights"] < full.memory["weights"] / 3
    assert not plan.forecast(settings(model={"name_or_path": "a/m-32B"}), "rtx4090").fits
    assert any(
        "does NOT fit" in line
        for line in plan.lines(plan.forecast(settings(model={"name_or_path": "a/m-32B"}), "rtx4090"))
    )


def test_an_unknown_device_is_refused():
    with pytest.raises(InputError, match=r"there is no 'h10'; did you mean h100\?"):
        plan.forecast(settings(), "h10")
