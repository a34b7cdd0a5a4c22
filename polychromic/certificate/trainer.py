"""The certificate's part that runs the real trainer: chat template, LoRA, accumulation, sampling, scoring.

A one-layer Qwen3 over eleven words whose every completion can be enumerated: the mean of the trainer's own gradients
over thousands of sample sets must be the exact gradient of ``SFT loss - lambda E[f]``, coordinate by coordinate.
"""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch
from datasets import Dataset, disable_progress_bars, enable_progress_bars, is_progress_bar_enabled
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, PrinterCallback, Qwen3Config, Qwen3ForCausalLM, TrainerCallback

from polychromic.certificate.lines import Line, above, below, zero
from polychromic.core.nouns import Completion, Example, Message, Prompt, Status, Verdict
from polychromic.policy.render import training_row
from polychromic.settings.schema import PolychromicSection
from polychromic.training.trainer import PolychromicTrainer, SFTConfig

SECTION = "the real trainer"
WORDS = ("<pad>", "<end>", "<stop>", "<start>", "<unknown>", "user", "assistant", "color", "red", "blue", "green")
END, STOP = 1, 2
TEMPLATE = (
    "{% for m in messages %}<start> {{ m['role'] }} {{ m['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<start> assistant {% endif %}"
)
NEW_TOKENS = 2
TEMPERATURE = 1.3
LAMBDA = 2.0
SAMPLES, SET_SIZE = 4, 2
ROWS = 200
STEPS = 100
"""Demonstrations, all of them in every optimizer step, so that the demonstration gradient is a constant."""
MAX_Z = 4.5
ROUNDING = 1e-4
"""Relative, of float32 sums in another order."""


def tokenizer() -> Any:
    """Eleven words, two of which end a completion, and a chat template."""
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unknown>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", bos_token="<start>", unk_token="<unknown>"
    )
    made.chat_template = TEMPLATE
    return made


def policy(seed: int = 0) -> Any:
    """A LoRA adapter with non-zero weights on a tiny Qwen3, float32."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=64, initializer_range=0.5, tie_word_embeddings=False,
        eos_token_id=END, pad_token_id=0, bos_token_id=3,
    )  # fmt: skip
    base = Qwen3ForCausalLM(config)
    base.generation_config.eos_token_id = [END, STOP]
    lora = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(base, lora)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.5)
    return model


@dataclass(frozen=True)
class Colors:
    """The toy task: a finished completion with a word is right; the order of its words does not matter."""

    judges: ClassVar[bool] = True

    name: str = "colors"

    def prompts(self, split: str) -> Sequence[Prompt]:
        """Four conversations."""
        asked = ("color", "red", "blue color", "green")
        return [Prompt(word, (Message("user", word),), {"judged": True}) for word in asked]

    def examples(self, split: str) -> Sequence[Example]:
        """As many demonstrations as an optimizer step takes."""
        answers = itertools.cycle(("red", "blue", "red green"))
        pairs = zip(itertools.cycle(self.prompts(split)), answers, strict=False)
        return [Example(prompt, answer) for prompt, answer in itertools.islice(pairs, ROWS)]

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """The set of its words is its answer."""
        words = sorted(set(completion.text.split()))
        if not words or not completion.finished:
            return Verdict(Status.FAILED)
        return Verdict(Status.PASSED, answer=" ".join(words))


class GradientLog(TrainerCallback):  # type: ignore[misc]
    """Keeps the gradients of every optimizer step as one vector."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.steps: list[Tensor] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called with the whole window's gradients in place."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        self.steps.append(torch.cat([g.detach().reshape(-1).double() for g in gradients]))


@dataclass(frozen=True)
class Bench:
    """One policy and how it is trained: ``micro_batches`` a step, other ``options`` of the ``polychromic`` section."""

    steps: int
    micro_batches: int = 2
    checkpointing: bool = False
    weight: float = LAMBDA
    learning_rate: float = 0.0
    seed: int = 0
    trainer: type = PolychromicTrainer
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def model(self) -> Any:
        """The policy."""
        return policy()

    @cached_property
    def adapter(self) -> list[Tensor]:
        """Its trainable parameters."""
        return [weights for weights in self.model.parameters() if weights.requires_grad]

    def run(self) -> Tensor:
        """The gradients [steps, parameters] of a training run through the real trainer."""
        with tempfile.TemporaryDirectory() as folder, _quiet():
            trainer = self.make_trainer(folder)
            log = GradientLog(self.adapter)
            trainer.add_callback(log)
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        return torch.stack(log.steps)

    @property
    def weights(self) -> Tensor:
        """The adapter's weights as one vector."""
        return torch.cat([p.detach().reshape(-1).double() for p in self.adapter])

    def make_trainer(self, folder: str) -> Any:
        """The trainer of this bench, with its outputs under ``folder``."""
        task = Colors()
        arguments = SFTConfig(
            output_dir=folder, use_cpu=True, bf16=False, report_to=[], save_strategy="no", disable_tqdm=True,
            logging_strategy="no", max_steps=self.steps, per_device_train_batch_size=ROWS // self.micro_batches,
            gradient_accumulation_steps=self.micro_batches, gradient_checkpointing=self.checkpointing,
            learning_rate=self.learning_rate, lr_scheduler_type="constant", weight_decay=0.0, max_grad_norm=0.0,
            seed=self.seed, dataloader_pin_memory=False,
        )  # fmt: skip
        section = PolychromicSection.model_validate({
            "lambda": self.weight, "n_generations": SAMPLES, "set_size": SET_SIZE, "temperature": TEMPERATURE,
            "max_new_tokens": NEW_TOKENS, "max_examples_for_diversity": ROWS, "schedule": {"monitor_every": 0},
            **self.options,
        })  # fmt: skip
        extra = {"polychromic": section, "task": task} if self.trainer is PolychromicTrainer else {}
        rows = Dataset.from_list([training_row(example) for example in task.examples("train")])
        return self.trainer(model=self.model, args=arguments, train_dataset=rows, processing_class=tokenizer(), **extra)

    def exact(self, weight: float, temperature: float = TEMPERATURE) -> Tensor:
        """Autograd of ``SFT loss - weight E[f]`` by enumeration, from the plain logits; [parameters]."""
        words, task = tokenizer(), Colors()
        rows = Counter(_encoded(words, example) for example in task.examples("train"))
        targets = sum(times * len(answer) for (_, answer), times in rows.items())
        loss = torch.zeros((), dtype=torch.float64)
        for (prompt, answer), times in rows.items():
            diversity = _diversity(_log_probs(self.model, prompt, temperature), words, task)
            loss = loss - times * (_demonstration(self.model, prompt, answer) / targets + weight * diversity / ROWS)
        return torch.cat([g.reshape(-1).double() for g in torch.autograd.grad(loss, self.adapter)])


Tokens = tuple[int, ...]


def _encoded(words: Any, example: Example) -> tuple[Tokens, Tokens]:
    """Prompt and target tokens, written out by hand rather than through the template."""
    assert not isinstance(example.prompt.content, str)
    asked, answer = example.prompt.content[0].content, example.demonstration
    prompt = words(f"<start> user {asked} <end> <start> assistant")["input_ids"]
    return tuple(prompt), tuple(words(f"{answer} <end>")["input_ids"])


def _demonstration(model: Any, prompt: Tokens, answer: Tokens) -> Tensor:
    logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    logp: Tensor = torch.log_softmax(logits.double(), dim=-1).gather(-1, torch.tensor(answer)[:, None]).sum()
    return logp


def _log_probs(model: Any, prompt: Tokens, temperature: float) -> tuple[list[Tokens], Tensor]:
    """Every completion of a prompt, cut off at two tokens, and its log-probability at the sampling temperature."""
    others = [word for word in range(len(WORDS)) if word not in (END, STOP)]
    rows = torch.tensor([[*prompt, word] for word in others])
    logits = model(input_ids=rows).logits[:, -2:].double() / temperature
    first, second = torch.log_softmax(logits, dim=-1).unbind(dim=1)
    outcomes: list[Tokens] = [(END,), (STOP,)]
    logp = [first[0, END], first[0, STOP]]
    for row, word in enumerate(others):
        for after in range(len(WORDS)):
            outcomes.append((word, after))
            logp.append(first[row, word] + second[row, after])
    return outcomes, torch.stack(logp)


def _diversity(table: tuple[list[Tokens], Tensor], words: Any, task: Colors) -> Tensor:
    """``E[distinct valid answers of two] / 2``: the chance that an answer is among two draws, summed over answers."""
    outcomes, logp = table
    by_answer: dict[str, list[int]] = {}
    for i, outcome in enumerate(outcomes):
        text = words.decode(outcome, skip_special_tokens=True)
        completion = Completion(text, outcome, finished=outcome[-1] in (END, STOP))
        answer = task.verify(task.prompts("train")[0], completion).answer
        if answer is not None:
            by_answer.setdefault(answer, []).append(i)
    mass = torch.stack([logp[rows].exp().sum() for rows in by_answer.values()])
    return (1.0 - (1.0 - mass) ** SET_SIZE).sum() / SET_SIZE


def largest_z(steps: Tensor, exact: Tensor) -> float:
    """Largest distance of a coordinate's mean from the truth, in standard errors."""
    error = steps.std(dim=0) / steps.shape[0] ** 0.5
    moving = error > 1e-9
    return float(((steps.mean(dim=0) - exact).abs()[moving] / error[moving]).max())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' progress bars and notes."""
    shown = is_progress_bar_enabled()
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if shown:
            enable_progress_bars()


def step_difference(**changed: Any) -> float:
    """Relative change of a step's gradient when the run is set up otherwise; the samples are the same."""
    one, two = Bench(steps=1).run()[0], Bench(steps=1, **changed).run()[0]
    return float((one - two).norm() / one.norm())


def lambda_zero() -> float:
    """Largest difference of a weight after three steps with lambda = 0 and with TRL's own SFTTrainer."""
    trained = []
    for trainer in (PolychromicTrainer, PolychromicTrainer.__mro__[1]):
        bench = Bench(steps=3, weight=0.0, learning_rate=0.01, trainer=trainer)
        bench.run()
        trained.append(bench.weights)
    return float((trained[0] - trained[1]).abs().max())


def trainer_lines() -> list[Line]:
    """The real trainer's gradients: right, not the predecessor's, and the same however the step is cut up."""
    bench = Bench(STEPS)
    with _quiet():
        right, plain, untempered = bench.exact(LAMBDA), bench.exact(0.0), bench.exact(LAMBDA, 1.0)
    steps = bench.run()
    sets = f"{STEPS * ROWS:,} sets"
    return [
        below(SECTION, f"mean gradient of {sets} = exact gradient, max |z|", largest_z(steps, right), MAX_Z),
        above(SECTION, "detected: the gradient of SFT alone, max |z|", largest_z(steps, plain), MAX_Z),
        above(SECTION, "detected: scoring at T=1 instead of 1.3, max |z|", largest_z(steps, untempered), MAX_Z),
        below(SECTION, "one micro-batch instead of two", step_difference(micro_batches=1), ROUNDING),
        below(SECTION, "eight micro-batches instead of two", step_difference(micro_batches=8), ROUNDING),
        below(SECTION, "gradient checkpointing", step_difference(checkpointing=True), ROUNDING),
        zero(SECTION, "lambda = 0 is SFTTrainer, weights after 3 steps", lambda_zero()),
    ]
