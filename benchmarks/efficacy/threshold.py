"""Where junk begins to pay: lambda_eff raised step by step without a gate, on the grammar, against the prediction.

With f = (different answers)/2 of two samples, demonstrations of share d_a and no gate, the objective per sequence is
``sum_a d_a log p_a - lambda_eff * C / 2`` plus a constant, C = ``sum_y p_y^2``. Junk is many texts, so it costs C
nothing. At the optimum ``p_a = sqrt(d_a / lambda_eff)`` once that leaves mass over, so junk appears above

    ``lambda* = (sum_a sqrt(d_a))^2 = 1 / C`` at the threshold, which is ``1 / (2 C')`` with the monitor's ``C' = C/2``,

its share is then ``1 - sqrt(lambda* / lambda_eff)``, and C is held at ``1 / lambda_eff``. Both are measured here from
exact sums over all answers of the prompts trained on.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.efficacy.exact import answer_logprobs
from polychromic.policy.load import attach_adapters, load_base
from polychromic.records.jsonl import read_json, write_json
from polychromic.settings.load import load_settings
from polychromic.stages import train
from polychromic.tasks.grammar import Grammar

HERE = Path(__file__).parent
PROMPTS, DEMONSTRATIONS, STEPS = 16, 250, 800
RATIOS = (0.0, 0.5, 0.75, 0.9, 1.1, 1.25, 1.5, 2.0, 3.0)
"""Doses, as lambda_eff over the predicted threshold."""
TOKENS = 4
"""Of a demonstration: three letters and the end."""


def run(ratio: float, seed: int, base: str, out: Path) -> dict[str, Any]:
    """The dose's figures, from its file or from a run."""
    folder = out / "grammar" / "threshold" / f"ratio-{ratio:g}" / f"seed-{seed}"
    path = folder / "dose.json"
    if path.exists():
        return read_json(path)
    folder.mkdir(parents=True, exist_ok=True)
    task = Grammar(seed=seed, train_size=PROMPTS, demonstrations=DEMONSTRATIONS)
    rows = task.examples("train")
    data = folder / "train.jsonl"
    data.write_text(
        "".join(json.dumps({"prompt": row.prompt.content, "completion": row.demonstration}) + "\n" for row in rows)
    )
    shown = {
        prompt.id: Counter(row.demonstration for row in rows if row.prompt == prompt)
        for prompt in task.prompts("train")
    }
    predicted = float(np.mean([_threshold(counts) for counts in shown.values()]))
    effective = ratio * predicted
    overrides = [
        f"experiment.seed={seed}", f"model.name_or_path={base}", "data.task=null", f"data.train_file={data}",
        f"polychromic.lambda={effective / TOKENS}", "polychromic.gate=none", "polychromic.set_size=2",
        "polychromic.n_generations=16", "polychromic.max_examples_for_diversity=16",
        "polychromic.compute_every_n_steps=1", f"training.max_steps={STEPS}", "training.per_device_train_batch_size=64",
        "training.lr_scheduler_type=linear", "training.learning_rate=1e-2", "lora.r=32", "lora.lora_alpha=64",
        "lora.modules_to_save=[norm]",  # the base's logits are too small to leave junk no chance; its norms can grow
        f"training.save_steps={STEPS}",
    ]  # fmt: skip
    settings = load_settings(HERE / "grammar.yaml", overrides)
    train.run(settings, folder / "run")
    policy = attach_adapters(load_base(settings.model), {"adapter": folder / "run"})
    policy.use("adapter")
    junk, collision = [], []
    for prompt in task.prompts("train"):
        chances = np.exp(answer_logprobs(policy.model, policy.tokenizer, prompt, task.answers(prompt)))
        junk.append(1.0 - float(chances.sum()))
        collision.append(float((chances**2).sum()))
    found = {
        "ratio": ratio,
        "seed": seed,
        "predicted": predicted,
        "lambda_eff": effective,
        "junk": junk,
        "collision": collision,
        "thresholds": [_threshold(counts) for counts in shown.values()],
    }
    write_json(path, found)
    return found


def _threshold(counts: Counter[str]) -> float:
    total = sum(counts.values())
    return sum(math.sqrt(count / total) for count in counts.values()) ** 2


def predicted_junk(lambda_eff: float, thresholds: list[float]) -> float:
    """The mean over prompts of ``max(0, 1 - sqrt(lambda* / lambda_eff))``."""
    if lambda_eff <= 0:
        return 0.0
    return float(np.mean([max(0.0, 1.0 - math.sqrt(one / lambda_eff)) for one in thresholds]))


def measured_threshold(doses: list[dict[str, Any]]) -> float:
    """The one factor on all predicted thresholds that fits the junk above them best (least squares on a fine grid).

    Doses below the prediction enter too, so a threshold that came early or late would show.
    """
    grid = np.linspace(0.5, 2.0, 1501)
    floor = np.mean([np.mean(one["junk"]) for one in doses if one["ratio"] == 0.0])
    errors = []
    for factor in grid:
        gap = [
            np.mean(one["junk"])
            - floor
            - (1.0 - floor) * predicted_junk(one["lambda_eff"], [factor * value for value in one["thresholds"]])
            for one in doses
        ]
        errors.append(float(np.sum(np.square(gap))))
    return float(grid[int(np.argmin(errors))])
