"""The diversity term of an optimizer step: prompts in, samples drawn, credit given, gradients added.

No mathematics here: drawing is ``policy``'s, credit ``objective``'s, verdicts the task's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from polychromic.core.errors import InputError, NumericalError, UnsoundObjectiveError
from polychromic.core.nouns import Completion, Decoding, SampleSet, Verdict
from polychromic.core.protocols import Embedder, Task, verdicts_on
from polychromic.core.seeds import child_seed
from polychromic.objective.diversity_objective import DiversityObjective, GroupAdvantages
from polychromic.objective.gradient_balance import GradientWindow, gradient
from polychromic.objective.surrogate import diversity_surrogate, importance_weights
from polychromic.policy.generate import GenerationRequest, StopTokens, context_of
from polychromic.policy.logprobs import completion_logprobs, fed_tokens
from polychromic.policy.render import completions
from polychromic.policy.sampling_mode import scoring_mode
from polychromic.settings.schema import PolychromicSection
from polychromic.training.batch import PromptIndex, Tokens, Window, choose
from polychromic.training.drawing import Drawing, InProcess
from polychromic.training.logged_metrics import Sum

SCORED_TOKENS = 8192
"""Tokens scored with gradient at a time; more are scored in several backward passes."""
LARGEST_GAP = 0.25
"""Nats a token by which scored and drawn log-probabilities may differ on average: rounding stays far below."""
BAD_DRAWS = 3
"""Draws with logits that are not numbers in a row, after which the run stops."""

Verdicts = list[list[Verdict]] | None


@dataclass(frozen=True)
class Rollouts:
    """The samples of a step: prompts' tokens, their sets, verdicts and credit [p, n], and what to log."""

    prompts: list[Tokens]
    sets: list[SampleSet]
    verdicts: Verdicts
    credit: GroupAdvantages

    @property
    def advantages(self) -> Tensor:
        """Shape [p, n]."""
        return torch.from_numpy(self.credit.advantages)

    @property
    def report(self) -> dict[str, float]:
        """The numbers of the step by name."""
        return self.credit.report


@dataclass(frozen=True)
class ScoringChunk:
    """What is scored at a time: these samples of these sets."""

    sets: slice
    samples: slice

    def samples_of(self, rollouts: Rollouts) -> int:
        """How many samples it holds."""
        return len(rollouts.sets[self.sets]) * (self.samples.stop - self.samples.start)

    def halves(self) -> list[ScoringChunk]:
        """The chunk in two, by sets or else by samples; itself when it is one sample."""
        for name, whole in (("sets", self.sets), ("samples", self.samples)):
            middle = (whole.start + whole.stop) // 2
            if middle > whole.start:
                ends = (slice(whole.start, middle), slice(middle, whole.stop))
                return [replace(self, **{name: end}) for end in ends]
        return [self]


Found = TypeVar("Found")


def run_or_none_on_oom(model: nn.Module, work: Callable[[], Found]) -> Found | None:
    """What the work gives; None when the device ran out of memory, with the model's gradients as they were before."""
    held = [(weights, None if weights.grad is None else weights.grad.clone()) for weights in model.parameters()]
    try:
        return work()
    except torch.OutOfMemoryError:
        pass  # what follows must not hold on to the failed graph, which the error's traceback does
    for weights, before in held:
        weights.grad = before
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


@dataclass
class DiversityTerm:
    """Draws and scores for one trainer. ``seed`` and the step decide every sample."""

    section: PolychromicSection
    objective: DiversityObjective
    tokenizer: Any
    stop_tokens: StopTokens
    index: PromptIndex
    task: Task | None
    seed: int
    embedder: Embedder | None = None
    """What the reward embeds with, if it does; one that remembers, as it is given a step's texts beforehand."""
    drawing: Drawing = field(default_factory=InProcess)
    bad_draws: int = 0
    latest: tuple[int, Rollouts] | None = None
    """The newest step with samples, and these."""
    max_scored_tokens: int | None = None
    """Tokens scored at a time since the device ran out of memory; None while it has not."""

    def draw(self, model: Any, window: Window, step: int, *, rank: int = 0, ranks: int = 1) -> Rollouts | None:
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
            self.objective.sync_without_samples()
            return None
        began = time.perf_counter()
        seed = child_seed(self.seed, "diversity samples", step, rank)
        try:
            sets = self._sets(model, prompts, seed)
        except NumericalError:
            self.bad_draws += 1
            if self.bad_draws >= BAD_DRAWS:
                raise
            self.objective.sync_without_samples()
            return None
        self.bad_draws = 0
        ended = time.perf_counter()
        verdicts = self.verdicts(sets)
        if self.embedder is not None:  # all at once: a call for each set would cost a device more than the texts do
            self.embedder.embed([text for samples in sets for text in samples.texts])
        found = self.objective.advantages(sets, verdicts)
        drawn = [completion for samples in sets for completion in samples.completions]
        tokens = sum(len(completion.token_ids) for completion in drawn)
        found.report.update(
            {
                "polychromic/tokens_generated": Sum(tokens),
                "polychromic/entropy": -sum(completion.logprob or 0.0 for completion in drawn) / max(1, tokens),
                "polychromic/seconds_sampling": ended - began,
                "polychromic/seconds_judging": time.perf_counter() - ended,
                "polychromic/frac_thought": sum(bool(one.thought) for one in drawn) / max(1, len(drawn)),
            }
        )
        self.latest = step, Rollouts(prompts, sets, verdicts, found)
        return self.latest[1]

    def add_gradients(
        self,
        model: Any,
        rollouts: Rollouts,
        weight: float,
        backward: Callable[[Tensor], None],
        monitor: GradientWindow | None,
    ) -> None:
        """Adds ``-weight * grad E[f]``, as estimated from the samples, to the gradients of ``model``.

        A diversity step stands for the ``compute_every_n_steps`` steps up to the next one, so its gradients count as
        often and the mean over these steps has ``weight``; the monitor sees that mean. A chunk for which the device
        has too little memory is scored in halves, and so are all that follow.

        Raises:
            UnsoundObjectiveError: the log-probabilities are not those of the distribution that drew the samples.
            OutOfMemoryError: not even a single sample fits.
        """

        def score(chunk: ScoringChunk) -> float:
            with scoring_mode(model):
                surrogate, gap = self.surrogate(model, rollouts, chunk)
                term = -weight * surrogate
                seen = None if monitor is None else gradient(term, monitor.parameters)
                backward(self.section.compute_every_n_steps * term)
            if monitor is not None:
                monitor.add_gradients(None, seen)  # only now, as a chunk that failed is scored again
            return gap * chunk.samples_of(rollouts)

        pending, gap = self.chunks(model, rollouts), 0.0
        while pending:
            found = run_or_none_on_oom(model, partial(score, pending[0]))
            if found is None:
                refuse_single(pending[0].samples_of(rollouts))
                self.max_scored_tokens = max(self._tokens(model, rollouts, half) for half in pending[0].halves())
                pending = [half for chunk in pending for half in chunk.halves()]
            else:
                gap += found
                del pending[0]
        rollouts.report["polychromic/logprob_gap"] = gap / rollouts.advantages.numel()

    def surrogate(self, model: Any, rollouts: Rollouts, chunk: ScoringChunk) -> tuple[Tensor, float]:
        """The chunk's share of the surrogate, and its gap of log-probabilities."""
        sets = [samples.completions[chunk.samples] for samples in rollouts.sets[chunk.sets]]
        tokens = [[completion.token_ids for completion in completions] for completions in sets]
        prompts = rollouts.prompts[chunk.sets]
        logprobs = completion_logprobs(model, prompts, tokens, self.section.temperature)
        gap = refuse_gap(logprobs, sets)
        advantages = rollouts.advantages[chunk.sets, chunk.samples]
        if self.drawing.largest_weight is not None:
            weights = importance_weights(logprobs, drawn_logprobs(sets), self.drawing.largest_weight)
            advantages = advantages.to(weights) * weights
        surrogate = diversity_surrogate(advantages, logprobs)
        return len(prompts) / len(rollouts.sets) * surrogate, gap

    def chunks(self, model: Any, rollouts: Rollouts) -> list[ScoringChunk]:
        """The sets, halved into chunks of at most ``SCORED_TOKENS``, one set at least unless memory bounds them."""
        most, chunks = self.max_scored_tokens or SCORED_TOKENS, []
        pending = [ScoringChunk(slice(0, len(rollouts.sets)), slice(0, self.section.n_generations))]
        while pending:
            chunk = pending.pop()
            one_set = self.max_scored_tokens is None and chunk.sets.stop - chunk.sets.start == 1
            if one_set or chunk.samples_of(rollouts) == 1 or self._tokens(model, rollouts, chunk) <= most:
                chunks.append(chunk)
            else:
                pending += reversed(chunk.halves())
        return chunks

    def _tokens(self, model: Any, rollouts: Rollouts, chunk: ScoringChunk) -> int:
        """The tokens that the model is fed for a chunk."""
        sets = [samples.completions[chunk.samples] for samples in rollouts.sets[chunk.sets]]
        return fed_tokens(model, rollouts.prompts[chunk.sets], [[one.token_ids for one in some] for some in sets])

    def _sets(self, model: Any, prompts: Sequence[Tokens], seed: int) -> list[SampleSet]:
        section = self.section
        decoding = Decoding(temperature=section.temperature, max_new_tokens=section.max_new_tokens)
        request = GenerationRequest(section.n_generations, decoding, self.stop_tokens, seed)
        groups = self.drawing.draw(model, prompts, request)
        return [
            SampleSet(
                self.index.prompt_of(tokens, self.tokenizer),
                completions(self.tokenizer, draws, tokens),
                decoding,
                "policy",
            )
            for tokens, draws in zip(prompts, groups, strict=True)
        ]

    def verdicts(self, sets: Sequence[SampleSet]) -> Verdicts:
        """The task's findings on every completion; None without a task.

        Raises:
            InputError: no prompt is one of the task's.
        """
        if self.task is None:
            return None
        if self.index.known and all(samples.prompt.id in self.index.unknown for samples in sets):
            raise InputError("no prompt of this step belongs to the task: were the demonstrations made from it?")
        prompts = [samples.prompt for samples in sets for _ in samples.completions]
        found = iter(verdicts_on(self.task, prompts, [one for samples in sets for one in samples.completions]))
        return [[next(found) for _ in samples.completions] for samples in sets]


def refuse_single(samples: int) -> None:
    """Raises OutOfMemoryError when there was too little memory for one sample, as then there is nothing to halve."""
    if samples == 1:
        raise torch.OutOfMemoryError(
            "a single sample of the diversity term does not fit into the device's memory: lower "
            "polychromic.max_new_tokens, or turn training.gradient_checkpointing on"
        )


def refuse_no_prompts(window: Window) -> None:
    """Raises InputError when no sequence of a step shows a prompt, as then there is nothing to sample from."""
    if window.skipped and not window.prompts:
        raise InputError(
            f"none of the {window.skipped} sequences of this step has a token before its target, "
            "so there is nothing that a sample could answer"
        )


def drawn_logprobs(sets: Sequence[Sequence[Completion]]) -> Tensor:
    """The summed log-probabilities [p, n] under what the samples were drawn from."""
    return torch.tensor([[completion.logprob or 0.0 for completion in completions] for completions in sets])


def refuse_gap(logprobs: Tensor, sets: Sequence[Sequence[Completion]]) -> float:
    """The mean difference, in nats a token, between what samples were drawn with and what they are scored with.

    Raises:
        UnsoundObjectiveError: it is more than rounding, so the gradient would be that of another distribution.
    """
    drawn = drawn_logprobs(sets)
    lengths = torch.tensor([[max(1, len(one.token_ids)) for one in completions] for completions in sets])
    gap = float(((logprobs.detach().float().cpu() - drawn).abs() / lengths).mean())
    if not gap <= LARGEST_GAP:
        raise UnsoundObjectiveError(
            f"samples are scored {gap:.3g} nats a token away from what they were drawn with; the model does not give "
            "the same logits with and without a cache"
        )
    return gap
