"""What a model is shown: printed, chosen and the same in training and evaluation, from files alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from polychromic.cli import data as verb
from polychromic.core.errors import InputError
from polychromic.records.jsonl import read_rows
from polychromic.settings.load import load_settings, settings_from
from polychromic.stages import pipeline, train
from polychromic.stages.demonstrations import load_data
from polychromic.stages.models import NamedModel, in_form, parse_models

pytestmark = pytest.mark.long

CONFIG = Path(__file__).parents[2] / "config" / "experiments"
TEMPLATE = (
    "{% set silent = '<think></think>' if thinking is defined and not thinking else '' %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}:{% if m.role == 'assistant' %}{{ silent }}{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant:{{ silent }}{% endif %}"
)


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_model_factory):
    """A tiny base whose template ends an answer by another token than the tokenizer's own."""
    from polychromic.tasks._tokenizer import build_tokenizer

    folder, tokenizer = tmp_path_factory.mktemp("chat"), build_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = TEMPLATE
    model = tiny_model_factory(vocab=len(tokenizer))
    for config in (model.config, model.generation_config):
        config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def configured(base, tmp_path):
    """Settings over rows of ``{a}+1`` with any change to a section."""

    def make(prompt="{a} + 1 =", **sections):
        rows = [
            {"prompt": prompt.format(a=a), "completion": f" {a + 1}" if prompt[-1] != " " else str(a + 1)}
            for a in range(2, 8)
        ]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        values = {
            "experiment": {"name": "mine", "output_root": str(tmp_path)},
            "model": {"name_or_path": str(base)} | sections.get("model", {}),
            "data": {"train_file": str(tmp_path / "rows.jsonl")},
            "polychromic": {"lambda": 0.5, "n_generations": 2, "set_size": 2, "max_new_tokens": 4, "reward": "lexical"}
            | {"gate": "wellformed"},
            "training": {"max_steps": 1, "per_device_train_batch_size": 2, "use_cpu": True, "bf16": False}
            | {"gradient_checkpointing": False},
            "evaluation": {"task": {"kind": "conversations", "path": str(tmp_path / "rows.jsonl")}, "n": 2}
            | {"max_new_tokens": 4, "encoder": "none", "bootstrap_resamples": 200, "max_prompts": 2},
            "tracking": {"wandb": "disabled"},
        }
        (tmp_path / "mine.yaml").write_text(json.dumps(values))
        return settings_from(values)

    return make


def test_plain_prompts_ask_for_a_choice_before_a_model_loads(configured, base, tmp_path):
    settings = configured()
    with pytest.raises(InputError, match=r"model\.format: 6 prompts are plain text .* choose chat"):
        train.run(settings)
    asked = pipeline.Evaluation(parse_models(f"base={base}"), settings.evaluation)
    with pytest.raises(InputError, match=r"model\.format: 2 prompts are plain text .* --format"):
        pipeline.forecast(asked, tmp_path / "evaluation")
    shown = CliRunner().invoke(verb.command, ["show", str(tmp_path / "mine.yaml")])
    assert isinstance(shown.exception, InputError)


def test_the_choice_is_that_of_training_and_evaluation(configured, tmp_path):
    settings = configured(model={"format": "chat", "chat_template_kwargs": {"thinking": False}})
    run = train.run(settings)
    (model,) = parse_models(f"mine={run.path}")
    with pytest.raises(InputError, match=r"--format: mine was trained with format chat"):
        in_form([model], settings.model.model_copy(update={"format": "plain"}))
    from polychromic.policy.load import attach_adapters, load_base, load_tokenizer
    from polychromic.stages.contexts import context, examples_in_format
    from polychromic.stages.data import read_head

    policy = attach_adapters(load_base(model.base), {"mine": run.path})
    example = examples_in_format(read_head(tmp_path / "mine.yaml", 1)[1], "chat")[0]
    found = context(policy.tokenizer, example)
    assert policy.tokenizer.decode(found.asked).endswith("<|im_start|>assistant:<think></think>")
    assert load_tokenizer(model.base).chat_template == policy.tokenizer.chat_template
    pipeline.draw(pipeline.Evaluation([NamedModel("base", settings.model), model], settings.evaluation), tmp_path / "e")
    rows = [row for _, row in read_rows(tmp_path / "e" / "samples.jsonl")]
    assert {row["model"] for row in rows} == {"base", "mine"}
    assert all(row["prompt"][0]["role"] == "user" for row in rows)


def test_a_prompt_that_merges_with_its_answer_is_refused_before_the_run(configured, tmp_path):
    settings = configured("{a} + 1 = ", model={"format": "plain"})
    with pytest.raises(InputError, match=r"6 of 6 demonstrations would be trained .* end prompts before the white"):
        train.run(settings)
    shown = CliRunner().invoke(verb.command, ["show", str(tmp_path / "mine.yaml"), "--rows", "1"])
    assert shown.exit_code == 2
    assert "others:" in shown.output
    assert "at evaluation  ... " in shown.output


def test_rows_are_shown_as_the_model_sees_them(configured, tmp_path, base):
    configured(model={"format": "chat"})
    shown = CliRunner().invoke(verb.command, ["show", str(tmp_path / "mine.yaml"), "--rows", "2"])
    assert shown.exit_code == 0
    assert shown.output.count("the same at evaluation") == 2
    assert "<|im_start|>user:2 + 1 =<|im_end|>" in shown.output
    assert "<|im_start|>assistant:⟦ 3<|im_end|>" in shown.output
    plain = ["show", str(tmp_path / "rows.jsonl"), "--model", str(base), "--format", "plain", "--rows", "1"]
    assert "2 + 1 =⟦ 3<|end|>⟧" in CliRunner().invoke(verb.command, plain).output
    assert "give --model" in str(CliRunner().invoke(verb.command, plain[:2]).exception)


def test_a_thought_that_is_opened_when_it_is_asked_for_is_trained_after(base, configured, tmp_path):
    """DeepSeek-R1's form: the demonstration alone does not show the opened thought; the run and the base have it."""
    other = shutil.copytree(base, tmp_path / "r1")
    (other / "chat_template.jinja").write_text(
        "{% for m in messages %}<|im_start|>{{ m.role }}:{{ m.content.split('</think>')[-1] }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant:<think>\n{% endif %}"
    )
    settings = configured(model={"name_or_path": str(other), "format": "chat"})
    run = train.run(settings)
    shown = CliRunner().invoke(verb.command, ["show", str(tmp_path / "mine.yaml"), "--rows", "1"]).output
    assert "assistant:<think>\n⟦</think>\n\n 3<|im_end|>⟧" in shown
    models = [NamedModel("base", settings.model), *parse_models(f"mine={run.path}")]
    pipeline.draw(pipeline.Evaluation(models, settings.evaluation), tmp_path / "e")
    rows = [row for _, row in read_rows(tmp_path / "e" / "samples.jsonl")]
    assert {row["model"] for row in rows} == {"base", "mine"}
    assert any(row.get("thought") or row.get("thoughts") for row in rows)
    written = json.loads((run.path / "run.json").read_text())
    assert written["health"]["diversity_steps"] == 1


SHIPPED = sorted(path for path in CONFIG.rglob("*.yaml") if path.stem != "rehearsal")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(CONFIG)))
def test_shipped_experiments_take_plain_rows_with_a_chat_model(path, base, configured, tmp_path):
    configured()
    changes = [f"model.name_or_path={base}", f"data.train_file={tmp_path / 'rows.jsonl'}"]
    settings = load_settings(path, changes)
    loaded = load_data(settings.data, settings.model)
    assert [turn.role for turn in loaded.examples[0].prompt.content] == ["user"]
