"""The diversity term of an optimizer step: prompts in, samples drawn, credit given, gradients added.

No mathematics here: drawing is ``policy``'s, credit ``objective``'s, verdicts the task's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polychromic.core.errors import InputError, NumericalError, UnsoundObjectiveError
from polychromic.core.nouns import Decoding, SampleSet
from polychromic.core.protocols import Task, verdicts_on
from polychromic.core.seeds import child_seed
from polychromic.objective.combined import DiversityObjective
from polychromic.objective.composition import CompositionWindow
from polychromic.objective.surrogate import diversity_surrogate
from polychromic.policy.generate import Ends, Request, context_of
from polychromic.policy.logprobs import completion_logprobs
from polychromic.policy.render import completions
from polychromic.policy.sampling_mode import scoring_mode
from polychromic.samplers.transformers import generate_in_memory as generate
from polychromic.settings.schema import PolychromicSection
from polychromic.training.batch import PromptBook, Tokens, Window, choose

SCORED_TOKENS = 8192
"""Tokens scored with gradient at a time; more are scored in several backward passes."""
LARGEST_GAP = 0.25
"""Nats a token by which scored and drawn log-probabilities may differ on average: rounding stays far below."""
BAD_DRAWS = 3
"""Draws with logits that are not numbers in a row, after which the run stops."""


@dataclass(frozen=True)
class Drawn:
    """The samples of a step: prompts' tokens, their sets, advantages [p, n], and what to log."""

    prompts: list[Tokens]
    sets: list[SampleSet]
    advantages: Tensor
    report: dict[str, float]


@dataclass
class DiversityTerm:
    """Draws and scores for one trainer. ``seed`` and the step decide every sample."""

    section: PolychromicSection
    objective: DiversityObjective
    tokenizer: Any
    ends: Ends
    book: PromptBook
    task: Task | None
    seed: int
    bad_draws: int = 0

    def draw(self, model: Any, window: Window, step: int, *, rank: int = 0, ranks: int = 1) -> Drawn | None:
        """The step's samples with their advantages; None when there is no prompt or the draw failed.

        Raises:
            InputError: no sequence of the step has a prompt, or a task was given and no prompt is one of its.
            NumericalError: several draws in a row gave logits that are not numbers.
        """
        share = -(-self.section.max_examples_for_diversity // ranks)
        refuse_no_prompts(window)
        room = context_of(model)
        short = [prompt for prompt in window.prompts if len(prompt) + 1 < room]
        prompts = choose(short, share, child_seed(self.seed, "rank", rank), step)
        if not prompts:
            self.objective.observe_nothing()
            return None
        began = time.perf_counter()
        seed = child_seed(self.seed, "diversity samples", step, rank)
        try:
            sets = self._sets(model, prompts, seed)
        except NumericalError:
            self.bad_draws += 1
            if self.bad_draws >= BAD_DRAWS:
                raise
            self.objective.observe_nothing()
            return None
        self.bad_draws = 0
        ended = time.perf_counter()
        found = self.objective.advantages(sets, self._verdicts(sets))
        drawn = [completion for samples in sets for completion in samples.completions]
        tokens = sum(len(completion.token_ids) for completion in drawn)
        report = found.report | {
            "tokens_generated": float(tokens),
            "sample_entropy": -sum(completion.logprob or 0.0 for completion in drawn) / max(1, tokens),
            "seconds_sampling": ended - began,
            "seconds_judging": time.perf_counter() - ended,
        }
        return Drawn(prompts, sets, torch.from_numpy(found.advantages), report)

    def add_gradients(
        self,
        model: Any,
        drawn: Drawn,
        weight: float,
        backward: Callable[[Tensor], None],
        monitor: CompositionWindow | None,
    ) -> None:
        """Adds ``-weight * grad E[f]``, as estimated from the samples, to the gradients of ``model``.

        Raises:
            UnsoundObjectiveError: the log-probabilities are not those of the distribution that drew the samples.
        """
        total, gap = len(drawn.sets), 0.0
        for part in self._parts(drawn):
            with scoring_mode(model):
                logprobs = completion_logprobs(
                    model,
                    drawn.prompts[part],
                    [[completion.token_ids for completion in samples.completions] for samples in drawn.sets[part]],
                    self.section.temperature,
                    pad=self.ends.pad,
                )
                gap += refuse_gap(logprobs, drawn.sets[part])
                share = logprobs.shape[0] / total
                term = -weight * share * diversity_surrogate(drawn.advantages[part], logprobs)
                if monitor is not None:
                    monitor.add(None, term)
                backward(term)
        drawn.report["logprob_gap"] = gap / len(self._parts(drawn))

    def _parts(self, drawn: Drawn) -> list[slice]:
        """The sets in parts of at most ``SCORED_TOKENS``, at least one set each."""
        widest = max(len(prompt) for prompt in drawn.prompts) + max(
            len(completion.token_ids) for samples in drawn.sets for completion in samples.completions
        )
        sets = max(1, SCORED_TOKENS // (widest * self.section.n_generations))
        return [slice(start, start + sets) for start in range(0, len(drawn.sets), sets)]

    def _sets(self, model: Any, prompts: Sequence[Tokens], seed: int) -> list[SampleSet]:
        section = self.section
        decoding = Decoding(temperature=section.temperature, max_new_tokens=section.max_new_tokens)
        groups = generate(model, prompts, Request(section.n_generations, decoding, self.ends, seed))
        return [
            SampleSet(self.book.look_up(tokens, self.tokenizer), completions(self.tokenizer, draws), decoding, "policy")
            for tokens, draws in zip(prompts, groups, strict=True)
        ]

    def _verdicts(self, sets: Sequence[SampleSet]) -> Any:
        if self.task is None:
            return None
        if not any(samples.prompt.payload for samples in sets):
            raise InputError("no prompt of this step belongs to the task: were the demonstrations made from it?")
        prompts = [samples.prompt for samples in sets for _ in samples.completions]
        found = iter(verdicts_on(self.task, prompts, [one for samples in sets for one in samples.completions]))
        return [[next(found) for _ in samples.completions] for samples in sets]


def refuse_no_prompts(window: Window) -> None:
    """Raises InputError when no sequence of a step shows a prompt, as then there is nothing to sample from."""
    if window.skipped and not window.prompts:
        raise InputError(
            f"none of the {window.skipped} sequences of this step has a prompt before its first target; samples need "
            "one: give rows with prompt and completion, and leave completion_only_loss on"
        )


def refuse_gap(logprobs: Tensor, sets: Sequence[SampleSet]) -> float:
    """The mean difference, in nats a token, between what samples were drawn with and what they are scored with.

    Raises:
        UnsoundObjectiveError: it is more than rounding, so the gradient would be that of another distribution.
    """
    drawn = torch.tensor([[completion.logprob or 0.0 for completion in samples.completions] for samples in sets])
    lengths = torch.tensor([[max(1, len(one.token_ids)) for one in samples.completions] for samples in sets])
    gap = float(((logprobs.detach().float().cpu() - drawn).abs() / lengths).mean())
    if not gap <= LARGEST_GAP:
        raise UnsoundObjectiveError(
            f"samples are scored {gap:.3g} nats a token away from what they were drawn with; the model does not give "
            "the same logits with and without a cache"
        )
    return gap
