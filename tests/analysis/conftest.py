"""Synthetic measurements: models x temperatures x prompts x samples, with known pass rates and numbers of answers."""

import numpy as np
import pytest


def hypergeometric(n, c, k):
    """1 - C(n-c, k) / C(n, k), by products: independent of the package's kernel."""
    return 1.0 - np.prod([(n - c - i) / (n - i) for i in range(k)]) if n - c >= k else 1.0


@pytest.fixture(scope="session")
def synthetic_rows():
    """Builds measurement rows for ``models`` = {name: (logit shift, number of answers)}."""

    def build(models, temperatures=(0.7, 1.0, 1.3), prompts=200, samples=16, seed=0):
        generator = np.random.default_rng(seed)
        difficulty = generator.normal(0.0, 1.5, prompts)
        rows = []
        for name, (shift, answers) in models.items():
            for temperature in temperatures:
                chance = 1.0 / (1.0 + np.exp(-(difficulty + shift - 1.5 * (temperature - 1.0))))
                for i, each in enumerate(chance):
                    pool = max(1, round(answers * temperature))
                    right = generator.random(samples) < each
                    drawn = generator.integers(0, pool, samples)
                    counts = [int((right & (drawn == answer)).sum()) for answer in range(pool)]
                    common = {"model": name, "temperature": temperature, "prompt_id": f"p{i:04d}", "reason": ""}
                    for k in (1, 5, 10):
                        value = hypergeometric(samples, int(right.sum()), k)
                        rows.append(common | {"signature": f"pass_at_k|k:{k}", "numerator": value, "denominator": 1.0})
                        value = sum(hypergeometric(samples, count, k) for count in counts)
                        rows.append(
                            common | {"signature": f"distinct_correct|k:{k}", "numerator": value, "denominator": 1.0}
                        )
                    rows.append(
                        common | {"signature": "length|unit:tokens", "numerator": 40.0 + each, "denominator": 1.0}
                    )
        return rows

    return build
