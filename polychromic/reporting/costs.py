"""The account of an evaluation: what its samples and its stages took, joined from the folder's rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.analysis.cost import (
    UNKNOWN,
    Cost,
    EvaluationCost,
    Prices,
    SampleCounts,
    SamplingRow,
    StageRow,
    sampling_account,
)
from polychromic.analysis.spending import BY_TOKENS, dollars, prices_in
from polychromic.core.nouns import Status
from polychromic.records.costs import TimingRow, read_costs, total
from polychromic.records.evaluation import EvaluationFolder, Folder, opened
from polychromic.records.verdicts import VerdictKey, verdict_keys

COST = "cost.json"


@dataclass(frozen=True, slots=True)
class _Share:
    """One sample's part of the row that says what its set took; ``tokens`` and ``read`` are None when none are known.

    ``device_seconds`` are the processor's own for a model on it, which other work on the machine does not change, else
    the clock's.
    """

    device_seconds: float
    wall_seconds: float
    tokens: int | None
    read: float | None


def evaluation_cost(folder: Folder, baseline: str, prices: Prices = UNKNOWN) -> EvaluationCost | None:
    """The account: a row for each model, and wall-clock and processor seconds of each stage.

    ``prices`` stand in where the folder was given none.

    A model's row is about the samples that exist: one that was drawn twice, because a crash lost it, counts once. The
    stages' seconds are all that was spent and finished. None when the folder has no ``costs.jsonl``.
    """
    folder = opened(folder)
    rows = read_costs(folder.path)
    if not rows:
        return None
    prices = prices_in(folder.path, prices)
    stages = tuple(_stage(name, rows, prices) for name in dict.fromkeys(row.stage for row in rows))
    return EvaluationCost(prices.per_hour, tuple(_models(folder, rows, baseline, prices)), stages)


def _stage(name: str, rows: Sequence[TimingRow], prices: Prices) -> StageRow:
    own = [row for row in rows if row.stage == name]
    device, bill = ", ".join(dict.fromkeys(row.device for row in own)), total(row.bill for row in own if row.bill)
    seconds, processor = (math.fsum(getattr(row, f"{name}seconds") for row in own) for name in ("", "processor_"))
    return StageRow(name, device, seconds, processor, dollars(own, prices), bill)


def _models(folder: EvaluationFolder, rows: Sequence[TimingRow], baseline: str, prices: Prices) -> list[SamplingRow]:
    shares, verdicts = _shares(rows), folder.judged()
    held: dict[str, list[VerdictKey]] = {}
    for stored in folder.sets():
        held.setdefault(stored.model, []).extend(verdict_keys(stored))
    devices: dict[str, set[str]] = {}
    for row in rows:
        if row.stage == "sample":
            devices.setdefault(row.model, set()).add(row.device)
    costs, counts = {}, {}
    for model, keys in held.items():
        known = [shares[key] for key in keys if key in shares]
        statuses = Counter(verdicts[key].status for key in keys if key in verdicts)
        judged = sum(statuses.values()) - statuses[Status.ABSENT]
        whole = len(known) == len(keys)
        seconds = math.fsum(share.device_seconds for share in known) if whole else math.nan
        wall = math.fsum(share.wall_seconds for share in known) if whole else math.nan
        paid = prices if devices.get(model) == {BY_TOKENS} else Prices(prices.per_hour)
        tokens, read = (
            _sum(values) if whole else math.nan
            for values in ([share.tokens for share in known], [share.read for share in known])
        )
        costs[model] = Cost("sample", tokens, seconds, 1, paid, read)
        counts[model] = SampleCounts(len(keys), judged, statuses[Status.PASSED], len(known), wall)
    return sampling_account(costs, counts, baseline)


def _sum(counts: Sequence[float | None]) -> float:
    return math.fsum(math.nan if count is None else count for count in counts)


def _shares(rows: Sequence[TimingRow]) -> dict[VerdictKey, _Share]:
    """What each sample took, by the key of its verdict; the last row about a sample counts."""
    found: dict[VerdictKey, _Share] = {}
    for row in rows:
        if row.stage != "sample" or row.temperature is None or not row.indices:
            continue
        n, own = len(row.indices), row.processor_seconds if row.device == "cpu" else row.seconds
        tokens: Sequence[int | None] = row.tokens if row.tokens is not None else [None] * n
        for index, count in zip(row.indices, tokens, strict=False):
            key = (row.model, row.prompt_id, row.temperature, index)
            read = None if row.tokens_read is None else row.tokens_read / n
            found[key] = _Share(own / n, row.seconds / n, count, read)
    return found
