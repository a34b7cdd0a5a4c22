"""A tiny run of the real trainer: prompts of three characters, what starts with a letter or digit is a right answer."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from polychromic.core.nouns import Example, Prompt, Status, Verdict
from polychromic.settings.schema import PolychromicSection


@dataclass
class Digits:
    """Right: a letter or digit first, which is the answer."""

    name: str = "digits"
    judges: bool = True
    asked: list[str] = field(default_factory=list)

    def prompts(self, split):
        letters = "abcdefghij"
        return [
            Prompt(f"{a}{b}", f"{a}{b}=" + " " * (place % 3), {"a": a})
            for a in letters
            for place, b in enumerate(letters[:4])
        ]

    def examples(self, split):
        return [Example(prompt, str(place % 10)) for place, prompt in enumerate(self.prompts(split))]

    def verify(self, prompt, completion):
        assert "a" in prompt.payload
        self.asked.append(prompt.id)
        if completion.text[:1].isalnum():
            return Verdict(Status.PASSED, answer=completion.text[0])
        return Verdict(Status.FAILED, "neither letter nor digit")


@pytest.fixture
def task():
    return Digits()


@pytest.fixture
def make_trainer(tmp_path, task, tiny_model_factory, tiny_tokenizer_factory):
    """A trainer of the tiny policy: lambda is ``weight``, ``own`` are keywords of ours, the rest is TRL's."""

    def make(
        weight=1.0,
        section=None,
        model=None,
        rows=None,
        kind=None,
        dropout=0.0,
        tokenizer=None,
        own=None,
        **arguments,
    ):
        from datasets import Dataset, disable_progress_bars

        from polychromic.policy.render import training_row
        from polychromic.training.trainer import PolychromicTrainer, SFTConfig

        disable_progress_bars()
        chosen = {
            "n_generations": 4,
            "set_size": 2,
            "max_examples_for_diversity": 8,
            "max_new_tokens": 6,
            "reward": "answers",
            "gate": {"kind": "verifier", "truncated": "valid"},
        } | (section or {})
        defaults = {
            "output_dir": str(tmp_path / "out"),
            "max_steps": 3,
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-2,
            "lr_scheduler_type": "constant",
            "optim": "adamw_torch",
            "gradient_checkpointing": False,
            "bf16": False,
            "use_cpu": True,
            "report_to": [],
            "save_strategy": "no",
            "logging_steps": 1,
            "disable_tqdm": True,
            "seed": 5,
        }
        trainer_class = kind or PolychromicTrainer
        extra = (
            {"polychromic": PolychromicSection(diversity_weight=weight, **chosen), "task": task, **(own or {})}
            if issubclass(trainer_class, PolychromicTrainer)
            else {}
        )
        rows = rows if rows is not None else [training_row(example) for example in task.examples("train")]
        return trainer_class(
            model=model if model is not None else tiny_model_factory(lora=True, dropout=dropout),
            args=SFTConfig(**(defaults | arguments)),
            train_dataset=Dataset.from_list(rows) if isinstance(rows, list) else rows,
            processing_class=tokenizer or tiny_tokenizer_factory(),
            **extra,
        )

    return make


@pytest.fixture
def weights_of():
    """The trained weights of a trainer, by name."""

    def take(trainer):
        return {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}

    return take


@pytest.fixture
def first_gradients():
    """What the optimizer sees at the first step: gradients by name, and the samples drawn (None: none)."""

    def take(trainer):
        from transformers import TrainerCallback

        seen, drawn = {}, []

        class Look(TrainerCallback):
            def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
                if not seen:
                    seen.update({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})

        trainer.add_callback(Look())
        if trainer.term is not None:
            draw = trainer.term.draw

            def record(*args, **kwargs):
                drawn.append(draw(*args, **kwargs))
                return drawn[-1]

            trainer.term.draw = record
        trainer.args.max_grad_norm = 0.0
        trainer.args.max_steps = 1
        trainer.train()
        return seen, drawn[0] if drawn else None

    return take
