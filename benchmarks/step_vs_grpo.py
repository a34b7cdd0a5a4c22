"""Seconds per training step beside TRL's GRPOTrainer: same base, LoRA, prompts and number of samples, in one run.

    python benchmarks/step_vs_grpo.py --prompts 16 --samples 8 --steps 6 --threads 1

A step of ours draws, judges and scores the samples and trains on the demonstrations of the same prompts besides; a step
of GRPO draws, judges and scores. The trainers take turns, so that other load on the machine falls on both.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings

import torch
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, logging
from trl import GRPOConfig, GRPOTrainer

from polychromic.core.nouns import Completion
from polychromic.policy.render import training_row
from polychromic.settings.schema import PolychromicSection
from polychromic.tasks.countdown import Countdown, base_path
from polychromic.training.trainer import PolychromicTrainer, SFTConfig

MAX_NEW_TOKENS = 24


class Clock(TrainerCallback):
    """Seconds of each optimizer step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def on_step_begin(self, args, state, control, **kwargs):
        if not self.seconds:
            self._began = self._began or time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        now = time.perf_counter()
        self.seconds.append(now - self._began)
        self._began = now


def common(options: argparse.Namespace, folder: str) -> dict:
    return {
        "output_dir": folder,
        "max_steps": options.steps + 1,
        "learning_rate": 1e-3,
        "bf16": False,
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": False,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": options.steps + 1,
        "disable_tqdm": True,
        "seed": 0,
    }


def loaded():
    model = AutoModelForCausalLM.from_pretrained(base_path(), dtype=torch.float32)
    return (
        model,
        AutoTokenizer.from_pretrained(base_path()),
        LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"),
    )


def ours(options: argparse.Namespace, folder: str, task: Countdown) -> list[float]:
    model, tokenizer, lora = loaded()
    clock = Clock()
    trainer = PolychromicTrainer(
        model=model,
        args=SFTConfig(per_device_train_batch_size=options.prompts, **common(options, folder)),
        train_dataset=Dataset.from_list([training_row(example) for example in task.examples("train")]),
        processing_class=tokenizer,
        peft_config=lora,
        polychromic=PolychromicSection(
            diversity_weight=1.0,
            n_generations=options.samples,
            set_size=4,
            max_examples_for_diversity=options.prompts,
            max_new_tokens=MAX_NEW_TOKENS,
        ),
        task=task,
        callbacks=[clock],
    )
    trainer.train()
    return clock.seconds[1:]


def theirs(options: argparse.Namespace, folder: str, task: Countdown) -> list[float]:
    model, tokenizer, lora = loaded()
    known = {prompt.content: prompt for prompt in task.prompts("train")}
    clock = Clock()

    def reward(prompts, completions, **kwargs):
        pairs = zip(prompts, completions, strict=True)
        return [float(task.verify(known[prompt], Completion(text)).passed) for prompt, text in pairs]

    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=GRPOConfig(
            per_device_train_batch_size=options.prompts * options.samples,
            num_generations=options.samples,
            max_completion_length=MAX_NEW_TOKENS,
            temperature=1.0,
            beta=0.0,
            **common(options, folder),
        ),
        train_dataset=Dataset.from_list([{"prompt": content} for content in known]),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[clock],
    )
    trainer.train()
    return clock.seconds[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("prompts", 16), ("samples", 8), ("steps", 6), ("rounds", 2), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    disable_progress_bars()
    torch.set_num_threads(options.threads)
    task = Countdown(train_size=512)
    seconds: dict[str, list[float]] = {"polychromic": [], "GRPO": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            seconds["polychromic"] += ours(options, folder, task)
            seconds["GRPO"] += theirs(options, folder, task)
    print(f"\n{options.prompts} prompts x {options.samples} samples, {options.threads} thread(s), first step left out")
    print(f"{'trainer':<14}{'median s':>10}{'fastest s':>11}{'steps':>7}")
    for name, found in seconds.items():
        print(f"{name:<14}{statistics.median(found):>10.3f}{min(found):>11.3f}{len(found):>7}")
    ratio = statistics.median(seconds["GRPO"]) / statistics.median(seconds["polychromic"])
    print(f"GRPO takes {ratio:.2f} times as long a step")


if __name__ == "__main__":
    main()
