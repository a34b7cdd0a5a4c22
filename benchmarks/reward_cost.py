"""What the objective costs beside the step it belongs to: gate, reward, credit, baseline, and the gradient monitor.

    python benchmarks/reward_cost.py [--prompts 16] [--generations 16] [--steps 10]

The step is the real trainer's on the embedded Countdown model: sampling, scoring and a demonstration batch. Every
reward is timed on the sets that this run sampled. Embeddings are listed by themselves, as they are the encoder's
cost; the objective's figures for rewards of embeddings are without them. What the encoder would be beside larger
policies is counted, not measured. All figures are processor time of one thread,
in milliseconds a step, the median over the steps (rewards: over ten repeats).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import disable_progress_bars

from polychromic.core.nouns import SampleSet, Verdict
from polychromic.embedding.cache import CachedEmbedder
from polychromic.embedding.encoder import load_encoder
from polychromic.objective.baseline import KINDS
from polychromic.objective.diversity_objective import DiversityObjective
from polychromic.objective.gradient_balance import GradientWindow
from polychromic.records.artefacts import RunFolder
from polychromic.settings.catalog import build
from polychromic.settings.load import load_settings

REWARDS: dict[str, Any] = {
    "answers": "answers",
    "lexical jaccard": "lexical",
    "lexical distinct": {"kind": "lexical", "statistic": "distinct"},
    "semantic": "semantic",
    "vendi": "vendi",
    "logdet": "logdet",
    "clusters": "clusters",
    "mixture answers + vendi": {"kind": "mixture", "parts": ["answers", "vendi"]},
    "quality x semantic": {"kind": "quality", "of": "semantic"},
}
WARM_UP = 2
ANSWER, DEMONSTRATIONS = 128, 4096
SIZES = (1.2e6, 0.6e9, 1.7e9, 8e9)
Batch = tuple[Sequence[SampleSet], Sequence[Sequence[Verdict]]]


class Stopwatch:
    """Processor time between marks."""

    def __init__(self) -> None:
        self.laps: list[float] = []
        self.since = time.process_time()

    def start(self) -> None:
        self.since = time.process_time()

    def stop(self) -> None:
        self.laps.append(1000 * (time.process_time() - self.since))

    @property
    def median(self) -> float:
        return statistics.median(self.laps[WARM_UP:])


def train(options: argparse.Namespace) -> tuple[Stopwatch, Stopwatch, Stopwatch, list[Batch]]:
    """A short run: times of whole steps, of the objective and of the monitor inside them, and every step's samples."""
    from transformers import PrinterCallback, TrainerCallback

    from polychromic.policy.load import load_base
    from polychromic.stages import train as stage
    from polychromic.stages.models import resolve
    from polychromic.training import trainer as trainer_module

    settings = load_settings(
        Path(__file__).parent.parent / "config/demo/online.yaml",
        [
            f"polychromic.n_generations={options.generations}",
            f"polychromic.max_examples_for_diversity={options.prompts}",
            f"training.per_device_train_batch_size={options.prompts}",
            "polychromic.schedule={monitor_every: 1}",
            f"training.max_steps={options.steps + WARM_UP}",
        ],
    )
    steps, objective, monitor, seen = Stopwatch(), Stopwatch(), Stopwatch(), []

    class Watched(GradientWindow):
        spent = 0.0

        def add(self, *terms: Any) -> None:
            began = time.process_time()
            super().add(*terms)
            Watched.spent += 1000 * (time.process_time() - began)

        def close(self) -> Any:
            began = time.process_time()
            found = super().close()
            Watched.spent += 1000 * (time.process_time() - began)
            return found

    class Lap(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            Watched.spent = 0.0
            steps.start()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            steps.stop()
            monitor.laps.append(Watched.spent)
            steps.laps[-1] -= Watched.spent

    with tempfile.TemporaryDirectory() as folder:
        policy = load_base(resolve(settings.model), None)
        trainer = stage._trainer(settings, RunFolder(Path(folder)), policy, stage.load_data(settings.data), None)
        original = trainer.term.objective.advantages

        def timed(*batch: Any) -> Any:
            objective.start()
            found = original(*batch)
            objective.stop()
            seen.append(batch)
            return found

        trainer.term.objective.advantages = timed
        trainer_module.GradientWindow = Watched
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(Lap())
        trainer.train()
    return steps, objective, monitor, seen


class Table:
    """Embeddings made beforehand."""

    name = "table"

    def __init__(self, embedder: Any, sets: Sequence[SampleSet]) -> None:
        texts = sorted({text for one in sets for text in one.texts})
        self.rows = dict(zip(texts, embedder.embed(texts), strict=True))

    def embed(self, texts: Sequence[str]) -> Any:
        return np.array([self.rows[text] for text in texts])


def timed(work: Callable[[], object], repeats: int = 10) -> float:
    watch = Stopwatch()
    for _ in range(repeats + WARM_UP):
        watch.start()
        work()
        watch.stop()
    return watch.median


def embedding(model: Any, batches: Sequence[Batch]) -> tuple[float, float]:
    """Milliseconds a step for the texts that no earlier step had, as the trainer asks; their share of all texts."""
    cached, watch = CachedEmbedder(model), Stopwatch()
    for sets, _ in batches:
        watch.start()
        cached.embed([text for one in sets for text in one.texts])
        watch.stop()
    return watch.median, cached.encoded / sum(len(one.texts) for sets, _ in batches for one in sets)


def arithmetic(model: Any, options: argparse.Namespace) -> None:
    """The encoder's share of a step's floating-point operations, by counting; nothing is measured here."""
    per_token = 2 * sum(weights.numel() for name, weights in model._model.named_parameters() if "layer" in name)
    texts = options.prompts * options.generations
    read = texts * ANSWER
    print(
        f"\nby arithmetic: {texts} samples of {ANSWER} tokens, {DEMONSTRATIONS} demonstration tokens; forward 2, with"
    )
    print("LoRA's backward pass 4 operations a parameter and token; the encoder reads as many tokens as are drawn")
    for size in SIZES:
        policy, encoder = size * (2 * read + 4 * read + 4 * DEMONSTRATIONS), read * per_token
        print(f"policy of {size / 1e9:g}B parameters: encoder {100 * encoder / (policy + encoder):.3f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--generations", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    disable_progress_bars()
    steps, objective, monitor, batches = train(options)
    step, (sets, verdicts) = steps.median, batches[-1]
    print(
        f"{options.prompts} prompts x {options.generations} samples, Countdown 1.2M, one thread; milliseconds a step\n"
    )
    print(f"{'part':<34}{'ms':>9}{'% of step':>12}")

    def show(name: str, cost: float) -> None:
        print(f"{name:<34}{cost:>9.2f}{100 * cost / step:>11.1f}%")

    show("whole step", step)
    show("objective in it (answers, k=4)", objective.median)
    show("gradient monitor, every step", monitor.median)
    show("gradient monitor, every 10 steps", monitor.median / 10)
    model = load_encoder(None)
    table = Table(model, sets)
    show("embedding every text, no cache", timed(lambda: Table(model, sets), 3))
    spent, new = embedding(model, batches)
    show(f"embedding the {new:.0%} unseen, as in a run", spent)
    print()
    gate = build("gates", "verifier")
    for name, entry in REWARDS.items():
        made = DiversityObjective(build("rewards", entry, embedder=table), gate)
        show(f"{name}, k=N", timed(lambda made=made: made.advantages(sets, verdicts)))
    print()
    for kind in KINDS:
        made = DiversityObjective(build("rewards", "answers"), gate, 4, kind)
        show(f"answers, k=4, {kind}", timed(lambda made=made: made.advantages(sets, verdicts)))
    arithmetic(model, options)


if __name__ == "__main__":
    main()
