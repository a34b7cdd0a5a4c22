"""Adapters that are what they say: the base stays the base, and what is evaluated is what was trained."""

import pytest
import torch

from polychromic.core.errors import InputError, SettingsError, UnsoundObjectiveError
from polychromic.policy.load import attach_adapters, load_base
from polychromic.policy.logprobs import completion_logprobs
from polychromic.settings.load import settings_from
from polychromic.settings.schema import ModelSection
from polychromic.stages.models import parse_models

pytestmark = pytest.mark.filterwarnings(
    "ignore:Model has `tie_word_embeddings=True`:UserWarning",
)
IDS = torch.tensor([[3, 4, 5, 6, 7]])
MOVING = ["olora", "pissa", "pissa_niter_4"]
SERVED = {
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "gaussian": {"init_lora_weights": "gaussian"},
    "random": {"init_lora_weights": False},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "mica": {"init_lora_weights": "mica"},
    "head": {"modules_to_save": ["lm_head"]},
    "norms": {"modules_to_save": ["norm"]},
    "parameters": {"target_modules": [], "target_parameters": ["down_proj.weight"]},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 5}, "layers_to_transform": [1]},
}


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


def settings(**lora):
    return settings_from(
        {"experiment": {"name": "x"}, "model": {"name_or_path": "m"}, "data": {"train_file": "a"}, "lora": lora}
    )


@pytest.mark.parametrize("name", SERVED)
def test_what_is_served_trains_and_evaluates_as_it_was_trained(name, make_trainer, base_folder, tmp_path):
    """Two steps with the term on; base and trained model come back beside another adapter; streams score as rows do."""
    from peft import LoraConfig, get_peft_model

    given = {"r": 4, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"} | SERVED[name]
    assert settings(**given).lora == given
    section = ModelSection(name_or_path=str(base_folder))
    plain = load_base(section)
    before = logits(plain.model)
    trainer = make_trainer(1.0, model=get_peft_model(plain.model, LoraConfig(**given)), max_steps=2)
    trainer.train()
    trained = logits(trainer.model.eval())
    assert (trained - before).abs().max() > 1e-3
    rows = trained.log_softmax(-1)[0, 1:-1].gather(1, IDS[0, 2:, None]).sum()
    scored = completion_logprobs(trainer.model, [[3, 4]], [[[5, 6, 7], [5, 8]]], 1.0)[0, 0]
    assert torch.allclose(rows, scored, atol=1e-4)
    trainer.model.save_pretrained(tmp_path / "run")
    found = attach_adapters(load_base(section), {"one": tmp_path / "run", "two": tmp_path / "run"})
    for adapter in ("two", "one"):
        found.use(adapter)
        assert torch.allclose(logits(found.model), trained, atol=1e-5)
    found.use(None)
    assert torch.equal(logits(found.model), before)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *[
            ({"init_lora_weights": name}, f"init_lora_weights: {name} is not served.*moves the base's")
            for name in MOVING
        ],
        *[({"init_lora_weights": name}, f"{name} is not served.*preparation") for name in ("corda", "eva", "loftq")],
        ({"peft_type": "PROMPT_TUNING"}, "lora.peft_type: PROMPT_TUNING is not served.*allowed: LORA"),
        ({"bias": "all"}, "lora.bias: all trains the base's own biases.*allowed: none"),
        ({"task_type": "SEQ_CLS"}, "lora.task_type: SEQ_CLS is not served; allowed: CAUSAL_LM"),
        ({"inference_mode": True}, "lora.inference_mode: cannot be set here: it would freeze the adapter"),
        ({"layer_replication": [[0, 2]]}, "lora.layer_replication: is not served"),
        ({"alora_invocation_tokens": [3]}, "lora.alora_invocation_tokens: is not served"),
        ({"trainable_token_indices": [3]}, "lora.trainable_token_indices: is not served"),
        ({"target_modules": ["q_proj", "lm_head"]}, "lora.target_modules: lm_head cannot be adapted"),
        ({"target_modules": ["embed_tokens"]}, "embed_tokens cannot be adapted"),
        ({"kasa_config": {}, "use_qalora": True}, "lora.use_qalora: is not served"),
    ],
)
def test_what_is_not_served_is_one_line_before_anything_loads(given, said):
    with pytest.raises(SettingsError, match=said) as caught:
        settings(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", MOVING)
def test_a_base_that_an_adapter_moves_is_measured_and_refused(name, base_folder, add_adapter, tmp_path):
    """From somewhere else, under a name that hides it; and by its name, before a model is loaded."""
    from peft import LoraConfig, get_peft_model

    section = ModelSection(name_or_path=str(base_folder))
    moved = get_peft_model(
        load_base(section).model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=name)
    )
    moved.save_pretrained(tmp_path / "run")
    with pytest.raises(InputError, match=r"run: the adapter moves the base's own weights: .* differ by \d") as caught:
        attach_adapters(load_base(section), {"x": tmp_path / "run"})
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=f"init_lora_weights: {name} is not served.*merge it into its base"):
        parse_models(f"x={tmp_path / 'run'}")


def test_soft_prompts_are_refused_by_the_trainer_and_by_an_evaluation(make_trainer, base_folder, tmp_path):
    from peft import PromptTuningConfig, get_peft_model

    soft = get_peft_model(
        load_base(ModelSection(name_or_path=str(base_folder))).model,
        PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2),
    )
    soft.save_pretrained(tmp_path / "soft")
    with pytest.raises(InputError, match="peft_type: PROMPT_TUNING is not served"):
        parse_models(f"x={tmp_path / 'soft'}")
    with pytest.raises(UnsoundObjectiveError, match=r"peft_config\.peft_type: PROMPT_TUNING is not served"):
        make_trainer(1.0, model=soft)
