"""What a metric's signature means: its name for people, its role in a verdict, and which direction is better."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

CORPUS = "corpus"
QUALITY, DIVERSITY, SIZE, OTHER = "quality", "diversity", "size", "other"

# kind without punctuation: (name with {option} places, role, direction, headline rank; 0 = not a headline)
_KINDS: dict[str, tuple[str, str, int, int]] = {
    "passatk": ("pass@{k}", QUALITY, 1, 2),
    "passhatk": ("pass^{k}", QUALITY, 1, 0),
    "gpassatk": ("G-pass@{k}", QUALITY, 1, 0),
    "majatk": ("maj@{k}", QUALITY, 1, 0),
    "bestofk": ("best-of-{k}", QUALITY, 1, 0),
    "distinctcorrect": ("distinct and correct@{k}", DIVERSITY, 1, 1),
    "distinctatk": ("distinct answers@{k}", DIVERSITY, 1, 0),
    "distinct": ("Distinct-{n}", DIVERSITY, 1, 4),
    "rarefieddistinct": ("rarefied Distinct-{n}", DIVERSITY, 1, 0),
    "ead": ("EAD-{n}", DIVERSITY, 1, 0),
    "ngramentropy": ("{n}-gram entropy", DIVERSITY, 1, 0),
    "selfbleu": ("Self-BLEU-{n}", DIVERSITY, -1, 5),
    "compression": ("compression ratio", DIVERSITY, -1, 0),
    "semantic": ("semantic diversity", DIVERSITY, 1, 3),
    "nearestneighbour": ("nearest-neighbour distance", DIVERSITY, 1, 0),
    "clusters": ("clusters", DIVERSITY, 1, 0),
    "vendi": ("Vendi score", DIVERSITY, 1, 0),
    "noveltybench": ("NoveltyBench {score}", DIVERSITY, 1, 0),
    "collision": ("collision probability", DIVERSITY, -1, 0),
    "creativity": ("algorithmic creativity", DIVERSITY, 1, 0),
    "mauve": ("MAUVE", QUALITY, 1, 0),
    "length": ("length in {unit}", SIZE, 0, 7),
    "truncated": ("truncated share", SIZE, 0, 8),
    "expecteddraws": ("expected draws to a pass", OTHER, -1, 0),
}
_SAID = {"tau": "", "q": "1"}  # options that are part of a name, with the value that goes without saying


@dataclass(frozen=True, slots=True)
class Meaning:
    """A signature, understood: ``direction`` is 1 (more is better), -1 (less is better) or 0 (neither)."""

    signature: str
    kind: str
    name: str
    role: str
    direction: int
    headline: int
    options: dict[str, str] = field(compare=False)

    @property
    def whole(self) -> bool:
        """Whether it compares the completions of all prompts with each other, so that prompts are not independent."""
        return self.options.get("scope") == CORPUS

    @property
    def k(self) -> int:
        """The number of samples the metric looks at, 0 if the signature does not say."""
        found = self.options.get("k", "")
        return int(found) if found.isdigit() else 0


@cache
def meaning(signature: str) -> Meaning:
    """The meaning of ``kind|option:value|...``; an unknown kind keeps its own name and has role "other"."""
    head, *rest = signature.split("|")
    options = {key: value for key, _, value in (part.partition(":") for part in rest)}
    kind = re.sub(r"[^a-z0-9]", "", head.lower().replace("@", "at").replace("^", "hat"))
    if kind not in _KINDS and (embedded := re.fullmatch(r"([a-z]+?)(\d+)", kind)) and embedded[1] in _KINDS:
        kind = embedded[1]
        options.setdefault("k" if "{k}" in _KINDS[kind][0] else "n", embedded[2])
    pattern, role, direction, headline = _KINDS.get(kind, (head.replace("_", " "), OTHER, 0, 0))
    name = re.sub(r"\{(\w+)\}", lambda match: options.get(match[1], ""), pattern).rstrip("@-^ ")
    headline = 0 if options.get("scope") == CORPUS else headline
    extras = [f"{key} {value}" for key, value in options.items() if key in _SAID and value != _SAID[key]]
    return Meaning(
        signature, kind, f"{name} ({', '.join(extras)})" if extras else name, role, direction, headline, options
    )


def names(signatures: list[str]) -> dict[str, str]:
    """A name for each signature; those that would share one carry the options that tell them apart."""
    plain = {each: meaning(each).name for each in signatures}
    shared = {each: [other for other in signatures if plain[other] == plain[each]] for each in signatures}
    return {
        each: f"{plain[each]} ({_apart(each, shared[each])})" if shared[each][1:] else plain[each] for each in plain
    }


def _apart(signature: str, others: list[str]) -> str:
    options = meaning(signature).options
    apart = [f"{k} {v}" for k, v in options.items() if any(meaning(other).options.get(k) != v for other in others)]
    return ", ".join(apart) or signature


def of_kind(signatures: list[str], kind: str) -> list[Meaning]:
    """The signatures of one kind, by rising k."""
    return sorted((found for found in map(meaning, signatures) if found.kind == kind), key=lambda found: found.k)


def primary_diversity(signatures: list[str]) -> Meaning | None:
    """The diversity metric a verdict rests on: the best-ranked headline, at its largest k; None if there is none."""
    found = [each for each in map(meaning, signatures) if each.role == DIVERSITY and not each.whole]
    ranked = [each for each in found if each.headline] or found
    return min(ranked, key=lambda each: (each.headline, -each.k, each.signature)) if ranked else None


def primary_quality(signatures: list[str]) -> Meaning | None:
    """pass@1, or the pass@k of the smallest k; None if nothing was verified."""
    found = of_kind(signatures, "passatk")
    return found[0] if found else None
