"""A base whose chat template ends an answer by another token than its own end token: samples end all the same."""

from __future__ import annotations

import warnings

import pytest

from polychromic.core.nouns import Decoding, Message, Prompt
from polychromic.samplers.transformers import Transformers
from polychromic.settings.schema import HealthSection

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role[0] }}:{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>a:{% endif %}"
)
ROWS = [
    {"prompt": [{"role": "user", "content": f"{d}+1"}], "completion": [{"role": "assistant", "content": str(d + 1)}]}
    for d in range(8)
]


@pytest.fixture
def trained(make_trainer, tiny_model_factory, tiny_tokenizer_factory):
    """The last line of a run's log, its model and its tokenizer; what was warned of is added to ``said``."""

    def train(said):
        tokenizer = tiny_tokenizer_factory()
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
        tokenizer.chat_template = TEMPLATE
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            trainer = started(tokenizer)
            trainer.train()
        said += [str(one.message) for one in found]
        logged = [row for row in trainer.state.log_history if "completions/clipped_ratio" in row]
        return logged[-1], trainer.model, tokenizer

    def started(tokenizer):
        return make_trainer(
            rows=ROWS,
            tokenizer=tokenizer,
            model=tiny_model_factory(vocab=len(tokenizer), lora=True),
            section={"reward": "lexical", "gate": {"kind": "wellformed"}, "max_examples_for_diversity": 4},
            own={"task": None, "health": HealthSection(action="warn")},
            max_steps=30,
            per_device_train_batch_size=8,
            learning_rate=3e-2,
        )

    return train


def finished(model, tokenizer):
    sets = Transformers(model, tokenizer).sample(
        [Prompt("p", (Message("user", "2+1"),))], 32, Decoding(max_new_tokens=6), 0
    )
    return sum(one.finished for one in sets[0].completions) / 32


def test_samples_end_by_the_templates_token_in_training_and_evaluation(trained, monkeypatch):
    said = []
    logged, model, tokenizer = trained(said)
    assert not [text for text in said if "end token" in text]
    assert logged["completions/clipped_ratio"] < 0.2
    assert logged["polychromic/frac_valid"] > 0.8
    assert finished(model, tokenizer) > 0.8
    monkeypatch.setattr("polychromic.policy.render.answer_ending", lambda tokenizer: ())
    assert finished(model, tokenizer) < 0.2  # by the base's own end token alone


def test_without_the_template_the_demonstrations_own_last_token_ends_samples(trained, monkeypatch):
    monkeypatch.setattr("polychromic.policy.render.answer_ending", lambda tokenizer: ())
    assert trained([])[0]["completions/clipped_ratio"] < 0.2
    monkeypatch.setattr("polychromic.policy.render.ending_of", lambda tokenizer, target: ())
    said = []
    logged, _, _ = trained(said)
    assert any("8 of 8 demonstrations hold no end token" in text for text in said)
    assert logged["completions/clipped_ratio"] > 0.8
    assert logged["polychromic/frac_valid"] < 0.2
