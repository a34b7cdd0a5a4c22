"""What a policy writes for held-out prompts while it is trained: how often it is right, and how differently.

Measured by the very metrics of the evaluator, so that a curve over steps and the report speak of the same numbers.
Nothing of it enters the training: every evaluation draws with the same seed, from a generator of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments

from polychromic.core.errors import NumericalError
from polychromic.core.nouns import Decoding, Prompt, SampleSet, Verdict
from polychromic.core.protocols import Metric, Task, verdicts_on
from polychromic.policy.generate import context_of
from polychromic.policy.render import prompt_ids
from polychromic.policy.sharded import whole
from polychromic.records.samples import content_out
from polychromic.samplers.transformers import Transformers
from polychromic.training.logged_metrics import Gather, gather_over_ranks
from polychromic.training.tracking import MetricsFile, Send

SHOWN_PROMPTS = 3
"""Prompts whose completions are kept at each evaluation."""


@dataclass
class HeldOut:
    """Draws ``n`` completions for each prompt, judges and measures them; ``latest`` are the sets it drew last."""

    prompts: Sequence[Prompt]
    metrics: dict[str, Metric]
    n: int
    decoding: Decoding
    task: Task | None
    seed: int
    batch_size: int = 512
    failure: str = ""
    """Why the newest evaluation has no numbers."""
    latest: list[tuple[SampleSet, Sequence[Verdict] | None]] = field(default_factory=list)

    def measured(self, trainer: Any, prefix: str) -> dict[str, float]:
        """``numbers`` of a trainer's policy, each name after the prefix, such as ``eval_pass@1``; NaN on failure."""
        accelerator = trainer.accelerator
        policy, gather = accelerator.unwrap_model(trainer.model), gather_over_ranks(accelerator)
        place = (accelerator.process_index, accelerator.num_processes)
        with trainer.compute_loss_context_manager(), whole(policy):
            found = self.numbers(policy, trainer.processing_class, gather, *place)
        if self.failure:
            said = f"{self.failure}, when held-out prompts were sampled"
            trainer.health.found("held-out samples", said, trainer.state.global_step)
        return {f"{prefix}_{name}": value for name, value in found.items()}

    def numbers(self, model: Any, tokenizer: Any, gather: Gather, rank: int = 0, ranks: int = 1) -> dict[str, float]:
        """Every metric over all prompts by its name, and what it took; NaN for a metric that no prompt has a number of.

        Prompts that leave no room in the model's context are left out. Ranks share the others out, and agree on the
        numbers.
        """
        began = time.perf_counter()
        sampler = Transformers(model, tokenizer, self.batch_size)
        room = context_of(model)
        short = [prompt for prompt in self.prompts if len(prompt_ids(tokenizer, prompt)) + 1 < room]
        sets, self.failure = [], ""
        try:
            sets = sampler.sample(short[rank::ranks], self.n, self.decoding, self.seed)
        except NumericalError as error:
            self.failure = str(error)  # this rank still takes part in the exchange below
        drawn = [one for samples in sets for one in samples.completions]
        seconds = time.perf_counter() - began
        verdicts = self._verdicts(sets)
        judged: Sequence[Sequence[Verdict] | None] = verdicts if verdicts is not None else [None] * len(sets)
        self.latest = list(zip(sets, judged, strict=True))
        sums: dict[str, list[float]] = {"tokens_generated": [sum(len(one.token_ids) for one in drawn), 1.0 / ranks]}
        for name, metric in self.metrics.items():
            rows = [row for row in metric.measure(sets, verdicts) if row.numerator == row.numerator]
            above, below = sum(row.numerator for row in rows), sum(row.denominator for row in rows)
            sums[name] = [math.nan, 1.0] if self.failure else [above, below]
        whole: dict[str, list[float]] = {}
        for own in gather(sums):
            for name, (above, below) in own.items():
                total = whole.setdefault(name, [0.0, 0.0])
                whole[name] = [total[0] + above, total[1] + below]
        found = {name: above / below if below else math.nan for name, (above, below) in whole.items()}
        return found | {"seconds_sampling": seconds, "seconds_judging": time.perf_counter() - began - seconds}

    def _verdicts(self, sets: Sequence[SampleSet]) -> list[list[Verdict]] | None:
        if self.task is None or not self.task.judges:
            return None
        prompts = [samples.prompt for samples in sets for _ in samples.completions]
        found = iter(verdicts_on(self.task, prompts, [one for samples in sets for one in samples.completions]))
        return [[next(found) for _ in samples.completions] for samples in sets]


class HeldOutLog(MetricsFile):
    """At every evaluation the completions of the first prompts, a row each, beside the weights and to ``send``."""

    def __init__(self, path: Any, held_out: HeldOut, send: Send | None = None) -> None:
        super().__init__(path)
        self.held_out, self.send = held_out, send

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Nothing: numbers are the metrics file's."""

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Writes what was drawn last."""
        if self._log is not None:
            rows = [{"step": state.global_step} | row for row in self.rows()]
            self._log.append(rows)
            if self.send is not None and rows:
                self.send("eval/samples", list(rows[0]), [list(row.values()) for row in rows])

    def rows(self) -> list[dict[str, Any]]:
        """The completions of the first prompts; verdict and answer are None where no task judges."""
        return [
            {
                "prompt_id": samples.prompt.id,
                "prompt": content_out(samples.prompt),
                "completion": completion.text,
                "finished": completion.finished,
                "verdict": verdicts and str(verdicts[place].status),
                "answer": verdicts and verdicts[place].answer,
            }
            for samples, verdicts in self.held_out.latest[:SHOWN_PROMPTS]
            for place, completion in enumerate(samples.completions)
        ]
