"""The harvest's lines are green, and a break in the credit turns them red."""

from __future__ import annotations

import numpy as np

from polychromic.certificate import harvest
from polychromic.core.nouns import Labels
from polychromic.objective.credit import Credit, group_credit


def red():
    return [line.claim for line in harvest.harvest_lines() if not line.passed]


def test_every_claim_holds_and_every_mistake_is_seen():
    assert red() == []


def test_credit_that_forgets_how_often_an_answer_came_is_noticed(monkeypatch):
    def by_frequency(evidence: Labels, validity, set_size):
        found = group_credit(evidence, validity, set_size)
        return Credit(np.asarray(validity, dtype=float), found.reference, found.value, found.similarity)

    monkeypatch.setattr(harvest, "group_credit", by_frequency)
    claims = red()
    assert any("first step" in claim for claim in claims)
    assert any("rests where all answers are alike" in claim for claim in claims)
