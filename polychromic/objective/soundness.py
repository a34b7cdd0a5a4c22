"""What the objective refuses before a model is loaded, each in one sentence.

Decided once for a run, from what reward and gate say of themselves, and passed on as a ``SoundTerm``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from polychromic.core.errors import UnsoundObjectiveError
from polychromic.core.nouns import Decoding
from polychromic.core.protocols import Gate, Reward
from polychromic.objective.credit import MAX_SUBSETS, SetSize, evaluations
from polychromic.objective.schedule import DEMONSTRATIONS
from polychromic.objective.set_value import samples_needed
from polychromic.rewards.answers import Answers
from polychromic.settings.catalog import kinds, outline, split
from polychromic.settings.outside import inside
from polychromic.settings.schema import DataSection, Kind, PolychromicSection

PAIRWISE_RIVALS = frozenset({"darling", "dra"})
LARGE_SET = 4
"""From set sizes above this one, rewarding only what nobody else gave costs the quality of single answers."""
NEEDED = {
    "encoder": "an encoder of texts (evaluation.encoder)",
    "verifier": "a task that judges completions (data.task)",
    "demonstrations": "demonstrations",
}


@dataclass(frozen=True)
class Surroundings:
    """What a run has beside its settings: a task that judges completions, an encoder for texts, demonstrations.

    ``as_written``: the task takes programs that are written differently for different answers.
    """

    verifier: bool
    encoder: bool = True
    demonstrations: bool = True
    as_written: bool = False


@dataclass(frozen=True)
class SoundTerm:
    """Settings of the diversity term that were found sound in a run's surroundings, and the warnings they deserve."""

    section: PolychromicSection
    warnings: tuple[str, ...] = ()


def refuse_unsound(
    section: PolychromicSection,
    surroundings: Surroundings,
    decoding: Decoding | None = None,
    *,
    reward: Reward | None = None,
    gate: Gate | None = None,
) -> SoundTerm:
    """The settings, found sound; nothing is checked where lambda is 0, as nothing is sampled then.

    ``reward`` and ``gate`` are those of the section unless they are given.

    Raises:
        UnsoundObjectiveError: the diversity gradient would be wrong or could not be computed.
    """
    weight = section.diversity_weight
    if weight < 0:
        raise UnsoundObjectiveError(f"polychromic.lambda: {weight} would reward sameness; allowed: 0 or more")
    if weight == 0:
        return SoundTerm(section)
    if decoding is not None and decoding.truncated:
        raise UnsoundObjectiveError(
            "training samples must come from the policy itself; "
            f"allowed: top_p=1 (not {decoding.top_p}), top_k=0 (not {decoding.top_k}), no constraint"
        )
    reward = reward or outline("rewards", section.reward)
    gate = gate or outline("gates", section.gate)
    _refuse_sizes(section, reward)
    _refuse_needs("gate", section.gate, gate, surroundings)
    _refuse_needs("reward", section.reward, reward, surroundings)
    if section.rival in PAIRWISE_RIVALS and reward.form == "set function":
        raise UnsoundObjectiveError(
            f"polychromic.rival: {section.rival} compares samples in pairs; allowed: a reward of answers or of pairs"
        )
    return SoundTerm(section, tuple(_warnings(section, reward, surroundings)))


def _refuse_sizes(section: PolychromicSection, reward: Reward) -> None:
    n, k = section.n_generations, _set_size(section)
    if n < 2:
        raise UnsoundObjectiveError(
            "polychromic.n_generations: a set of one sample has no diversity; allowed: 2 or more"
        )
    if isinstance(k, int) and not 1 <= k <= n:
        raise UnsoundObjectiveError(
            f"polychromic.set_size: {k} samples cannot be chosen from {n} generations; allowed: 1 to {n}, or shapley"
        )
    if reward.form == "pairs" and k == 1:
        raise UnsoundObjectiveError("polychromic.set_size: a set of one sample has no pair; allowed: 2 or more")
    if reward.form == "set function" and evaluations(n, k) > MAX_SUBSETS:
        raise UnsoundObjectiveError(
            f"polychromic.set_size: {k} of {n} generations takes {evaluations(n, k)} evaluations of a set function for "
            f"each prompt; allowed: {n}, or a reward of answers or pairs"
        )


def _refuse_needs(key: str, entry: Kind, kind: Reward | Gate, surroundings: Surroundings) -> None:
    for need in kind.needs:
        if not getattr(surroundings, need):
            shelf = f"{key}s"
            without = [name for name in kinds(shelf) if need not in outline(shelf, name).needs]
            raise UnsoundObjectiveError(
                f"polychromic.{key}: {split(entry)[0]} needs {NEEDED[need]}; allowed without: {', '.join(without)}"
            )


def refuse_few_demonstrations(section: PolychromicSection, largest: int) -> None:
    """Nothing when the prompt with the most demonstrations has enough for the target that the schedule asks for.

    Raises:
        UnsoundObjectiveError: it has not.
    """
    least = samples_needed(section.set_size, section.n_generations)
    if section.diversity_weight and section.schedule.calibrated == DEMONSTRATIONS and largest < least:
        raise UnsoundObjectiveError(
            f"polychromic.schedule.calibrated: demonstrations needs at least {least} demonstrations of one prompt "
            f"(largest here: {largest}); allowed: a number in [0, 1]"
        )


def _warnings(section: PolychromicSection, reward: Reward, surroundings: Surroundings) -> list[str]:
    out = []
    if surroundings.as_written and any(isinstance(kind, Answers) for kind in inside(reward)):
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
    if reward.form == "labels" and _set_size(section) == n and n > LARGE_SET:
        out.append(
            f"polychromic.set_size: with {n} of {n} generations only answers nobody else gave are rewarded; "
            "a smaller set_size keeps the quality of single answers"
        )
    return out


def junk_warning(section: PolychromicSection, tokens: float) -> str:
    """From which similarity of the samples on junk pays in a run whose demonstrations have ``tokens`` target tokens.

    Empty where a gate keeps junk out, and where the weight is not known beforehand.
    """
    schedule = section.schedule
    adapts = schedule.target_share is not None or schedule.calibrated is not None
    if split(section.gate)[0] != "none" or not section.diversity_weight or adapts:
        return ""
    strength = section.diversity_weight * (1.0 if schedule.unit == "sequence" else tokens)
    strength = min(strength, schedule.max_lambda_eff or math.inf)
    if strength <= 0.5:  # 2 * lambda_eff * C cannot exceed 1, as C is at most 1
        return ""
    return (
        f"polychromic.lambda: {section.diversity_weight:g} and about {tokens:.0f} tokens a demonstration make a "
        f"lambda_eff of {strength:.3g}: without a gate junk pays while samples are more than "
        f"{100 / (2 * strength):.2g} % alike; choose a gate or set polychromic.schedule.max_lambda_eff"
    )


def needs_encoder(reward: Kind) -> bool:
    """Whether a reward, or one inside it, compares embeddings."""
    return "encoder" in outline("rewards", reward).needs


def is_judged(data: DataSection) -> bool:
    """Whether the task of a configuration's data tells right from wrong; False without a task."""
    return data.task is not None and outline("tasks", data.task).judges


def _set_size(section: PolychromicSection) -> SetSize:
    return section.n_generations if section.set_size is None else section.set_size
