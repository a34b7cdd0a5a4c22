"""Self-BLEU-4 of N texts of 100 tokens: polychromic beside nltk and fast-bleu, in one run.

    python benchmarks/self_bleu.py [--largest 100000] [--nltk-seconds 60]

CPU seconds (and wall seconds) for each; a machine that others use shows in the second only. nltk's cost is quadratic:
where all its texts would take longer than --nltk-seconds it scores as many as fit, and the total is extrapolated from
them (marked ~). fast-bleu is used when it can be imported (pip install fast-bleu; it needs a C++ compiler).
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from polychromic.diversity.self_bleu import self_bleu_scores

SIZES = (40, 400, 1_600, 6_400, 100_000)
TOKENS = 100
VOCABULARY = 20_000
WEIGHTS = (0.25,) * 4


def texts_of(n: int, seed: int = 0) -> list[list[str]]:
    """N texts of words from a Zipf-like distribution, every fourth sharing half of its words with its neighbour."""
    rng = random.Random(seed)
    vocabulary = [f"w{i}" for i in range(VOCABULARY)]
    drawn = rng.choices(vocabulary, [1 / (i + 5) for i in range(VOCABULARY)], k=n * TOKENS)
    texts = [drawn[i * TOKENS : (i + 1) * TOKENS] for i in range(n)]
    for i in range(3, n, 4):
        texts[i] = texts[i - 1][: TOKENS // 2] + texts[i][TOKENS // 2 :]
    return texts


def timed(work: Callable[[], list[float]]) -> tuple[list[float], float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def by_nltk(texts: list[list[str]], seconds: float) -> list[float]:
    """The scores of the first texts, as many as ``seconds`` allow (at least two)."""
    method, start, out = SmoothingFunction().method1, time.perf_counter(), []
    for i, text in enumerate(texts):
        out.append(sentence_bleu(texts[:i] + texts[i + 1 :], text, WEIGHTS, method))
        if i and time.perf_counter() - start > seconds:
            break
    return out


def by_fast_bleu() -> Callable[[list[list[str]]], list[float]] | None:
    try:
        from fast_bleu import SelfBLEU
    except ImportError:
        return None
    return lambda texts: SelfBLEU(texts, {"b": WEIGHTS}).get_score()["b"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    parser.add_argument("--nltk-seconds", type=float, default=60.0)
    options = parser.parse_args()
    fast = by_fast_bleu()
    print(f"{'texts':>7} {'ours':>16} {'us/token':>9} {'nltk':>18} {'x':>7} {'fast-bleu':>16} {'x':>6}  agreement")
    self_bleu_scores(texts_of(40))
    for n in (size for size in SIZES if size <= options.largest):
        texts = texts_of(n)
        ours, cpu, wall = min((timed(lambda t=texts: self_bleu_scores(t)[4]) for _ in range(3)), key=lambda r: r[1])
        line = f"{n:>7} {cpu:>8.3f} ({wall:>5.2f}) {cpu / (n * TOKENS) * 1e6:>9.2f} "
        note = ""
        if n <= 6_400:
            theirs, nltk_cpu, nltk_wall = timed(lambda t=texts: by_nltk(t, options.nltk_seconds))
            whole = n / len(theirs)
            mark = "~" if len(theirs) < n else " "
            line += f"{mark}{nltk_cpu * whole:>9.1f} ({nltk_wall * whole:>5.0f}) {nltk_cpu * whole / cpu:>7.0f} "
            note = f"nltk: {sum(a == b for a, b in zip(ours, theirs, strict=False))} of {len(theirs)} bit-equal"
        else:
            line += f"{'not run':>18} {'':>7} "
        if fast is not None and n <= 6_400:
            quick, fast_cpu, fast_wall = timed(lambda t=texts: fast(t))
            line += f"{fast_cpu:>8.2f} ({fast_wall:>5.2f}) {fast_cpu / cpu:>6.1f}"
            near = sum(abs(a - b) < 1e-9 for a, b in zip(ours, quick, strict=True))
            note += f"; fast-bleu: {near} of {n} within 1e-9"
        else:
            line += f"{'not run' if fast else 'not installed':>16} {'':>6}"
        print(f"{line}  {note}", flush=True)


if __name__ == "__main__":
    main()
