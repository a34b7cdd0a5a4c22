"""10,000 resamples x 20 metrics x 1,000 prompts: ours beside scipy.stats.bootstrap and scipy.stats.permutation_test.

Run: python benchmarks/resampling.py. scipy takes one metric at a time; it is timed on one and multiplied by 20.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from scipy import stats

from polychromic.analysis.resampling import Pairs, Plan, paired_bootstrap, permutation_p

PROMPTS, METRICS, RESAMPLES = 1000, 20, 10_000


def timed(work):
    start = time.perf_counter()
    found = work()
    return found, time.perf_counter() - start


def main() -> None:
    generator = np.random.default_rng(0)
    a = generator.random((PROMPTS, METRICS))
    b = a + generator.normal(0.01, 0.1, a.shape)
    pairs, ones = None, np.ones_like(a)
    pairs = Pairs(a, ones, b, ones)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (_, spans), bca = timed(lambda: paired_bootstrap(pairs, Plan(RESAMPLES)))
    _, percentile = timed(lambda: paired_bootstrap(pairs, Plan(RESAMPLES, method="percentile")))
    p, permuted = timed(lambda: permutation_p(pairs, Plan(RESAMPLES)))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    one = (b - a)[:, 0]
    peers = {}
    for method in ("bca", "percentile"):
        found, seconds = timed(
            lambda m=method: stats.bootstrap(
                (one,), np.mean, n_resamples=RESAMPLES, method=m, batch=1000, rng=generator
            )
        )
        peers[method] = (found, seconds * METRICS)
    exact, peer_permuted = timed(
        lambda: stats.permutation_test(
            (b[:, 0], a[:, 0]),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=1000,
            rng=generator,
        )
    )
    print(f"{PROMPTS} prompts, {METRICS} metrics, {RESAMPLES} resamples; peak memory grew by {grown:.0f} MB")
    print(f"{'':28}{'ours, s':>10}{'scipy, s':>10}{'ratio':>8}")
    rows = (
        ("paired bootstrap, BCa", bca, peers["bca"][1]),
        ("paired bootstrap, percentile", percentile, peers["percentile"][1]),
        ("paired permutation", permuted, peer_permuted * METRICS),
    )
    for name, ours, theirs in rows:
        print(f"{name:28}{ours:10.2f}{theirs:10.2f}{theirs / ours:8.1f}")
    low, high = peers["bca"][0].confidence_interval
    print(f"first metric, BCa: ours {spans[0, 0]:+.5f} to {spans[0, 1]:+.5f}, scipy {low:+.5f} to {high:+.5f}")
    print(f"first metric, p: ours {p[0]:.4f}, scipy {exact.pvalue:.4f}")


if __name__ == "__main__":
    main()
