"""BLEU and chrF against the demonstrations of a prompt, and of completions against each other."""

from __future__ import annotations

from collections import Counter

import pytest
import sacrebleu

from polychromic.core.nouns import Completion, Decoding, Example, Prompt, SampleSet
from polychromic.settings import catalog

SHOWN = ("the cat sat on the mat", "a cat is on the mat")
REFERENCES = tuple(Example(Prompt("p", "Say."), text) for text in (*SHOWN, " "))


def drawn(*texts: str, prompt: str = "p") -> SampleSet:
    return SampleSet(Prompt(prompt, "Say."), tuple(map(Completion, texts)), Decoding())


def build(kind: str, **options: object):
    return catalog.build("metrics", {"kind": kind, **options}, references=REFERENCES)


def chrf_by_hand(text: str, reference: str, beta: float = 2.0) -> float:
    """The F-score of the mean precision and recall of character 1- to 6-grams, white space left out (W15-3049)."""

    def grams(text: str, n: int) -> Counter[str]:
        return Counter(text[i : i + n] for i in range(len(text) - n + 1))

    one, other = "".join(text.split()), "".join(reference.split())
    pairs = [(grams(one, n), grams(other, n)) for n in range(1, 7)]
    pairs = [(a, b) for a, b in pairs if a and b]
    precision = sum((a & b).total() / a.total() for a, b in pairs) / len(pairs)
    recall = sum((a & b).total() / b.total() for a, b in pairs) / len(pairs)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall) if precision + recall else 0.0


def test_bleu_is_sacrebleus_and_carries_its_signature() -> None:
    samples = drawn("the cat sat on a mat", "the cat sat on the mat", "")
    (row,) = build("bleu").measure([samples], None)
    theirs = [sacrebleu.sentence_bleu(text, list(SHOWN)).score / 100 for text in samples.texts]
    assert row.value == pytest.approx(sum(theirs) / 3)
    assert row.detail["references"] == 2
    version = sacrebleu.__version__
    assert row.signature == f"bleu|k:3|case:mixed|eff:yes|smooth:exp|tok:13a|version:{version}|refs:demonstrations"


def test_chrf_is_the_f_score_of_the_closest_demonstration() -> None:
    text = "the cat sat on a mat"
    (row,) = build("chrf").measure([drawn(text)], None)
    assert row.value == pytest.approx(max(chrf_by_hand(text, shown) for shown in SHOWN))
    assert build("chrf", word_order=2).measure([drawn(text)], None)[0].value != row.value
    assert build("chrf").measure([drawn(SHOWN[0])], None)[0].value == pytest.approx(1.0)


def test_a_prompt_without_demonstrations_has_no_number() -> None:
    for kind in ("bleu", "chrf"):
        (row,) = build(kind).measure([drawn("x", prompt="other")], None)
        assert row.reason == "there is no demonstration of this prompt to compare with"


def test_self_chrf_is_the_mean_of_the_closest_others() -> None:
    texts = ["the cat sat", "the cat sits", "dogs bark"]
    (row,) = build("self_chrf").measure([drawn(*texts, "")], None)
    closest = [max(chrf_by_hand(a, b) for b in texts if b is not a) for a in texts]
    assert row.value == pytest.approx(sum(closest) / 3)
    assert row.detail["empty"] == 1
    assert build("self_chrf").measure([drawn("same", "same")], None)[0].value == pytest.approx(1.0)
    assert "not empty, there are 1" in build("self_chrf").measure([drawn("a", "")], None)[0].reason
