"""What a trained adapter does on a task's prompts: one list per figure, in the prompts' order, at every temperature.

On Countdown the figures are counted in ``K`` samples a prompt; on the grammar they are exact sums over all answers.
``pass@1`` and ``pass@16`` in [0, 1]; ``distinct`` is distinct-and-correct@16: how many
different right answers 16 samples hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.efficacy.exact import answer_logprobs, exact_figures
from polychromic.core.nouns import Decoding, Prompt
from polychromic.core.protocols import Task, verdicts_on
from polychromic.core.seeds import child_seed
from polychromic.diversity.answers import distinct_at_k, label_counts
from polychromic.policy.generate import GenerationRequest, generate
from polychromic.policy.load import Policy, attach_adapters, load_base
from polychromic.policy.render import completions, prompt_ids, stop_tokens_of
from polychromic.settings import catalog
from polychromic.settings.schema import Settings
from polychromic.stages.models import resolve

if TYPE_CHECKING:
    from benchmarks.efficacy.cells import Cell

K = 16
ROWS = 1024

Figures = dict[str, list[float]]


def read(cell: Cell, scale: float, run: Path, settings: Settings) -> dict[str, Figures]:
    """Figures by temperature of a finished run's adapter at ``scale``, or of the base where nothing was trained."""
    policy = load_base(resolve(settings.model))
    if cell.steps:
        policy = attach_adapters(policy, {"adapter": run})
        policy.use("adapter")
        policy.scale("adapter", scale)
    task: Any = catalog.build("tasks", settings.data.task)
    prompts = task.prompts(cell.split)[: cell.prompts]
    if cell.task == "grammar":
        return {f"{t:g}": exact(policy, task, prompts, t) for t in cell.temperatures}
    longest = settings.polychromic.max_new_tokens
    return {
        f"{t:g}": sampled(policy, task, prompts, Decoding(temperature=t, max_new_tokens=longest))
        for t in cell.temperatures
    }


def sampled(policy: Policy, task: Task, prompts: tuple[Prompt, ...], decoding: Decoding) -> Figures:
    """Counted in ``K`` samples of each prompt; every method meets the same random numbers."""
    found: Figures = {name: [] for name in ("pass@1", "pass@16", "distinct", "unique", "length")}
    ends = stop_tokens_of(policy.model, policy.tokenizer)
    for start in range(0, len(prompts), ROWS // K):
        part = prompts[start : start + ROWS // K]
        seed = child_seed(0, "efficacy", str(decoding.temperature), start)
        request = GenerationRequest(K, decoding, ends, seed)
        groups = generate(policy.model, [prompt_ids(policy.tokenizer, prompt) for prompt in part], request)
        for prompt, draws in zip(part, groups, strict=True):
            drawn = completions(policy.tokenizer, draws)
            verdicts = verdicts_on(task, [prompt] * len(drawn), drawn)
            right = [verdict.passed for verdict in verdicts]
            answers = [verdict.answer if verdict.passed else None for verdict in verdicts]
            texts = [completion.text for completion in drawn]
            found["pass@1"].append(float(np.mean(right)))
            found["pass@16"].append(float(any(right)))
            found["distinct"].append(distinct_at_k(answers, K))
            found["unique"].append(float(label_counts(texts).size))
            found["length"].append(float(np.mean([len(completion.token_ids) for completion in drawn])))
    return found


def exact(policy: Policy, task: Any, prompts: tuple[Prompt, ...], temperature: float) -> Figures:
    """Sums over all answers of each prompt of the grammar."""
    found: Figures = {name: [] for name in ("pass@1", "pass@16", "distinct", "coverage", "collision", "divergence")}
    for prompt in prompts:
        answers = task.answers(prompt)
        logprobs = answer_logprobs(policy.model, policy.tokenizer, prompt, answers, temperature)
        one = exact_figures(logprobs, task.shares(prompt), K)
        found["pass@1"].append(one.validity)
        found["pass@16"].append(1.0 - (1.0 - min(1.0, one.validity)) ** K)
        found["distinct"].append(one.coverage * len(answers))
        found["coverage"].append(one.coverage)
        found["collision"].append(one.collision)
        found["divergence"].append(one.divergence)
    return found
