"""CPU seconds of scoring samples with gradient, forward and backward: a stream a prompt and a row a sample, in one run.

    python benchmarks/scoring.py --hidden 512 --layers 8 --prompts 2 --samples 8
    python benchmarks/scoring.py --embedded --prompts 16 --samples 8

Prompts and completions are random tokens; completions' lengths are exponential with mean ``--mean``, cut at
``--longest``.
"""

from __future__ import annotations

import argparse
import random
import time
import warnings

import torch
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM
from transformers.utils import logging

from polychromic.policy import logprobs
from polychromic.policy.sampling_mode import scoring_mode
from polychromic.tasks.countdown import base_path


def model_of(options: argparse.Namespace):
    torch.manual_seed(0)
    if options.embedded:
        base = AutoModelForCausalLM.from_pretrained(base_path(), dtype=torch.float32)
    else:
        shape = {"hidden_size": options.hidden, "intermediate_size": 3 * options.hidden, "head_dim": 64}
        heads = {"num_attention_heads": options.hidden // 64, "num_key_value_heads": max(1, options.hidden // 128)}
        size = {"vocab_size": options.vocabulary, "num_hidden_layers": options.layers, "tie_word_embeddings": False}
        base = Qwen3ForCausalLM(Qwen3Config(**shape, **heads, **size))
    model = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.02)
    return model


def texts(options: argparse.Namespace, vocabulary: int):
    dice = random.Random(1)

    def tokens(length: int) -> list[int]:
        return [dice.randrange(3, vocabulary) for _ in range(length)]

    def length() -> int:
        return min(options.longest, 1 + int(dice.expovariate(1 / options.mean)))

    prompts = [tokens(dice.randint(options.prompt // 2, options.prompt)) for _ in range(options.prompts)]
    return prompts, [[tokens(length()) for _ in range(options.samples)] for _ in prompts]


def timed(model, score, advantages, checkpointing):
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    else:
        model.gradient_checkpointing_disable()
    model.train()
    model.zero_grad()
    began = time.process_time()
    with scoring_mode(model):
        found = score()
        (advantages * found).sum().backward()
    return time.process_time() - began, found.detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = {"hidden": 512, "layers": 8, "vocabulary": 32000, "prompts": 2, "samples": 8}
    for name, value in (defaults | {"prompt": 256, "mean": 70, "longest": 128, "rounds": 3, "threads": 1}).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--embedded", action="store_true", help="the embedded base of Countdown")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    model = model_of(options)
    inner = logprobs.causal_lm(model)
    prompts, groups = texts(options, inner.config.vocab_size)
    advantages = torch.randn(len(prompts), options.samples, generator=torch.Generator().manual_seed(0))

    def ours(rows: bool):
        logprobs._rows_only[inner] = rows
        return logprobs.completion_logprobs(model, prompts, groups, 1.0)

    ways = {
        "rows": lambda: ours(rows=True),
        "stream": lambda: ours(rows=False),
    }
    seconds: dict[tuple[str, bool], list[float]] = {}
    values, flops = {}, {}
    for _ in range(options.rounds):
        for checkpointing in (True, False):
            for name, score in ways.items():
                spent, values[name] = timed(model, score, advantages, checkpointing)
                seconds.setdefault((name, checkpointing), []).append(spent)
    for name, checkpointing in seconds:
        with FlopCounterMode(display=False) as counter:
            timed(model, ways[name], advantages, checkpointing)
        flops[name, checkpointing] = counter.get_total_flops() / 1e9
    print(f"prompts {sum(map(len, prompts))} tokens, completions {sum(len(t) for g in groups for t in g)} tokens")
    print(f"{'way':<12}{'checkpointing':>14}{'CPU s':>9}{'GFLOP':>8}{'largest difference':>20}")
    for (name, checkpointing), found in seconds.items():
        gap = float((values[name] - values["rows"]).abs().max())
        on = "on" if checkpointing else "off"
        print(f"{name:<12}{on:>14}{min(found):>9.3f}{flops[name, checkpointing]:>8.1f}{gap:>20.1e}")


if __name__ == "__main__":
    main()
