"""CPU seconds of a training step beside TRL's GRPOTrainer: same base, LoRA, prompts and number of samples, in one run.

    python benchmarks/step_vs_grpo.py --prompts 16 --samples 8 --steps 6
    python benchmarks/step_vs_grpo.py --hidden 256 --longer 200 --new 128 --prompts 4 --samples 8 --checkpointing

A step of ours draws, judges and scores the samples and trains on the demonstrations of the same prompts besides; a step
of GRPO draws, judges and scores. The demonstrations' own part is measured apart, by a run with lambda = 0. The trainers
take turns, so that other load on the machine falls on all. ``--hidden`` takes a random Qwen3 of eight layers instead
of the embedded base, ``--longer`` lengthens the prompts by so many characters.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from dataclasses import dataclass, replace

import torch
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, Qwen3ForCausalLM, TrainerCallback, logging
from trl import GRPOConfig, GRPOTrainer

from polychromic.core.nouns import Completion
from polychromic.policy.render import training_row
from polychromic.settings.schema import PolychromicSection
from polychromic.tasks.countdown import Countdown, base_path
from polychromic.training.trainer import PolychromicTrainer, SFTConfig

clock = time.perf_counter if torch.cuda.is_available() else time.process_time


class Clock(TrainerCallback):
    """CPU seconds of each optimizer step; on a GPU, seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def on_step_begin(self, args, state, control, **kwargs):
        if not self.seconds:
            self._began = self._began or clock()

    def on_step_end(self, args, state, control, **kwargs):
        now = clock()
        self.seconds.append(now - self._began)
        self._began = now


@dataclass(frozen=True)
class LongCountdown(Countdown):
    """Countdown with ``filler`` in front of every prompt; a random model of middle size knows neither."""

    filler: str = ""

    def prompts(self, split):
        return tuple(replace(prompt, content=self.filler + prompt.content) for prompt in super().prompts(split))

    def examples(self, split):
        longer = zip(self.prompts(split), super().examples(split), strict=True)
        return tuple(replace(example, prompt=prompt) for prompt, example in longer)


def common(options: argparse.Namespace, folder: str) -> dict:
    return {
        "output_dir": folder,
        "max_steps": options.steps + 1,
        "learning_rate": 1e-3,
        "bf16": False,
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": options.checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": options.steps + 1,
        "disable_tqdm": True,
        "seed": 0,
    }


def loaded(options: argparse.Namespace):
    tokenizer = AutoTokenizer.from_pretrained(base_path())
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")
    if not options.hidden:
        return AutoModelForCausalLM.from_pretrained(base_path(), dtype=torch.float32), tokenizer, lora
    torch.manual_seed(0)
    heads = {"num_attention_heads": options.hidden // 64, "num_key_value_heads": options.hidden // 128, "head_dim": 64}
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    shape = {"hidden_size": options.hidden, "intermediate_size": 3 * options.hidden, "num_hidden_layers": 8}
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), **shape, **heads, **ends)), tokenizer, lora


def ours(options: argparse.Namespace, folder: str, task: LongCountdown) -> list[float]:
    return supervised(options, folder, task, 1.0)


def demonstrations(options: argparse.Namespace, folder: str, task: LongCountdown) -> list[float]:
    return supervised(options, folder, task, 0.0)


def supervised(options: argparse.Namespace, folder: str, task: LongCountdown, weight: float) -> list[float]:
    model, tokenizer, lora = loaded(options)
    steps = Clock()
    trainer = PolychromicTrainer(
        model=model,
        args=SFTConfig(per_device_train_batch_size=options.prompts, **common(options, folder)),
        train_dataset=Dataset.from_list([training_row(example) for example in task.examples("train")]),
        processing_class=tokenizer,
        peft_config=lora,
        polychromic=PolychromicSection(
            diversity_weight=weight,
            n_generations=options.samples,
            set_size=min(4, options.samples),
            max_examples_for_diversity=options.prompts,
            max_new_tokens=options.new,
        ),
        task=task,
        callbacks=[steps],
    )
    trainer.train()
    return steps.seconds[1:]


def theirs(options: argparse.Namespace, folder: str, task: LongCountdown) -> list[float]:
    model, tokenizer, lora = loaded(options)
    known = {prompt.content: prompt for prompt in task.prompts("train")}
    steps = Clock()

    def reward(prompts, completions, **kwargs):
        pairs = zip(prompts, completions, strict=True)
        return [float(task.verify(known[prompt], Completion(text)).passed) for prompt, text in pairs]

    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=GRPOConfig(
            per_device_train_batch_size=options.prompts * options.samples,
            num_generations=options.samples,
            max_completion_length=options.new,
            temperature=1.0,
            beta=0.0,
            **common(options, folder),
        ),
        train_dataset=Dataset.from_list([{"prompt": content} for content in known]),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[steps],
    )
    trainer.train()
    return steps.seconds[1:]


WAYS = {"polychromic": ours, "its demonstrations": demonstrations, "GRPO": theirs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = {"prompts": 16, "samples": 8, "steps": 6, "rounds": 2, "threads": 1, "new": 24, "hidden": 0, "longer": 0}
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--checkpointing", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    disable_progress_bars()
    torch.set_num_threads(options.threads)
    task = LongCountdown(train_size=512, filler="1+2=3\n" * (options.longer // 6))
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for name, way in WAYS.items():
                seconds[name] += way(options, folder, task)
    median = {name: statistics.median(found) for name, found in seconds.items()}
    print(f"\n{options}, first step left out")
    print(f"{'trainer':<20}{'median s':>14}{'fastest':>9}{'steps':>7}")
    for name, found in seconds.items():
        print(f"{name:<20}{median[name]:>14.3f}{min(found):>9.3f}{len(found):>7}")
    print(f"polychromic / GRPO {median['polychromic'] / median['GRPO']:.2f}, without its demonstrations ", end="")
    print(f"{(median['polychromic'] - median['its demonstrations']) / median['GRPO']:.2f}")


if __name__ == "__main__":
    main()
