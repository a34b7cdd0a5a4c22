"""MAUVE: the library's number, checked against the definition, and the reasons why there is none."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest

from polychromic.core.nouns import Completion, Decoding, Example, Prompt, SampleSet
from polychromic.embedding.hashing import HashingEmbedder
from polychromic.metrics.mauve import Mauve

WORDS = {
    "alike": ["red", "green", "blue", "yellow", "black", "white"],
    "other": ["one", "two", "three", "four", "five", "six"],
}


def texts(n: int, kind: str, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS[kind], k=5)) for _ in range(n)]


def drawn(lines: list[str], policy: str = "model") -> list[SampleSet]:
    """Four completions a prompt."""
    return [
        SampleSet(Prompt(f"p{i}", "Say."), tuple(map(Completion, lines[i : i + 4])), Decoding(), policy)
        for i in range(0, len(lines), 4)
    ]


def metric(human: list[str], **options: object) -> Mauve:
    examples = tuple(Example(Prompt("train", "Say."), text) for text in human)
    return Mauve(embedder=HashingEmbedder(), demonstrations=examples, **options)


def by_definition(human: np.ndarray, model: np.ndarray, scale: float = 5.0) -> float:
    """The area under the divergence curve of two histograms (2102.01454, equation 1 and section 3)."""

    def divergence(one: np.ndarray, other: np.ndarray) -> float:
        held = one > 0
        return float(np.sum(one[held] * np.log(one[held] / other[held])))

    curve = [(1.0, 0.0)]
    for weight in np.linspace(1e-6, 1 - 1e-6, 25)[::-1]:
        mixed = weight * human + (1 - weight) * model
        curve.append((np.exp(-scale * divergence(human, mixed)), np.exp(-scale * divergence(model, mixed))))
    curve.append((0.0, 1.0))
    x, y = np.array(sorted(curve, key=lambda point: (point[0], -point[1]))).T
    return float(np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2))


def test_the_number_is_the_area_under_the_divergence_curve() -> None:
    mauve = pytest.importorskip("mauve")
    human, model = texts(160, "alike", 1), texts(80, "alike", 2) + texts(80, "other", 3)
    rows = metric(human).measure(drawn(model), None)
    assert "texts:160" in rows[0].signature
    embed = HashingEmbedder().embed
    direct = mauve.compute_mauve(p_features=embed(human), q_features=embed(model), seed=0, verbose=False)
    assert rows[0].value == pytest.approx(direct.mauve)
    assert rows[0].value == pytest.approx(by_definition(direct.p_hist, direct.q_hist), abs=0.01)
    assert all("one number for all prompts" in row.reason for row in rows[1:])


def test_like_texts_are_near_one_and_others_near_zero() -> None:
    pytest.importorskip("mauve")
    human = texts(200, "alike", 1)
    (same, *_), (far, *_) = (metric(human).measure(drawn(texts(200, kind, 5)), None) for kind in ("alike", "other"))
    assert same.value > 0.8
    assert far.value < 0.05


def test_all_models_are_measured_with_as_many_texts() -> None:
    sets = drawn(texts(160, "alike", 2), "one") + drawn(texts(120, "alike", 3), "two")
    assert metric(texts(150, "alike", 1)).pinned(sets).texts == 120
    assert metric(texts(110, "alike", 1)).pinned(sets).texts == 110
    assert metric([]).pinned(sets).texts == 0


def test_why_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = drawn(texts(120, "alike", 2))
    assert metric([]).measure(sets, None)[0].reason == "there are no demonstrations to compare with"
    few = metric(texts(60, "alike", 1)).measure(sets, None)[0]
    assert few.reason == "needs 100 texts a side, there are 120 completions and 60 demonstrations"
    assert np.isnan(few.value)
    monkeypatch.setitem(sys.modules, "mauve", None)
    missing = metric(texts(120, "alike", 1)).measure(sets, None)
    assert {row.reason for row in missing} == {"mauve-text is not installed: pip install 'polychromic[mauve]'"}
