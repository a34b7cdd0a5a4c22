"""Every metric's number against an independent computation: counting, numpy, nltk, zlib or the paper's own formula."""

from __future__ import annotations

import math
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from polychromic.core.nouns import Completion, Decoding, Example, Prompt, SampleSet, Status, Verdict
from polychromic.core.protocols import Metric
from polychromic.diversity.compression import levelled
from polychromic.embedding.hashing import HashingEmbedder
from polychromic.settings import catalog

TEXTS = ("the cat sat on the mat", "the cat sat on a rug", "a dog barked", "the cat sat on the mat", "nothing to say")


def build(kind: str, **options: object) -> Metric:
    return catalog.build("metrics", {"kind": kind, **options}, embedder=HashingEmbedder())


def drawn(texts: tuple[str, ...] = TEXTS, prompt_id: str = "p", **payload: object) -> SampleSet:
    return SampleSet(Prompt(prompt_id, "Say.", payload), tuple(map(Completion, texts)), Decoding())


def verdicts(rows: list[tuple[bool, str | None]]) -> tuple[Verdict, ...]:
    return tuple(Verdict(Status.PASSED if right else Status.FAILED, "", answer) for right, answer in rows)


def value(metric: Metric, samples: SampleSet, judged: tuple[Verdict, ...] | None = None) -> float:
    (row,) = metric.measure([samples], None if judged is None else [judged])
    assert row.reason == "", row.reason
    return row.value


JUDGED = st.lists(
    st.tuples(st.booleans(), st.sampled_from("abc")).map(lambda pair: (pair[0], pair[1] + ("!" if pair[0] else ""))),
    min_size=2, max_size=7,
)  # fmt: skip


@given(JUDGED, st.data())
def test_judged_metrics_are_means_over_subsets(rows: list[tuple[bool, str]], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(rows)))
    samples, judged = drawn(tuple(f"t{i}" for i in range(len(rows)))), verdicts(rows)
    subsets = list(combinations(rows, k))

    def mean(score: Callable[[tuple], float]) -> float:
        return float(np.mean([score(subset) for subset in subsets]))

    assert value(build("pass_at_k", k=k), samples, judged) == pytest.approx(mean(lambda s: any(r for r, _ in s)))
    assert value(build("pass_hat_k", k=k), samples, judged) == pytest.approx(mean(lambda s: all(r for r, _ in s)))
    half = mean(lambda s: sum(r for r, _ in s) >= k / 2)
    assert value(build("g_pass_at_k", k=k, tau=0.5), samples, judged) == pytest.approx(half)
    right = mean(lambda s: len({a for r, a in s if r}))
    assert value(build("distinct_correct", k=k), samples, judged) == pytest.approx(right)
    distinct = mean(lambda s: len({a for _, a in s}))
    assert value(build("distinct_at_k", k=k), samples, judged) == pytest.approx(distinct)

    def vote(subset: tuple) -> float:
        votes = Counter(answer for _, answer in subset)
        first = [answer for answer, count in votes.items() if count == max(votes.values())]
        return sum((True, answer) in rows for answer in first) / len(first)

    if any(not r for r, _ in rows) or all(r for r, _ in rows):
        assert value(build("maj_at_k", k=k), samples, judged) == pytest.approx(mean(vote))


@given(JUDGED)
def test_expected_draws_collision_and_novelty(rows: list[tuple[bool, str]]) -> None:
    samples, judged = drawn(tuple(f"t{i}" for i in range(len(rows)))), verdicts(rows)
    n, right = len(rows), sum(r for r, _ in rows)
    assert value(build("expected_draws"), samples, judged) == pytest.approx((n + 1) / (right + 1))
    pairs = np.mean([one[1] == two[1] for one, two in combinations(rows, 2)])
    assert value(build("collision"), samples, judged) == pytest.approx(pairs)
    answers = [answer for _, answer in rows]
    assert value(build("noveltybench", same_by="answer"), samples, judged) == len(set(answers))
    new = [float(r) * (a not in answers[:i]) for i, (r, a) in enumerate(rows)]
    utility = sum(0.8**i * u for i, u in enumerate(new)) * 0.2 / (1 - 0.8**n)
    assert value(build("noveltybench", same_by="answer", score="utility"), samples, judged) == pytest.approx(utility)


def test_best_of_k_by_each_scorer() -> None:
    rows = [(True, "a"), (False, "b"), (True, "c"), (False, "d")]
    completions = [("xxxx", -8.0, 4), ("x", -1.0, 4), ("xx", -3.0, 3), ("xxx", -6.0, 2)]
    samples = SampleSet(
        Prompt("p", "Say.", {"scores": [0.1, 0.9, 0.5, 0.5]}),
        tuple(Completion(text, tuple(range(size)), True, logprob) for text, logprob, size in completions),
        Decoding(),
    )
    scores = {
        "logprob": [-8, -1, -3, -6], "mean_logprob": [-2, -0.25, -1, -3], "score": [0.1, 0.9, 0.5, 0.5],
        "long": [4, 1, 2, 3], "short": [-4, -1, -2, -3],
    }  # fmt: skip
    for scorer, given_scores in scores.items():
        for k in (1, 2, 3, 4):
            picks = []
            for subset in combinations(range(4), k):
                top = max(given_scores[i] for i in subset)
                picks.append(np.mean([rows[i][0] for i in subset if given_scores[i] == top]))
            (row,) = build("best_of_k", k=k, scorer=scorer).measure([samples], [verdicts(rows)])
            assert row.value == pytest.approx(np.mean(picks)), (scorer, k)
            assert row.detail["oracle"] - row.value == pytest.approx(row.detail["oracle_gap"])
    assert row.detail["oracle"] == 1.0
    assert row.detail["efficiency"] == pytest.approx((row.value - 0.5) / 0.5)


def test_lexical_metrics_by_hand() -> None:
    pooled: Counter = Counter()
    for text in TEXTS:
        words = text.split()
        pooled.update(pairwise(words))
    total = sum(pooled.values())
    assert value(build("distinct", n=2), drawn()) == len(pooled) / total
    shares = np.array(list(pooled.values())) / total
    assert value(build("ngram_entropy", n=2), drawn()) == pytest.approx(-np.sum(shares * np.log(shares)))
    v = 50
    ead = len(pooled) / (v * (1 - ((v - 1) / v) ** total))
    assert value(build("ead", n=2, vocabulary=v), drawn()) == pytest.approx(ead)
    rarefied = sum(1 - math.comb(total - c, 9) / math.comb(total, 9) for c in pooled.values()) / 9
    assert value(build("rarefied_distinct", n=2, m=9), drawn()) == pytest.approx(rarefied)
    assert value(build("distinct", n=2, k=3), drawn()) == value(build("distinct", n=2), drawn(TEXTS[:3]))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.data())
def test_levelled_cuts_the_longest_to_one_level(lengths: list[int], data: st.DataObject) -> None:
    budget = data.draw(st.integers(0, sum(lengths)))
    kept = levelled(lengths, budget)
    assert sum(kept) == budget
    assert all(0 <= size <= length for size, length in zip(kept, lengths, strict=True))
    cut = [size for size, length in zip(kept, lengths, strict=True) if size < length]
    assert not cut or max(cut) - min(cut) <= 1
    assert not cut or max(kept) <= max(cut) + 1


def test_compression_at_equal_bytes() -> None:
    same, other = drawn(("abcdefgh" * 10,) * 4), drawn(("qwertyuiopasdfghjklzxcvbnm1234567890" * 3,) * 4, "q")
    metric = build("compression")
    rows = metric.measure([same, other], None)
    assert all("bytes:320" in row.signature for row in rows)
    assert rows[0].value == pytest.approx(320 / len(zlib.compress(b"abcdefgh" * 40, 9)))
    kept = (b"qwertyuiopasdfghjklzxcvbnm1234567890" * 3)[:80] * 4
    assert rows[1].value == pytest.approx(320 / len(zlib.compress(kept, 9)))
    assert "needs 321 bytes" in build("compression", budget=321).measure([same], None)[0].reason


def test_a_nearly_empty_set_does_not_set_the_common_size() -> None:
    rows = build("rarefied_distinct").measure([drawn(), drawn(("one two", "", "", "", ""), "q")], None)
    assert "m:19" in rows[0].signature
    assert rows[1].reason == "needs 19 2-grams, there are 1"
    rows = build("compression").measure([drawn(), drawn(("one two", "", "", "", ""), "q")], None)
    assert "bytes:90" in rows[0].signature
    assert rows[1].reason == "needs 90 bytes of text, there are 7"


def test_self_bleu_is_nltks_mean_in_both_scopes() -> None:
    sets = [drawn(), drawn(("a cat sat on the mat", "a dog barked at the mat", "x", "y", "z"), "q")]
    method = SmoothingFunction().method1

    def score(i: int, texts: list[list[str]], order: int) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return sentence_bleu(texts[:i] + texts[i + 1 :], texts[i], (1 / order,) * order, method)

    for order in (2, 4):
        for samples, row in zip(sets, build("self_bleu", n=order).measure(sets, None), strict=True):
            texts = [text.split() for text in samples.texts]
            assert row.value == math.fsum(score(i, texts, order) for i in range(5)) / 5
        everything = [text.split() for samples in sets for text in samples.texts]
        rows = build("self_bleu", n=order, scope="corpus").measure(sets, None)
        for place, row in enumerate(rows):
            expected = [score(i, everything, order) for i in range(5 * place, 5 * place + 5)]
            assert (row.numerator, row.denominator) == (math.fsum(expected), 5)


def test_empty_texts_do_not_make_self_bleu_look_diverse() -> None:
    with_empty = build("self_bleu").measure([drawn((*TEXTS, "", " "))], None)[0]
    assert with_empty.value == value(build("self_bleu"), drawn())
    assert with_empty.detail["empty"] == 2
    assert "not empty, there are 1" in build("self_bleu").measure([drawn(("a b c", "", ""))], None)[0].reason
    whole = build("self_bleu", scope="corpus", k=2)
    plain = whole.measure([drawn(TEXTS[:2]), drawn(TEXTS[2:4], "q")], None)
    mixed = whole.measure([drawn(TEXTS[:2]), drawn(("", " "), "r"), drawn(TEXTS[2:4], "q")], None)
    assert [row.value for row in mixed if not row.reason] == [row.value for row in plain]
    assert "not empty, there are 0" in mixed[1].reason


def test_semantic_metrics_by_numpy() -> None:
    rows = HashingEmbedder().embed(TEXTS).astype(np.float64)
    gram = rows @ rows.T
    off = 1 - gram[~np.eye(5, dtype=bool)]
    assert value(build("semantic"), drawn()) == pytest.approx(off.mean(), abs=1e-6)
    near = (1 - np.where(np.eye(5, dtype=bool), -9, gram)).min(axis=1)
    assert value(build("nearest_neighbour"), drawn()) == pytest.approx(near.mean(), abs=1e-6)
    eigen = np.clip(np.linalg.eigvalsh(gram / 5), 1e-12, None)
    assert value(build("vendi"), drawn()) == pytest.approx(np.exp(-np.sum(eigen * np.log(eigen))), rel=1e-4)
    assert value(build("vendi", q=2.0), drawn()) == pytest.approx(1 / np.sum(eigen**2), rel=1e-5)
    assert value(build("clusters", threshold=1e-4), drawn()) == 4
    assert value(build("clusters", threshold=2.0), drawn()) == 1
    assert value(build("noveltybench", same_by="embedding", threshold=1e-4), drawn()) == 4


def test_semantic_metrics_of_all_prompts_together() -> None:
    sets = [drawn(TEXTS[:2]), drawn(("", " "), "empty"), drawn(TEXTS[2:4], "q"), drawn((TEXTS[4], ""), "r")]
    rows = HashingEmbedder().embed(TEXTS).astype(np.float64)
    gram = rows @ rows.T
    eigen = np.clip(np.linalg.eigvalsh(gram / 5), 1e-12, None)
    expected = {
        "semantic": (1 - gram[~np.eye(5, dtype=bool)]).mean(),
        "vendi": np.exp(-np.sum(eigen * np.log(eigen))),
    }
    for kind, number in expected.items():
        found = build(kind, scope="corpus").measure(sets, None)
        assert found[0].value == pytest.approx(number, rel=1e-4), kind
        assert [row.detail.get("texts") for row in found if "texts" in row.detail] == [2, 2, 1]
        assert "not empty, there are 0" in found[1].reason
        assert [row.reason for row in found[2:]] == [
            "is one number for all prompts together, which stands with the first"
        ] * 2
        (alone,) = build(kind, scope="corpus").measure([drawn(("only one",))], None)
        assert alone.reason == "needs two texts that are not empty, there are 1 in all"
        greedy = build(kind, scope="corpus").measure([drawn(("one",)), drawn(("two",), "q")], None)
        assert greedy[0].reason == ""


def test_empty_texts_are_left_out_of_semantic_diversity() -> None:
    with_empty = build("semantic").measure([drawn((*TEXTS, "", " "))], None)[0]
    assert with_empty.value == value(build("semantic"), drawn())
    assert with_empty.detail["empty"] == 2
    assert "not empty, there are 1" in build("semantic").measure([drawn(("a", "", ""))], None)[0].reason
    by_text = build("distinct_at_k", by="text")
    assert value(by_text, drawn(("a", "", " "))) == 1.0
    assert value(build("noveltybench"), drawn(("a", "", " "))) == 1.0


def test_collision_ratio_and_creativity_against_the_data() -> None:
    class Stripper:
        name = "stripper"
        judges = True

        def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
            return Verdict(Status.PASSED, "", completion.text.strip())

    prompt = Prompt("p", "Say.")
    examples = tuple(Example(prompt, text) for text in ("a", "a ", "b", "c"))
    parts = {"demonstrations": examples, "task": Stripper()}
    samples = drawn(("a", "a", "x", "y", "?"))
    judged = verdicts([(True, "a"), (True, "a"), (True, "x"), (True, "y"), (False, None)])
    ratio = catalog.build("metrics", {"kind": "collision", "relative_to": "data"}, **parts)
    (row,) = ratio.measure([samples], [judged])
    assert (row.numerator, row.denominator) == (pytest.approx(1 / 6), pytest.approx(1 / 6))
    assert ratio.measure([drawn(("a", "b"), "q")], [judged[:2]])[0].reason.startswith("needs two demonstrations")
    (row,) = catalog.build("metrics", "creativity", **parts).measure([samples], [judged])
    assert (row.numerator, row.denominator, row.detail["unique"]) == (2, 5, 3)
    alone = catalog.build("metrics", "creativity").measure([samples], [judged])[0]
    assert alone.reason == "there are no demonstrations to compare with"


def test_length_and_truncation() -> None:
    samples = SampleSet(
        Prompt("p", "Say."),
        (Completion("one two", (1, 2, 3), True), Completion("", (4,), False), Completion("x", (5, 6), True)),
        Decoding(),
    )
    (row,) = build("length").measure([samples], None)
    assert (row.signature, row.value, row.detail["empty"]) == ("length|unit:tokens", 2.0, 1)
    assert row.detail["spread"] == pytest.approx(np.std([3, 1, 2], ddof=1))
    assert value(build("length", unit="words"), samples) == 1.0
    assert value(build("length", unit="chars"), samples) == pytest.approx(8 / 3)
    assert value(build("truncated"), samples) == pytest.approx(1 / 3)
    assert build("length", unit="tokens").measure([drawn()], None)[0].reason == "5 of 5 samples have no token ids"


def test_a_checker_that_names_right_answers_only_leaves_no_vote() -> None:
    judged = verdicts([(True, "a"), (False, None), (False, None)])
    (row,) = build("maj_at_k").measure([drawn(TEXTS[:3])], [judged])
    assert row.reason == "the checker names right answers only, so there is no vote"


@pytest.mark.parametrize(
    "kind",
    ["distinct_correct", "distinct_at_k", "collision", "maj_at_k", {"kind": "noveltybench", "same_by": "answer"}],
)
def test_right_completions_without_an_answer_cannot_be_told_apart(kind: str | dict) -> None:
    metric = catalog.build("metrics", kind, embedder=HashingEmbedder())
    (row,) = metric.measure([drawn(TEXTS[:3])], [verdicts([(True, None), (True, "a"), (False, "b")])])
    assert row.reason == "1 right completions have no answer to tell them apart by"


def test_an_encoder_that_fails_gives_a_reason() -> None:
    class Broken:
        name = "broken"

        def embed(self, texts: list[str]) -> np.ndarray:
            raise MemoryError("it does not fit in memory with a single text")

    metric = catalog.build("metrics", "semantic", embedder=Broken())
    assert metric.measure([drawn()], None)[0].reason == (
        "the encoder failed: it does not fit in memory with a single text"
    )
