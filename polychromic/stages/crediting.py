"""What a harvest draws, and its samples' credit: the rows of its pool, by the objective that training has."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Decoding, Example, Prompt, SampleSet, Verdict
from polychromic.core.protocols import Embedder, Progress
from polychromic.core.seeds import child_seed
from polychromic.objective.diversity_objective import DiversityObjective, ScoredSet
from polychromic.objective.harvest import credit_mass
from polychromic.records.evaluation import EvaluationFolder
from polychromic.records.harvest import HarvestAccount, Harvested
from polychromic.records.samples import StoredSet, first_samples
from polychromic.records.verdicts import verdicts_of
from polychromic.settings import catalog
from polychromic.settings.schema import EvaluationSection, HarvestSection, Settings
from polychromic.stages.demonstrations import Data
from polychromic.stages.models import NamedModel, named_model, resolve

if TYPE_CHECKING:
    from polychromic.stages import sample

BASE = "base"
BATCH = 512
THRESHOLD_ROWS = 256
"""Demonstrations the likelihood gate's threshold is made from."""


@dataclass(frozen=True)
class Harvest:
    """What is drawn and how it is credited; ``drawn_by`` is a run's folder in the place of ``data.harvest.from``."""

    settings: Settings
    data: Data
    embedder: Embedder | None = None
    drawn_by: str = ""

    @property
    def section(self) -> HarvestSection:
        """The section ``data.harvest``, or its defaults."""
        return self.settings.data.harvest or HarvestSection()

    @property
    def prompts(self) -> list[Prompt]:
        """The prompts asked, each once, chosen by the seed."""
        known = {prompt.id: prompt for prompt in self.data.prompts}
        order = sorted(known)
        random.Random(child_seed(self.settings.experiment.seed, "harvest prompts")).shuffle(order)
        return [known[name] for name in order[: self.section.prompts]]

    @property
    def model(self) -> NamedModel:
        """Who draws."""
        source = self.drawn_by or self.section.source
        return NamedModel("policy", self.settings.model) if source == BASE else named_model("policy", source)

    @property
    def plan(self) -> sample.SamplePlan:
        """How they draw."""
        from polychromic.stages import sample

        section, term = self.section, self.settings.polychromic
        drawing = EvaluationSection(
            n=section.n,
            temperatures=(term.temperature,),
            max_new_tokens=term.max_new_tokens,
            engine=section.engine,
            batch_size=BATCH,
        )
        return sample.SamplePlan(drawing, self.settings.experiment.seed)


def credited(harvest: Harvest, folder: Path, progress: Progress) -> tuple[list[Harvested], HarvestAccount]:
    """The rows of the pool, in the prompts' order, and the account."""
    asked = {prompt.id for prompt in harvest.prompts}
    held = EvaluationFolder(folder)
    decodings = harvest.plan.decodings()
    sets = [
        first_samples(stored, harvest.section.n)
        for stored in held.sets()
        if stored.samples.prompt.id in asked and stored.samples.decoding in decodings
    ]
    known = held.judged()
    objective = _objective(harvest)
    rows: list[Harvested] = []
    credits_: list[list[float]] = []
    valid = unfinished = 0
    for place, stored in enumerate(sets, start=1):
        samples = stored.samples
        verdicts = verdicts_of(stored, known) if known else None
        (found,) = objective.credits([samples], None if verdicts is None else [verdicts])
        values = _of_finished(samples, found)
        credits_.append(values)
        valid += sum(value > 0 for value in found.validity)
        unfinished += sum(not completion.finished for completion in samples.completions)
        rows += _rows(stored, verdicts, values)
        progress("credit", place, len(sets))
    if not rows:
        raise InputError(
            f"{folder}: not one of {sum(len(stored.indices) for stored in sets)} samples has credit, so there is "
            "nothing to learn from; ask more prompts, draw more samples, or a policy that finds an answer now and then"
        )
    without = sum(not any(values) for values in credits_)
    samples_drawn = sum(len(values) for values in credits_)
    mass = credit_mass(credits_)
    return rows, HarvestAccount(len(sets), without, samples_drawn, valid, unfinished, len(rows), mass)


def _of_finished(samples: SampleSet, found: ScoredSet) -> list[float]:
    """The credits, 0 for what was cut off: it would be learnt with an end that it does not have."""
    return [
        float(credit) if completion.finished else 0.0
        for credit, completion in zip(found.credit.values, samples.completions, strict=True)
    ]


def _rows(stored: StoredSet, verdicts: Sequence[Verdict] | None, values: Sequence[float]) -> list[Harvested]:
    """One row for each different text with credit."""
    samples, found = stored.samples, dict[str, Harvested]()
    for index, (completion, credit) in enumerate(zip(samples.completions, values, strict=True)):
        if credit <= 0.0 or not completion.text.strip():
            continue
        before = found.get(completion.text)
        if before is not None:
            found[completion.text] = replace(before, credit=before.credit + credit, copies=before.copies + 1)
            continue
        answer = None if verdicts is None else verdicts[index].answer
        found[completion.text] = Harvested(
            Example(samples.prompt, completion.text),
            credit,
            1,
            len(values),
            answer,
            stored.model,
            stored.adapter,
            stored.temperature,
        )
    return list(found.values())


def _objective(harvest: Harvest) -> DiversityObjective:
    term = harvest.settings.polychromic
    reward = catalog.build("rewards", term.reward, task=harvest.data.task, embedder=harvest.embedder)
    gate = catalog.build("gates", term.gate, task=harvest.data.task, reference=_reference(harvest))
    gate = _with_threshold(gate, harvest)
    return DiversityObjective(reward, gate, harvest.section.set_size)


def _with_threshold(gate: Any, harvest: Harvest) -> Any:
    """The likelihood gate with the threshold that the demonstrations give; every other gate as it is."""
    from polychromic.gates.likelihood import Likelihood, threshold_of

    if not isinstance(gate, Likelihood) or gate.threshold is not None:
        return gate
    shown = harvest.data.examples[:THRESHOLD_ROWS]
    values = [
        gate.reference(SampleSet(example.prompt, (Completion(example.demonstration),), Decoding()))[0]
        for example in shown
    ]
    return replace(gate, threshold=threshold_of(values, gate.quantile))


def _reference(harvest: Harvest) -> Callable[[SampleSet], Sequence[float]]:
    """Mean log-likelihood per token under the untuned base, which is loaded when it is first asked for."""
    loaded: list[tuple[Any, Any]] = []

    def scores(samples: SampleSet) -> Sequence[float]:
        from polychromic.policy.load import load_base
        from polychromic.policy.logprobs import mean_logprobs
        from polychromic.policy.render import prompt_ids, stop_tokens_of

        if not loaded:
            policy = load_base(resolve(harvest.settings.model), harvest.settings.quantization)
            loaded.append((policy, stop_tokens_of(policy.model, policy.tokenizer)))
        policy, ends = loaded[0]
        tokens = [_tokens(policy.tokenizer, completion, ends.eos[0]) for completion in samples.completions]
        return mean_logprobs(policy.model, prompt_ids(policy.tokenizer, samples.prompt), tokens)

    return scores


def _tokens(tokenizer: Any, completion: Completion, end: int) -> tuple[int, ...]:
    """The completion's tokens, its end included; made from the text where the engine gave none."""
    if completion.token_ids:
        return completion.token_ids
    return (*tokenizer(completion.text, add_special_tokens=False)["input_ids"], end)
