"""Semantic metrics: peak memory beyond the encoder at 10,000 and 100,000 texts, and the speed of the encoder itself.

    python benchmarks/semantic.py [--texts 10000 100000] [--encode 300]

Memory: the peak of Python's and numpy's allocations (tracemalloc) while the metrics run on vectors of 384 dimensions,
the texts themselves excluded. Beside it what the matrix of all pairs would take. Encoder: texts a second of the
installed all-MiniLM-L6-v2 through our encoder and through sentence-transformers in one call.
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc

import numpy as np

from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.diversity.kernels import MeanDistance, clusters, nearest_neighbour_distances
from polychromic.embedding.cache import CachedEmbedder
from polychromic.metrics.vectors import Semantic, Vendi

DIMENSIONS = 384
PER_PROMPT = 16


class RandomEmbedder:
    """A vector for each text, as fast as can be, so that the metric's own cost shows."""

    name = f"random-{DIMENSIONS}"

    def embed(self, texts: list[str]) -> np.ndarray:
        rows = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[:] = np.random.default_rng(abs(hash(text))).standard_normal(DIMENSIONS, dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def peak(work: object) -> tuple[float, float]:
    """Peak MB allocated, and seconds."""
    tracemalloc.start()
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    megabytes = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return megabytes, seconds


def memory(n: int) -> None:
    sets = [
        SampleSet(Prompt(f"p{p}", ""), tuple(Completion(f"text {p} {i}") for i in range(PER_PROMPT)), Decoding())
        for p in range(n // PER_PROMPT)
    ]
    texts = [text for item in sets for text in item.texts]
    cached = CachedEmbedder(RandomEmbedder())
    rows = [
        ("semantic per prompt", lambda: Semantic(embedder=RandomEmbedder()).measure(sets, None)),
        ("semantic per prompt, cached", lambda: Semantic(embedder=cached).measure(sets, None)),
        ("vendi per prompt", lambda: Vendi(embedder=RandomEmbedder()).measure(sets, None)),
        (
            "semantic of all prompts together",
            lambda: Semantic(embedder=RandomEmbedder(), scope="corpus").measure(sets, None),
        ),
        ("vendi of all prompts together", lambda: Vendi(embedder=RandomEmbedder(), scope="corpus").measure(sets, None)),
        ("mean distance of all texts, streamed", lambda: streamed(texts)),
    ]
    if n <= 10_000:
        vectors = RandomEmbedder().embed(texts)
        rows += [
            ("nearest neighbour of all texts", lambda: nearest_neighbour_distances(vectors)),
            ("clusters of all texts", lambda: clusters(vectors, 0.3)),
        ]
    for name, work in rows:
        megabytes, seconds = peak(work)
        print(f"{n:>8} {name:<40} {megabytes:>8.1f} MB {seconds:>8.2f} s", flush=True)
    print(f"{n:>8} {'(the matrix of all pairs, float32)':<40} {4 * n * n / 1e6:>8.0f} MB")


def streamed(texts: list[str]) -> float:
    stream, encoder = MeanDistance(), RandomEmbedder()
    for start in range(0, len(texts), 1024):
        stream.add(encoder.embed(texts[start : start + 1024]))
    return stream.value


def encoder_speed(n: int) -> None:
    from polychromic.embedding.encoder import load_encoder

    rng = random.Random(0)
    words = [f"{a}{b}" for a in ("sun", "rain", "wind", "snow", "fog") for b in ("light", "fall", "storm", "y", "less")]
    texts = [" ".join(rng.choices(words, k=rng.randint(5, 120))) for _ in range(n)]
    texts += texts[: n // 4]
    rng.shuffle(texts)
    encoder = load_encoder()
    encoder.embed(["warm up"])
    start = time.process_time()
    ours = encoder.embed(texts)
    ours_seconds = time.process_time() - start
    start = time.process_time()
    theirs = encoder._model.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=False)
    their_seconds = time.process_time() - start
    gap = float(np.abs(ours - theirs).max())
    print(f"{len(texts)} texts, {n} different, 5-120 words; CPU seconds of all threads; largest difference {gap:.1e}")
    print(f"  ours {ours_seconds:.1f} s ({len(texts) / ours_seconds:.0f} texts/s)")
    print(f"  sentence-transformers alone {their_seconds:.1f} s ({len(texts) / their_seconds:.0f} texts/s)")
    print(f"  cut at {encoder._model.max_seq_length} tokens: {encoder.cut(texts)} of {len(texts)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--encode", type=int, default=300)
    options = parser.parse_args()
    for n in options.texts:
        memory(n)
    if options.encode:
        encoder_speed(options.encode)


if __name__ == "__main__":
    main()
