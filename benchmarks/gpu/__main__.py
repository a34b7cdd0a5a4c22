"""One table from one GPU, in about ten minutes: decoding against its floor, scoring, sampling for an evaluation.

    python -m benchmarks.gpu                          # a random model of the shape of Qwen3-8B in bfloat16
    python -m benchmarks.gpu --model Qwen/Qwen3-8B    # a real one
    python -m benchmarks.gpu --tiny                   # does the script run? (any machine)

The floor of a decoded token is the time to read all weights once, at the bandwidth measured here. Decoding is that of
training: with the adapter beside the weights, from the merged copy token by token, and from the copy as one CUDA graph,
with the share of samples that are the first way's. Scoring is forward
and backward of the same samples under gradient checkpointing: rows, one stream a prompt under a dense mask, and the
same under flex attention. Last comes a whole step beside TRL's GRPOTrainer (``benchmarks/step_vs_grpo.py``).
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from polychromic.core.nouns import Decoding
from polychromic.policy import generate as loop
from polychromic.policy import graph, logprobs
from polychromic.policy.generate import GenerationRequest, StopTokens, generate
from polychromic.policy.merged import merged
from polychromic.policy.sampling_mode import scoring_mode

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
NEVER = StopTokens((2**31 - 1,), 0)
"""An end that is not drawn, so that every row has the same length."""


def timed(work) -> float:
    """Seconds of the second of two calls; the first one compiles and allocates."""
    work()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def model_of(options: argparse.Namespace):
    torch.manual_seed(0)
    if options.model:
        return AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.bfloat16).to(DEVICE)
    big = {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32}
    small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    size = {"num_key_value_heads": 1, "vocab_size": 200} if options.tiny else {"num_key_value_heads": 8}
    config = Qwen3Config(**(small if options.tiny else big), **size, head_dim=16 if options.tiny else 128)
    with torch.device(DEVICE):
        return Qwen3ForCausalLM(config).to(torch.float32 if options.tiny else torch.bfloat16)


def adapted(model):
    found = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
    for name, weights in found.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.02)
    return found


def bandwidth(megabytes: int) -> float:
    """Bytes a second that the device reads, from a copy (which reads and writes)."""
    block = torch.empty(megabytes * 2**20, dtype=torch.uint8, device=DEVICE)
    return 2 * block.numel() / timed(lambda: block.clone())


def decoding(model, options: argparse.Namespace) -> None:
    weights = sum(p.numel() * p.element_size() for p in model.get_base_model().parameters())
    floor = weights / bandwidth(16 if options.tiny else 4096) * 1e3
    print(f"\ndecode: {weights / 2**30:.1f} GiB of weights, floor {floor:.2f} ms a token")
    print(f"{'rows':>6} {'way':<22}{'ms a token':>12}{'of the floor':>14}{'same samples':>14}")
    captured = graph.graph_decoder
    if options.tiny and DEVICE.type == "cpu":
        graph.why_not = lambda model: None  # the same code over a cache of fixed size, without the graph around it
    for rows in (8, 40, 128):
        request = GenerationRequest(rows // 4, Decoding(max_new_tokens=options.new), NEVER, 0)
        prompts, found = tokens(4, 256 if not options.tiny else 16, model), {}
        ways = {
            "adapter beside": (model, None),
            "merged copy": (merged(model), None),
            "graph": (merged(model), captured),
        }
        for name, (each, decoder) in ways.items():
            loop.graph_decoder = decoder or (lambda *_: None)
            seconds = timed(lambda each=each: found.update({name: generate(each, prompts, request)}))  # noqa: B023
            same = sum(map(equal, found[name], found["adapter beside"])) / len(prompts)
            ms = seconds / options.new * 1e3
            print(f"{rows:>6} {name:<22}{ms:>12.2f}{ms / floor:>14.1f}{same:>14.2f}")
    loop.graph_decoder = captured
    for reason in graph._refused.values():
        print(f"decoded by the loop: {reason}")


def equal(some, others) -> float:
    """The share of draws with the same tokens."""
    return sum(one.token_ids == other.token_ids for one, other in zip(some, others, strict=True)) / len(some)


def tokens(n: int, length: int, model) -> list[list[int]]:
    dice = random.Random(n)
    return [[dice.randrange(3, model.config.vocab_size) for _ in range(length)] for _ in range(n)]


def scoring(model, options: argparse.Namespace) -> None:
    prompts = tokens(8, 256 if not options.tiny else 16, model)
    groups = [tokens(5, 128 if not options.tiny else 8, model) for _ in prompts]
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    model.train()
    inner = logprobs.causal_lm(model)

    def score() -> None:
        model.zero_grad()
        with scoring_mode(model):
            logprobs.completion_logprobs(model, prompts, groups, 1.0).sum().backward()

    print(f"\nscoring 8 prompts x 5 samples, forward and backward, checkpointed\n{'way':<22}{'s':>8}")
    ways = (("rows", "sdpa", True), ("stream, dense", "sdpa", False), ("stream, flex", "flex_attention", False))
    for name, attention, rows in ways:
        if attention == "flex_attention" and DEVICE.type == "cpu":
            continue  # without a gradient there
        inner.set_attn_implementation(attention)
        logprobs._rows_only[inner] = rows
        print(f"{name:<22}{timed(score):>8.3f}")
    inner.set_attn_implementation("sdpa")
    model.eval()


def sampling(model, options: argparse.Namespace) -> None:
    """The rate of an evaluation's sampling, and what 500 prompts x 10 samples x 3 models take at it."""
    prompts, new = tokens(32, 256 if not options.tiny else 16, model), 2 * options.new
    request = GenerationRequest(10, Decoding(max_new_tokens=new), NEVER, 0)
    seconds = timed(lambda: generate(model, prompts, request))
    whole = seconds / 320 * 15000 / 60
    print(f"\nsampling 32 x 10 x {new} tokens in this process: {seconds:.1f} s; 500 x 10 x 3: {whole:.0f} min")


def step(options: argparse.Namespace) -> None:
    """A whole step beside GRPO's, in a process of its own, as the models here take the memory."""
    small = ["--prompts", "2", "--samples", "2", "--steps", "1", "--rounds", "1"]
    large = ["--hidden", "1024", "--longer", "200", "--new", "128", "--checkpointing", "--steps", "4"]
    script = Path(__file__).parents[1] / "step_vs_grpo.py"
    done = subprocess.run([sys.executable, script, *(small if options.tiny else large)], capture_output=True, text=True)
    print("\n" + (done.stdout.partition("Namespace")[2] or done.stderr[-1000:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="a folder or hub name; empty: random weights")
    parser.add_argument("--new", type=int, default=64, help="tokens to decode")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(torch.cuda.get_device_name() if DEVICE.type == "cuda" else "no GPU: these numbers say nothing")
    bare = model_of(options)
    with torch.no_grad():
        sampling(bare, options)
    model = adapted(bare)
    decoding(model, options)
    scoring(model, options)
    del bare, model
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
    step(options)


if __name__ == "__main__":
    main()
