"""Tables and figures out of what the cells found."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.efficacy import figures, inference, threshold
from benchmarks.efficacy.inference import Against, Row
from benchmarks.efficacy.methods import BY_NAME, COMPOSED, DOSE_GROUPS
from polychromic.records.jsonl import read_json

OURS = "ours same steps"
BASE = "base untrained"
DRAWN = ("sft same steps", "sft same tokens", "sft same steps x 0.5", "gem same tokens", "accuracy same steps",
         "darling same steps", "dra same steps", "poly_epo same steps")  # fmt: skip
"""The rows a frontier shows; the table has them all."""


def write(out: Path, docs: Path | None) -> Path:
    """The path of ``tables.md``; with ``docs``, ``docs/efficacy.md`` has its blocks and figures renewed."""
    pictures = out / "figures" if docs is None else docs / "images"
    blocks: dict[str, str] = {}
    for task in ("countdown", "grammar"):
        found = inference.rows(_cells(out / task / "test", "dose", include=False))
        if any(row.name == OURS for row in found):
            blocks |= _task(task, found, out, pictures)
    runs = [read_json(path) for path in sorted((out / "grammar" / "threshold").glob("*/*/dose.json"))]
    if len({run["ratio"] for run in runs}) == len(threshold.RATIOS):
        blocks["threshold"] = _threshold(runs, pictures)
    path = out / "tables.md"
    path.write_text("\n\n".join(f"## {name}\n\n{text}" for name, text in blocks.items()) + "\n", encoding="utf-8")
    if docs is not None:
        page = docs / "efficacy.md"
        page.write_text(renewed(page.read_text(encoding="utf-8"), blocks), encoding="utf-8")
    return path


def renewed(text: str, blocks: dict[str, str]) -> str:
    """``text`` with what stands between ``<!-- NAME -->`` and ``<!-- /NAME -->`` replaced, for every block."""
    for name, block in blocks.items():
        pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(\n<!-- /{re.escape(name)} -->)", re.DOTALL)
        text = pattern.sub(lambda match, block=block: match[1] + block + match[2], text)
    return text


def _cells(folder: Path, prefix: str, *, include: bool) -> list[dict[str, Any]]:
    paths = sorted(folder.glob("*/seed-*/figures.json"))
    return [read_json(path) for path in paths if path.parent.parent.name.startswith(f"{prefix}-") == include]


def _task(task: str, found: list[Row], out: Path, pictures: Path) -> dict[str, str]:
    by_name = {row.name: row for row in found}
    ours, base = by_name[OURS], by_name.get(BASE)
    others = [row for row in _ordered(found) if row is not ours]
    trained = [row for row in others if row is not base and set(row.seeds) <= set(ours.seeds)]
    tested = [row for row in trained if row.seeds == ours.seeds]
    tests = {one.row: one for one in inference.against(ours, [*tested, *([base] if base else [])])}
    blocks = {
        f"{task} rows": _rows_table([*([base] if base else []), ours, *trained], by_name["sft same steps"]),
        f"{task} against": _against_table([tests[row.name] for row in others if row.name in tests]),
        f"{task} choice": _choice(out / task),
    }
    if task == "grammar":
        blocks["grammar exact"] = _exact_table([*([base] if base else []), ours, *trained])
    figures.frontier(
        pictures / f"efficacy-{task}.svg", task, ours, [by_name[name] for name in DRAWN if name in by_name], base
    )
    groups = _doses(out / task / "test")
    if any(groups):
        figures.doses(pictures / f"efficacy-{task}-dose.svg", task, groups)
        blocks[f"{task} dose"] = _table(
            ("dose", "pass@1", "distinct and correct@16"),
            [(name, f"{quality:.3f}", f"{distinct:.2f}") for group in groups for name, quality, distinct in group],
        )
    return blocks


def _ordered(found: Iterable[Row]) -> list[Row]:
    names = [*BY_NAME, *COMPOSED]
    return sorted(found, key=lambda row: names.index(row.name.split()[0]) if row.name.split()[0] in names else -1)


def _rows_table(found: Sequence[Row], sft: Row) -> str:
    head = ("method and budget", "pass@1", "pass@16", "distinct and correct@16", "different texts@16", "length",
            "hypervolume", "tokens", "time")  # fmt: skip
    lines = []
    most = max((row.seeds for row in found), key=len)
    for row in found:
        cost = (
            [f"{row.forward_tokens / sft.forward_tokens:.1f}", f"{row.processor_seconds / sft.processor_seconds:.1f}"]
            if row.forward_tokens
            else ["0", "0"]
        )
        lines.append(
            (
                row.name if row.seeds == most else f"{row.name} (seeds: {len(row.seeds)})",
                f"{row.score('pass@1'):.3f}",
                f"{row.score('pass@16'):.3f}",
                f"{row.score('distinct'):.2f}",
                _number(row.score("unique"), 1),
                _number(row.score("length"), 2),
                f"{row.volume:.3f}",
                *cost,
            )
        )
    return _table(head, lines)


def _exact_table(found: Sequence[Row]) -> str:
    names = ("pass@1", "coverage", "collision", "divergence")
    head = ("method and budget", "validity", "coverage@16", "collision", "KL from the demonstrations")
    return _table(head, [(row.name, *(f"{row.score(name):.3f}" for name in names)) for row in found])


def _against_table(tests: Sequence[Against]) -> str:
    head = ("ours minus", "distinct and correct@16", "pass@1", "distinct at matched pass@1", "hypervolume",
            "seeds ahead", "p (Holm)", "more diverse at no lower pass@1")  # fmt: skip
    return _table(
        head,
        [
            (
                one.row,
                _interval(one.distinct, 2),
                _interval(one.quality, 3),
                _interval(one.at_quality, 2),
                _interval(one.volume, 3),
                one.wins,
                "<0.0001" if one.holm < 0.0001 else f"{one.holm:.4f}",
                one.holds,
            )
            for one in tests
        ],
    )


def _choice(folder: Path) -> str:
    path = folder / "choice.json"
    if not path.exists():
        return ""
    found = read_json(path)
    return _table(
        ("method", "option", "hypervolume on validation", "chosen"),
        [
            (
                f"{one['method']}: {BY_NAME[one['method']].says}",
                ", ".join(part.removeprefix("polychromic.") for part in one["option"]) or "-",
                f"{one['volume']:.3f}",
                "yes" if found["chosen"][one["method"]] == one["option"] else "",
            )
            for one in found["tried"]
        ],
    )


def _doses(folder: Path) -> list[list[tuple[str, float, float]]]:
    """Dose, pass@1 and distinct-and-correct@16 of the doses that were run, by group."""
    rows = inference.rows(_cells(folder, "dose", include=True))
    found = {row.name.removeprefix("dose "): (row.score("pass@1"), row.score("distinct")) for row in rows}
    return [[(label, *found[label]) for label, _ in group if label in found] for group in DOSE_GROUPS]


def _threshold(runs: Sequence[dict[str, Any]], pictures: Path) -> str:
    factor = threshold.measured_threshold(list(runs))
    figures.threshold(pictures / "efficacy-threshold.svg", runs, factor)
    lines = []
    for ratio in threshold.RATIOS:
        group = [run for run in runs if run["ratio"] == ratio]
        effective = float(np.mean([run["lambda_eff"] for run in group]))
        collision = float(np.mean([np.mean(run["collision"]) for run in group]))
        lines.append(
            (
                f"{ratio:g}",
                f"{effective:.2f}",
                f"{np.mean([np.mean(run['junk']) for run in group]):.3f}",
                f"{np.mean([threshold.predicted_junk(run['lambda_eff'], run['thresholds']) for run in group]):.3f}",
                f"{collision:.3f}",
                f"{effective * collision:.2f}",
            )
        )
    seeds = len({run["seed"] for run in runs})
    table = _table(("dose", "lambda_eff", "junk", "junk predicted", "C of two samples", "lambda_eff x C"), lines)
    return f"{table}\n\nFitted threshold: {factor:.3f} of the predicted one ({seeds} seeds)."


def _interval(span: tuple[float, float, float], digits: int) -> str:
    estimate, low, high = span
    if not all(map(math.isfinite, span)):
        return "-"
    return f"{estimate:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
