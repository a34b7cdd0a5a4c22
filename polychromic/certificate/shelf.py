"""What is certified: every reward and gate of the shelves, as it is by default and with each choice an option has.

Nothing is listed here. A reward from outside is certified like one of ours.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Literal, get_args, get_origin, get_type_hints

from polychromic.certificate import toy
from polychromic.core.nouns import Distances, Evidence, Labels
from polychromic.core.protocols import Form, Gate, Reward
from polychromic.gates.likelihood import Likelihood
from polychromic.settings import catalog
from polychromic.settings.schema import Kind

THRESHOLD = -1.0
"""Nats a token from which the toy's completions are likely enough; a run makes it from its demonstrations."""
COUNT_ALL = {"kind": "none", "truncated": "valid"}
"""The gate under which every completion counts."""
PASSED_COUNT = {"kind": "verifier", "truncated": "valid"}


def entries(shelf: str) -> list[Kind]:
    """Every kind of a shelf, then the same with each other value of its options that are choices."""
    found: list[Kind] = []
    for kind in catalog.kinds(shelf):
        found.append(kind)
        cls = catalog.kind_class(shelf, kind)
        hints = get_type_hints(cls)
        for field in dataclasses.fields(cls):
            choices = get_args(hints[field.name]) if get_origin(hints[field.name]) is Literal else ()
            found += [{"kind": kind, field.name: choice} for choice in choices if choice != field.default]
    return found


def named(entry: Kind) -> str:
    """A kind and its options in one line."""
    kind, options = catalog.split(entry)
    return " ".join([kind, *(f"{name}={json.dumps(value).strip(chr(34))}" for name, value in options.items())])


def rewards(more: Iterable[Kind] = ()) -> list[Kind]:
    """The rewards that are certified: those of the shelf, and ``more``."""
    return [*entries("rewards"), *more]


def make_reward(entry: Kind) -> Reward:
    """A reward, with the toy's encoder."""
    reward: Reward = catalog.build("rewards", entry, embedder=toy.ToyEmbedder())
    return reward


def make_gate(entry: Kind) -> Gate:
    """A gate, with the toy's reference."""
    gate: Gate = catalog.build("gates", entry, reference=toy.reference_scores)
    if isinstance(gate, Likelihood) and gate.threshold is None:
        return dataclasses.replace(gate, threshold=THRESHOLD)
    return gate


def form_of(evidence: Evidence) -> Form:
    """Which of the three forms of evidence this is."""
    if isinstance(evidence, Labels):
        return "labels"
    return "pairs" if isinstance(evidence, Distances) else "set function"
