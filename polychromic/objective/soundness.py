"""What the objective refuses before a model is loaded, each in one sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from polychromic.core.errors import UnsoundObjectiveError
from polychromic.core.nouns import Decoding
from polychromic.objective.credit import MAX_SUBSETS, SetSize, evaluations
from polychromic.objective.schedule import DEMONSTRATIONS, ScheduleOptions
from polychromic.objective.set_value import samples_needed
from polychromic.settings.catalog import split
from polychromic.settings.schema import Kind, PolychromicSection

NEEDS_ENCODER = frozenset({"semantic", "vendi", "logdet", "clusters"})
NEEDS_TASK = frozenset({"quality"})
PAIRWISE_RIVALS = frozenset({"darling", "dra"})
LARGE_SET = 4
"""From set sizes above this one, rewarding only what nobody else gave costs the quality of single answers."""


@dataclass(frozen=True)
class Surroundings:
    """What a run has beside its settings: a task that judges completions, an encoder for texts, demonstrations.

    ``repeated`` is how many demonstrations the prompt with the most of them has; None where nobody has counted.
    ``as_written``: the task takes programs that are written differently for different answers.
    """

    verifier: bool
    encoder: bool = True
    demonstrations: bool = True
    repeated: int | None = None
    as_written: bool = False


def refuse_unsound(
    section: PolychromicSection, surroundings: Surroundings, decoding: Decoding | None = None
) -> list[str]:
    """The warnings these settings deserve; nothing is checked where lambda is 0, as nothing is sampled then.

    Raises:
        UnsoundObjectiveError: the diversity gradient would be wrong or could not be computed.
    """
    weight = section.diversity_weight
    if weight < 0:
        raise UnsoundObjectiveError(f"polychromic.lambda: {weight} would reward sameness; allowed: 0 or more")
    if weight == 0:
        return []
    if decoding is not None and decoding.truncated:
        raise UnsoundObjectiveError(
            "training samples must come from the policy itself; "
            f"allowed: top_p=1 (not {decoding.top_p}), top_k=0 (not {decoding.top_k}), no constraint"
        )
    _refuse_sizes(section)
    _refuse_parts(section, surroundings)
    _refuse_rival(section)
    _refuse_schedule(section, surroundings)
    return _warnings(section, surroundings)


def _refuse_sizes(section: PolychromicSection) -> None:
    n, k = section.n_generations, _set_size(section)
    if n < 2:
        raise UnsoundObjectiveError(
            "polychromic.n_generations: a set of one sample has no diversity; allowed: 2 or more"
        )
    if isinstance(k, int) and not 1 <= k <= n:
        raise UnsoundObjectiveError(
            f"polychromic.set_size: {k} samples cannot be chosen from {n} generations; allowed: 1 to {n}, or shapley"
        )
    form = evidence_form(section.reward)
    if form == "pairs" and k == 1:
        raise UnsoundObjectiveError("polychromic.set_size: a set of one sample has no pair; allowed: 2 or more")
    if form == "set function" and evaluations(n, k) > MAX_SUBSETS:
        raise UnsoundObjectiveError(
            f"polychromic.set_size: {k} of {n} generations takes {evaluations(n, k)} evaluations of a set function for "
            f"each prompt; allowed: {n}, or a reward of answers or pairs"
        )


def _refuse_parts(section: PolychromicSection, surroundings: Surroundings) -> None:
    gate, _ = split(section.gate)
    if gate == "verifier" and not surroundings.verifier:
        raise UnsoundObjectiveError(
            "polychromic.gate: verifier needs a task that judges completions (data.task); "
            "allowed without: likelihood, wellformed, none"
        )
    if gate == "likelihood" and not surroundings.demonstrations:
        raise UnsoundObjectiveError(
            "polychromic.gate: likelihood takes its threshold from demonstrations; there are none"
        )
    for kind, _ in _nested(section.reward):
        if kind in NEEDS_ENCODER and not surroundings.encoder:
            raise UnsoundObjectiveError(
                f"polychromic.reward: {kind} compares embeddings, so it needs an encoder (evaluation.encoder); "
                "allowed without one: answers, lexical"
            )
        if kind in NEEDS_TASK and not surroundings.verifier:
            raise UnsoundObjectiveError(f"polychromic.reward: {kind} needs a task that judges completions (data.task)")


def _refuse_rival(section: PolychromicSection) -> None:
    if section.rival in PAIRWISE_RIVALS and evidence_form(section.reward) == "set function":
        raise UnsoundObjectiveError(
            f"polychromic.rival: {section.rival} compares samples in pairs; allowed: a reward of answers or of pairs"
        )


def _refuse_schedule(section: PolychromicSection, surroundings: Surroundings) -> None:
    options = ScheduleOptions.parse(section.schedule)
    least = samples_needed(section.set_size, section.n_generations)
    if options.calibrated == DEMONSTRATIONS and surroundings.repeated is not None and surroundings.repeated < least:
        raise UnsoundObjectiveError(
            f"polychromic.schedule.calibrated: demonstrations takes {least} demonstrations of one prompt to know what "
            f"a set of them is worth, and no prompt has more than {surroundings.repeated}; allowed: a number in [0, 1]"
        )


def _warnings(section: PolychromicSection, surroundings: Surroundings) -> list[str]:
    out = []
    if surroundings.as_written and any(kind == "answers" for kind, _ in _nested(section.reward)):
        out.append(
            "polychromic.reward: answers pays for every way to write one solution down, junk included, as the task's "
            "distinct_by is program; approach pays for different solutions"
        )
    if split(section.gate)[0] == "none":
        out.append(
            "polychromic.gate: none lets junk count as diverse; "
            "it pays once 2 * lambda_eff * C exceeds 1 (logged as polychromic/off_support_gain)"
        )
    n = section.n_generations
    if split(section.reward)[0] == "answers" and _set_size(section) == n and n > LARGE_SET:
        out.append(
            f"polychromic.set_size: with {n} of {n} generations only answers nobody else gave are rewarded; "
            "a smaller set_size keeps the quality of single answers"
        )
    return out


def evidence_form(reward: Kind) -> str:
    """``labels``, ``pairs`` or ``set function``: what a settings entry's reward gives, which decides its set sizes."""
    kind, options = split(reward)
    if kind == "answers":
        return "labels"
    if kind == "semantic" or (kind == "lexical" and options.get("statistic", "jaccard") == "jaccard"):
        return "pairs"
    if kind == "mixture" and all(evidence_form(part) == "pairs" for part in options.get("parts", ("answers",))):
        return "pairs"
    return "set function"


def junk_warning(section: PolychromicSection, tokens: float) -> str:
    """From which similarity of the samples on junk pays in a run whose demonstrations have ``tokens`` target tokens.

    Empty where a gate keeps junk out, and where the weight is not known beforehand.
    """
    schedule = ScheduleOptions.parse(section.schedule)
    adapts = schedule.target_share is not None or schedule.calibrated is not None
    if split(section.gate)[0] != "none" or not section.diversity_weight or adapts:
        return ""
    strength = min(section.diversity_weight * tokens, schedule.max_lambda_eff or math.inf)
    if strength <= 0.5:  # 2 * lambda_eff * C cannot exceed 1, as C is at most 1
        return ""
    return (
        f"polychromic.lambda: {section.diversity_weight:g} and about {tokens:.0f} tokens a demonstration make a "
        f"lambda_eff of {strength:.3g}: without a gate junk pays while samples are more than "
        f"{100 / (2 * strength):.2g} % alike; choose a gate or set polychromic.schedule.max_lambda_eff"
    )


def needs_encoder(reward: Kind) -> bool:
    """Whether a reward, or one inside it, compares embeddings."""
    return any(kind in NEEDS_ENCODER for kind, _ in _nested(reward))


def _set_size(section: PolychromicSection) -> SetSize:
    return section.n_generations if section.set_size is None else section.set_size


def _nested(reward: Kind) -> Iterator[tuple[str, dict[str, Any]]]:
    """A reward's kind and options, and those of the rewards it is made of."""
    kind, options = split(reward)
    yield kind, options
    inner: list[Kind] = [*options.get("parts", ()), *([options["of"]] if "of" in options else [])]
    for part in inner:
        yield from _nested(part)
