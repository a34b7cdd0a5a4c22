"""How often a report is wrong where nothing is there: levels of null comparisons, and tests over training seeds.

Run: python benchmarks/verdict_errors.py levels [reports], or python benchmarks/verdict_errors.py seeds [comparisons].
"""

from __future__ import annotations

import sys
from collections import Counter
from itertools import product

import numpy as np
from scipy import stats

from polychromic.analysis import comparison
from polychromic.analysis.record import CompareSettings
from polychromic.analysis.resampling import Plan
from polychromic.analysis.table import known_facts, read_table
from polychromic.diversity.subsets import pass_at_k
from polychromic.records.measurements import MeasurementRow

SAMPLES, SEED_NOISE = 16, 0.1  # the noise of a training seed in logits: a spread of about .016 in pass@1
ANSWERS = 4


def rows(model: str, difficulty: np.ndarray, generator: np.random.Generator) -> list[MeasurementRow]:
    """pass@1, pass@10 and distinct and correct@16 of one model that answers each prompt with its own chance."""
    found = []
    for i, chance in enumerate(1 / (1 + np.exp(-difficulty))):
        right = generator.random(SAMPLES) < chance
        answers = len(set(generator.integers(0, ANSWERS, SAMPLES)[right].tolist()))
        values = {f"pass_at_k|k:{k}": float(pass_at_k(SAMPLES, int(right.sum()), k)) for k in (1, 10)}
        for signature, value in (values | {"distinct_correct|k:16": float(answers)}).items():
            found.append(MeasurementRow(model, 1.0, f"p{i:03}", signature, value))
    return found


def levels(reports: int) -> None:
    """A baseline and three variants that are the same model: what the verdicts on them are called."""
    for prompts in (40, 150, 400):
        called, significant = Counter[str](), 0
        for report in range(reports):
            generator = np.random.default_rng((report, prompts))
            difficulty = generator.normal(0, 1.5, prompts)
            found = [row for model in ("sft", "a", "b", "c") for row in rows(model, difficulty, generator)]
            facts = known_facts("/nowhere/measurements.jsonl", found)
            whole = comparison.compare(found, facts, CompareSettings("sft", plan=Plan(500)))
            called.update(verdict.level for verdict in whole.verdicts)
            significant += any(row.p_holm < 0.05 for row in whole.differences)
        shares = ", ".join(f"{level} {count / reports / 3:.1%}" for level, count in called.most_common())
        print(f"{prompts} prompts, {reports} null reports: any Holm p < .05 in {significant / reports:.1%}; {shares}")


def bootstrap_interval(a: np.ndarray, b: np.ndarray, generator: np.random.Generator, draws: int = 400) -> np.ndarray:
    """The way before: seeds are resampled, then prompts; the 95 % percentile interval of the difference of means."""
    picks = [generator.integers(0, len(side), (draws, len(side))) for side in (a, b)]
    weights = generator.multinomial(a.shape[1], np.full(a.shape[1], 1 / a.shape[1]), size=draws) / a.shape[1]
    one, two = (np.take_along_axis(weights @ side.T, pick, axis=1) for side, pick in zip((a, b), picks, strict=True))
    return np.percentile(two.mean(axis=1) - one.mean(axis=1), [2.5, 97.5])


def seeds(comparisons: int) -> None:
    """Two methods that are the same, each trained 2, 3 or 5 times: how often their difference is called one."""
    from polychromic.analysis.matrix import entries
    from polychromic.analysis.seeds import over_seeds
    from polychromic.settings.thresholds import DEFAULT_MATRIX

    for count, prompts in product((2, 3, 5), (40, 150)):
        before, now, holm, widths = 0, 0, 0, []
        for trial in range(comparisons):
            generator = np.random.default_rng((trial, count, prompts))
            difficulty = generator.normal(0, 1.5, prompts)
            names = [f"{method}@{seed}" for method in ("sft", "new") for seed in range(count)]
            found = [
                row for name in names for row in rows(name, difficulty + generator.normal(0, SEED_NOISE), generator)
            ]
            table = read_table(found, known_facts("/nowhere/measurements.jsonl", found))
            matrix = entries(DEFAULT_MATRIX, table.facts.values())
            three = over_seeds(table, CompareSettings("sft@0", temperature=1.0), matrix)
            (only,) = [row for row in three if row.metric == "pass_at_k|k:1"]
            values = [table.cells[name, 1.0, only.metric].numerator for name in names]
            low, high = bootstrap_interval(np.stack(values[:count]), np.stack(values[count:]), generator)
            before, now = before + (low > 0 or high < 0), now + (only.p < 0.05)
            holm += any(row.p_holm < 0.05 for row in three)
            widths.append((only.interval[1] - only.interval[0]) / (high - low))
        error = stats.binom.std(comparisons, 0.05) / comparisons
        print(
            f"{count} seeds a side, {prompts} prompts: bootstrap over seeds {before / comparisons:.1%}, "
            f"t {now / comparisons:.1%} (+-{error:.1%}), any of three after Holm {holm / comparisons:.1%}; "
            f"t intervals {np.median(widths):.1f} times as wide"
        )


if __name__ == "__main__":
    {"levels": levels, "seeds": seeds}[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) > 2 else 200)
