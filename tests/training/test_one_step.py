"""The example is the trainer: same credit, same gradient; and short."""

import importlib.util
from pathlib import Path

import pytest

from polychromic.core.nouns import Labels
from polychromic.objective.credit import group_credit

FILE = Path(__file__).parents[2] / "examples" / "one_step.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("one_step", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_short():
    assert len(FILE.read_text().splitlines()) <= 130


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("answers", [["a", "a", None, "b", "c"], ["a"] * 5, [None] * 5, list("abcde")])
def test_its_credit_is_the_trainers(example, answers, k):
    right = group_credit(Labels(tuple(answers)), [float(one is not None) for one in answers], k)
    assert example.credit(answers, k) == pytest.approx(right.values)
    assert example.advantages(answers, k) == pytest.approx((right.values - right.reference) / 5)


def test_its_gradient_is_the_trainers(example, make_trainer, first_gradients, task):
    trainer = make_trainer(3.0, learning_rate=0.0, section={"temperature": 0.8})
    found, rollouts = first_gradients(trainer)
    prompts = {tuple(trainer.processing_class(one.content)["input_ids"]): one for one in task.prompts("train")}
    shown = {prompts_of(trainer, row): answer_of(row) for row in trainer.train_dataset}
    demonstrations = [(prompt, shown[tuple(prompt)]) for prompt in rollouts.prompts]
    samples = [[one.token_ids for one in samples.completions] for samples in rollouts.sets]

    def judge(prompt, tokens):
        text = trainer.processing_class.decode(tokens, skip_special_tokens=True)
        return task.verify(prompts[tuple(prompt)], type("Text", (), {"text": text})).answer

    model = trainer.accelerator.unwrap_model(trainer.model).eval()
    model.zero_grad()
    example.loss_of_step(model, demonstrations, samples, judge, 3.0, 2, 0.8).backward()
    size = max(float(value.abs().max()) for value in found.values())
    for name, weights in model.named_parameters():
        if weights.requires_grad:
            assert float((weights.grad - found[name]).abs().max()) < 1e-4 * size, name


def prompts_of(trainer, row):
    return tuple(token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label == -100)


def answer_of(row):
    return [label for label in row["labels"] if label != -100]


def test_it_runs(example, capsys):
    found = example.main(steps=10)
    assert "step 10" in capsys.readouterr().out
    assert len(found) == 10
    assert all(0 <= different <= 7 for different in found)
