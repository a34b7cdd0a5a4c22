"""What the objective refuses before a model is loaded, each in one sentence."""

from __future__ import annotations

from dataclasses import dataclass

from polychromic.core.errors import UnsoundObjectiveError
from polychromic.core.nouns import Decoding
from polychromic.settings.schema import Kind, PolychromicSection

NEEDS_ENCODER = frozenset({"semantic", "vendi", "logdet", "clusters"})


@dataclass(frozen=True)
class Surroundings:
    """What a run has beside its settings: a task that judges completions, an encoder for texts, demonstrations."""

    verifier: bool
    encoder: bool = True
    demonstrations: bool = True


def kind_of(entry: Kind) -> str:
    """The name on the shelf of a settings entry."""
    return entry if isinstance(entry, str) else str(entry.get("kind", ""))


def refuse_unsound(
    section: PolychromicSection, surroundings: Surroundings, decoding: Decoding | None = None
) -> list[str]:
    """The warnings these settings deserve; nothing is checked where lambda is 0, as nothing is sampled then.

    Raises:
        UnsoundObjectiveError: the diversity gradient would be wrong or could not be computed.
    """
    weight, n, k = section.diversity_weight, section.n_generations, section.set_size
    if weight < 0:
        raise UnsoundObjectiveError(f"polychromic.lambda: {weight} would reward sameness; allowed: 0 or more")
    if weight == 0:
        return []
    if n < 2:
        raise UnsoundObjectiveError(
            "polychromic.n_generations: a set of one sample has no diversity; allowed: 2 or more"
        )
    if isinstance(k, int) and not 1 <= k <= n:
        raise UnsoundObjectiveError(
            f"polychromic.set_size: {k} samples cannot be chosen from {n} generations; allowed: 1 to {n}, or shapley"
        )
    if decoding is not None and decoding.truncated:
        raise UnsoundObjectiveError(
            f"training samples must come from the policy itself; allowed: top_p=1 (not {decoding.top_p}), top_k=0 "
            f"(not {decoding.top_k})"
        )
    _refuse_parts(section, surroundings)
    return _warnings(section)


def _refuse_parts(section: PolychromicSection, surroundings: Surroundings) -> None:
    gate, reward = kind_of(section.gate), kind_of(section.reward)
    if gate == "verifier" and not surroundings.verifier:
        raise UnsoundObjectiveError(
            "polychromic.gate: verifier needs a task that judges completions (data.task); "
            "allowed without: likelihood, wellformed, none"
        )
    if gate == "likelihood" and not surroundings.demonstrations:
        raise UnsoundObjectiveError(
            "polychromic.gate: likelihood takes its threshold from demonstrations; there are none"
        )
    if reward in NEEDS_ENCODER and not surroundings.encoder:
        raise UnsoundObjectiveError(
            f"polychromic.reward: {reward} compares embeddings, so it needs an encoder (evaluation.encoder); "
            "allowed without one: answers, lexical"
        )
    if reward in {"semantic"} and section.set_size == 1:
        raise UnsoundObjectiveError("polychromic.set_size: a set of one sample has no pair; allowed: 2 or more")


def _warnings(section: PolychromicSection) -> list[str]:
    out = []
    if kind_of(section.gate) == "none":
        out.append(
            "polychromic.gate: none lets junk count as diverse; "
            "it pays once 2 * lambda_eff * C exceeds 1 (logged as junk_monitor)"
        )
    if section.n_generations == section.set_size and kind_of(section.reward) == "answers" and section.n_generations > 4:
        out.append(
            "polychromic.set_size: with set_size = n_generations only answers nobody else gave are rewarded; "
            "a smaller set_size keeps the quality of single answers"
        )
    return out
