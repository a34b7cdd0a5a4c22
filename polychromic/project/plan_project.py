"""The forecast of a whole project: every variant, the evaluation that compares them, and what it could show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polychromic.analysis.cost import Cost, Prices
from polychromic.analysis.record import read_comparison
from polychromic.analysis.significance import foreseen_effect, minimum_detectable_effect
from polychromic.analysis.spending import prices_of
from polychromic.core.errors import InputError, PolychromicError
from polychromic.core.nouns import Bill, Prompt
from polychromic.project import plan, plan_judging
from polychromic.project.plan_rows import guessed_tokens, text_of
from polychromic.records.rows import FloatOrNaN
from polychromic.reporting.tables import duration
from polychromic.settings import catalog
from polychromic.settings.schema import Settings

VLLM_DECODE = 1.5
"""A vLLM's decode step against the time to read the weights once."""
VLLM_AT_ONCE = 256
ASSUMED_PROMPTS, ASSUMED_TOKENS = 200, 512
VARIED = 0.3
"""A standard deviation, between prompts, of how much two models differ: the larger of the two cases shown."""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """The evaluation of ``models`` (the base and every run): samples, tokens at most, seconds and dollars.

    ``tokens_read`` are those of the prompts where a server is paid for them, ``judging`` what a paid judge takes at
    most; both are in the price. ``effect`` says in one sentence what differences it could show.
    """

    models: int
    prompts: int
    samples: int
    tokens: int
    seconds: FloatOrNaN
    price: float | None
    effect: str
    tokens_read: int = 0
    judging: Bill | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectPlan:
    """All runs with their evaluation; ``price`` is their sum, None where no price is known."""

    runs: tuple[plan.Plan, ...]
    evaluation: EvaluationPlan
    seconds: FloatOrNaN
    price: float | None


def forecast(every: Sequence[Settings], device: str = "h100") -> ProjectPlan:
    """The plan of training ``every`` configuration and evaluating them with the settings of the last.

    Raises:
        InputError: an unknown device.
        RecordError: a row of the data is wrong.
    """
    runs = tuple(plan.forecast(settings, device) for settings in every)
    evaluation = evaluation_of(every[-1], len(every) + 1, device)
    prices = [*(run.price for run in runs), evaluation.price]
    known = [price for price in prices if price is not None]
    whole = math.fsum(known) if len(known) == len(prices) else None
    return ProjectPlan(runs, evaluation, math.fsum(run.total for run in runs) + evaluation.seconds, whole)


def evaluation_of(settings: Settings, models: int, device: str) -> EvaluationPlan:
    """The plan of evaluating ``models`` models by the section evaluation of ``settings``."""
    section, notes, asked = settings.evaluation, [], _prompts(settings)
    prompts = min(ASSUMED_PROMPTS, section.max_prompts or ASSUMED_PROMPTS) if asked is None else len(asked)
    if asked is None:
        notes.append(f"the evaluation's prompts are not here: assumed {prompts}")
    samples = models * len(section.temperatures) * prompts * section.n
    tokens = samples * section.max_new_tokens
    engine = catalog.split(section.engine)[0]
    seconds, prices, read = _seconds(settings, samples, device), prices_of(settings.tracking), 0
    if engine != "server" or prices.per_million_tokens is None:
        prices = Prices(prices.per_hour)
    elif prices.per_million_prompt_tokens is None:
        notes.append("prompts are not priced: tracking.price_per_million_prompt_tokens")
    else:
        read = round(samples * (_prompt_tokens(asked) if asked else ASSUMED_TOKENS))
    if math.isnan(seconds):
        notes.append(f"how fast the {engine} answers is not known")
    judging = plan_judging.judged(_task(settings), section.split, samples, section.max_new_tokens)
    price = plan.priced(Cost("evaluation", tokens, seconds, 1, prices, read).dollars, judging)
    effect = _effect(settings, prompts)
    return EvaluationPlan(models, prompts, samples, tokens, seconds, price, effect, read, judging, tuple(notes))


def _seconds(settings: Settings, samples: int, device: str) -> float:
    """Of sampling; NaN for a server, whose machine is not known."""
    section, (engine, _) = settings.evaluation, catalog.split(settings.evaluation.engine)
    if engine not in ("transformers", "vllm", "auto"):
        return math.nan
    eager = engine == "transformers"
    at_once = section.batch_size if eager else VLLM_AT_ONCE
    shape, passes = plan.shape_of(settings), plan.EAGER_DECODE if eager else VLLM_DECODE
    each = plan.decode_seconds(settings, shape, plan.DEVICES[device], passes)
    return math.ceil(samples / at_once) * section.max_new_tokens * each


def _task(settings: Settings) -> Any:
    return settings.data.task if settings.evaluation.task is None else settings.evaluation.task


def _prompts(settings: Settings) -> Sequence[Prompt] | None:
    """The evaluation's prompts; None where they are not here."""
    section, task = settings.evaluation, _task(settings)
    try:
        return None if task is None else catalog.build("tasks", task).prompts(section.split)[: section.max_prompts]
    except PolychromicError:
        return None


def _prompt_tokens(prompts: Sequence[Prompt]) -> float:
    """Mean tokens of a prompt, guessed from its words."""
    return math.fsum(guessed_tokens(text_of(prompt)) for prompt in prompts) / len(prompts)


def _effect(settings: Settings, prompts: int) -> str:
    """What differences so many prompts show: measured in an evaluation of these runs, else foreseen."""
    measured = _measured(Path(settings.experiment.output_root), prompts)
    if measured:
        return measured
    section, task = settings.evaluation, settings.evaluation.task or settings.data.task
    if task is None or not catalog.outline("tasks", task).judges:
        return "nobody judges the answers, so what difference can be seen is only known after a first evaluation"
    least, varied = (foreseen_effect(prompts, section.n, spread) for spread in (0.0, VARIED))
    return (
        f"{prompts} prompts with {section.n} samples each would show a difference in pass@1 of {least:.3f} four times "
        f"in five, if the models differ alike on every prompt, and of {varied:.3f} if their difference varies by "
        f"{VARIED:g} between prompts; smaller ones would go unseen (one comparison, 95 %)"
    )


def _measured(root: Path, prompts: int) -> str:
    """The sentence from the newest evaluation below ``root`` that has a headline difference; empty without one."""
    found = sorted(root.rglob("comparison.json"), key=lambda path: path.stat().st_mtime) if root.is_dir() else []
    for path in reversed(found):
        try:
            rows = [row for row in read_comparison(path).differences if row.headline and row.prompts > 1]
        except InputError:
            continue
        rows = [row for row in rows if row.standard_error > 0]
        if rows:
            row = min(rows, key=lambda row: row.headline)
            error = row.standard_error * math.sqrt(row.prompts / max(1, prompts))
            effect = float(minimum_detectable_effect(error, prompts - 1))
            return (
                f"{prompts} prompts would show a difference in {row.title} of {effect:.3f} four times in five, going "
                f"by how {row.prompts} prompts varied in {path.parent}; smaller ones would go unseen (one comparison, "
                "95 %)"
            )
    return ""


def lines(found: ProjectPlan) -> list[str]:
    """The forecast as a person reads it."""
    said = [line for run in found.runs for line in (*plan.lines(run), "")]
    own = found.evaluation
    took = "time not known" if math.isnan(own.seconds) else f"about {duration(own.seconds)}"
    said.append(
        f"evaluation of {own.models} models: {own.samples:,} samples of {own.prompts} prompts, at most {own.tokens:,} "
        f"tokens; {took}{_price(own.price)}"
    )
    if own.tokens_read:
        said.append(f"prompts: about {own.tokens_read:,} tokens read")
    said += plan.judging_lines(own.judging)
    said += [f"note: {note}" for note in own.notes] + [f"what it could show: {own.effect}"]
    total = "not known" if math.isnan(found.seconds) else f"about {duration(found.seconds)} on one device"
    return [
        *said,
        f"total: {total}{_price(found.price)}",
        plan.ESTIMATE,
    ]


def _price(price: float | None) -> str:
    return "" if price is None else f", about {price:.2f} dollars"
