"""The pages of ``polychromic view``: the runs and evaluations below a folder, read anew at each look, never written."""

from __future__ import annotations

import json
import math
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from polychromic.analysis import spending
from polychromic.analysis.cost import Prices
from polychromic.analysis.record import Comparison, read_comparison
from polychromic.core.digests import file_digest, text_digest
from polychromic.core.errors import InputError, MissingResourceError, PolychromicError, RecordError
from polychromic.core.secrets import redacted
from polychromic.records.artefacts import RunFolder
from polychromic.records.evaluation import EvaluationFolder
from polychromic.records.jsonl import scan_rows
from polychromic.records.logs import read_logs
from polychromic.reporting import drilldown, palette, runs, verdicts
from polychromic.reporting.page import asset, environment, sample_data, script_json, shown, style
from polychromic.reporting.tables import duration
from polychromic.settings.prices import price_per_hour

RUN, EVALUATION, REPORT = "run.json", ("evaluation.json", "comparison.json", "samples.jsonl"), "report.html"
PASSED_OVER = {"checkpoints", "figures", "embeddings"}
MOST_POINTS = 600
"""Of a curve that is sent; a longer one is thinned evenly."""
NEWEST_ROWS = 300
"""Samples of a run that its page shows."""
POLICY = "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
OWN = f"default-src 'none'; connect-src 'self'; form-action 'self'; {POLICY}"
A_REPORT = f"default-src 'none'; sandbox allow-scripts; form-action 'none'; {POLICY}"
"""A report is a page of its own: whatever its file holds, it can read nothing here."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is sent: bytes of a content type, and what a browser lets them do."""

    body: bytes
    kind: str = "text/html; charset=utf-8"
    policy: str = OWN


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run of the list; ``weight`` is lambda, ``dollars`` NaN where no price is known, ``trouble`` why it is unread.

    ``verdicts`` are levels, each with the evaluation that says so, found by the digest of the run's weights.
    """

    at: str
    name: str
    state: str = ""
    weight: float = math.nan
    harvest: str = ""
    steps: int = 0
    dollars: float = math.nan
    verdicts: tuple[tuple[str, str], ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class EvaluationLine:
    """One evaluation of the list; ``verdict`` is the sentence its report opens with, empty without a comparison."""

    at: str
    name: str
    models: tuple[str, ...] = ()
    prompts: int = 0
    verdict: str = ""
    sampled: bool = False
    reported: bool = False
    trouble: str = ""
    levels: tuple[tuple[str, str], ...] = ()
    """The digest of each model's adapter, and the model's level."""


class Site:
    """All pages about one folder; ``page`` reads what an address asks for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._jinja = environment(shown, autoescape=True)
        self._jinja.filters["address"] = address
        self._newest: EvaluationFolder | None = None
        self._pages: Mapping[str, Callable[[Sequence[str]], Page]] = {
            "/": self._list,
            "/run": self._runs,
            "/compare": self._runs,
            "/samples": self._samples,
            "/report": self._report,
            "/curves": self._curves,
        }

    def page(self, path: str, at: Sequence[str] = ()) -> Page:
        """The page at ``path`` about the folders that have the addresses ``at``.

        Raises:
            MissingResourceError: there is no such page, or no such folder below the root.
            PolychromicError: a file of it is damaged.
        """
        if path not in self._pages:
            raise MissingResourceError(f"{path}: there is no such page")
        known = {address(name): name for name in self._folders((RUN, *EVALUATION))}
        if set(at) - set(known):
            raise MissingResourceError(f"{self.root}: no run and no evaluation of it has this address (any more)")
        if path != "/" and not at:
            raise InputError("mark at least one run in the list")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a log's last row that is being written at this moment
            return self._pages[path]([known[each] for each in at])

    def trouble(self, text: str) -> Page:
        """A page that says what went wrong."""
        return self._render("trouble", title="That did not work", text=redacted(text))

    def _render(self, view: str, **content: Any) -> Page:
        scripts = Markup("\n").join(Markup(asset(name)) for name in ("report.js", "view.js"))
        page = self._jinja.get_template("view.html.jinja").render(
            view=view, root=str(self.root), style=style(), script=scripts, **content
        )
        return Page(page.encode("utf-8", "replace"))

    def _folders(self, names: Sequence[str]) -> list[str]:
        """Folders below the root, relative to it, that hold a file of these names; links are not followed."""
        found = []
        for folder, inner, files in os.walk(self.root):
            inner[:] = sorted(name for name in inner if name not in PASSED_OVER and not name.startswith("."))
            if not set(names).isdisjoint(files):
                found.append(os.path.relpath(folder, self.root))
        return found

    def _name(self, at: str) -> str:
        return self.root.resolve().name if at == "." else at

    def _list(self, _: Sequence[str]) -> Page:
        evaluations = [self._evaluation(at) for at in self._folders(EVALUATION)]
        lines = [self._line(at, evaluations) for at in self._folders((RUN,))]
        return self._render("list", title=self._name("."), runs=lines, evaluations=evaluations)

    def _line(self, at: str, evaluations: Sequence[EvaluationLine]) -> RunLine:
        folder = RunFolder(self.root / at)
        try:
            record = folder.record()
            rows = spending.rows_of(folder.path)
            price = Prices(price_per_hour(record.number("tracking", "price_per_hour")))
            harvest = record.setting("data", "harvest") or {}
            return RunLine(
                at,
                self._name(at),
                state(folder),
                record.number("polychromic", "lambda", "diversity_weight") or 0.0,
                "" if not harvest else f"share {harvest.get('share')}" if harvest.get("share") else "yes",
                max((log.step for log in read_logs(folder.metrics)), default=0),
                spending.dollars(rows, price) if rows else math.nan,
                _verdicts(folder, evaluations),
            )
        except (PolychromicError, OSError) as error:
            return RunLine(at, self._name(at), trouble=redacted(str(error)))

    def _evaluation(self, at: str) -> EvaluationLine:
        folder, name = EvaluationFolder(self.root / at), self._name(at)
        line = EvaluationLine(at, name, sampled=folder.samples.exists(), reported=(folder.path / REPORT).exists())
        try:
            weights = folder.record().weights
            if not folder.comparison.exists():
                return replace(line, models=tuple(weights))
            found = read_comparison(folder.comparison)
            levels = {verdict.model: verdict.level for verdict in found.verdicts} | {found.baseline: "baseline"}
            digests = tuple((weights[model], level) for model, level in levels.items() if weights.get(model))
            opening = " ".join(filter(None, verdicts.opening(found)))
            return replace(line, models=found.models, prompts=found.prompts, verdict=opening, levels=digests)
        except (PolychromicError, OSError) as error:
            return replace(line, trouble=redacted(str(error)))

    def _runs(self, chosen: Sequence[str]) -> Page:
        """Curves of runs, and where the settings of several differ; of one, all settings and its newest samples."""
        folders = [RunFolder(self.root / at) for at in chosen]
        records = [folder.record() for folder in folders]
        names = [self._name(at) for at in chosen]
        data = [{"address": address(at), "colour": _colour(place)} for place, at in enumerate(chosen)]
        alone = len(folders) == 1
        return self._render(
            "runs",
            title=" and ".join(names),
            names=names,
            colours=[_colour(place) for place in range(len(names))],
            settings=setting_rows([record.settings for record in records]),
            states=list(map(state, folders)),
            health=[
                (name, line) for name, each in zip(names, folders, strict=True) for line in each.record().health.lines()
            ],
            tables=[table for table in map(newest_rows, _samples_of(folders[0])) if table[1]] if alone else [],
            data=script_json(data),
        )

    def _curves(self, chosen: Sequence[str]) -> Page:
        folder = RunFolder(self.root / chosen[0])
        panels = {title: thinned(steps, values) for title, (steps, values) in runs.curves(folder.path).items()}
        said = {"name": self._name(chosen[0]), "state": state(folder), "done": folder.finished, "panels": panels}
        return Page(json.dumps(said, allow_nan=False).encode(), "application/json")

    def _samples(self, chosen: Sequence[str]) -> Page:
        place = self.root / chosen[0]
        if self._newest is None or self._newest.path != place:
            self._newest = EvaluationFolder(place)  # one at a time: samples are long
        folder = self._newest
        comparison = read_comparison(folder.comparison) if folder.comparison.exists() else None
        models = comparison.models if comparison else tuple(dict.fromkeys(each.model for each in folder.sets()))
        samples = drilldown.load(folder, models)
        if samples is None:
            raise MissingResourceError(f"{chosen[0]}: has no samples")
        return self._render(
            "samples",
            title=self._name(chosen[0]),
            at=chosen[0],
            reported=(place / REPORT).exists(),
            samples=samples,
            chosen=comparison.temperature if comparison else samples["temperatures"][0],
            data=sample_data(models, _colours(models, comparison), samples),
        )

    def _report(self, chosen: Sequence[str]) -> Page:
        return Page((self.root / chosen[0] / REPORT).read_bytes(), policy=A_REPORT)


def address(at: str) -> str:
    """What a folder is called in an address, whatever characters its name holds: the name's digest."""
    return text_digest(at)


def state(folder: RunFolder) -> str:
    """Whether the run has finished, else how long ago it logged a number."""
    record = folder.record()
    if record.finished:
        return f"finished {record.finished[:16].replace('T', ' ')}"
    if not folder.metrics.exists():
        return "no number yet"
    return f"last number {duration(max(0.0, time.time() - folder.metrics.stat().st_mtime))} ago"


def setting_rows(settings: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Each setting's dotted name and its value in every run; of several runs, only where they are not the same."""
    every = [_leaves(each) for each in settings]
    rows = [
        (name, [_said(each.get(name)) for each in every]) for name in sorted({name for each in every for name in each})
    ]
    return [row for row in rows if (len(set(row[1])) > 1 if every[1:] else row[1] != [""])]


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        return {name: value}
    inner = (_leaves(each, f"{name}.{key}" if name else key) for key, each in value.items())
    return {key: leaf for each in inner for key, leaf in each.items()}


def _said(value: Any) -> str:
    """A setting as text; nothing for one that is not there."""
    return "" if value is None else redacted(value if isinstance(value, str) else json.dumps(value))


def thinned(steps: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most ``MOST_POINTS`` of a curve, evenly, the last among them."""
    stride = math.ceil(len(steps) / MOST_POINTS)
    return list(reversed(steps[::-1][::stride])), list(reversed(values[::-1][::stride]))


def newest_rows(path: Path) -> tuple[str, list[list[str]], list[str]]:
    """The name of a file of samples, the newest of its rows as text, and their columns; no rows without a file."""
    if not path.exists():
        return path.stem, [], []
    whole = (row for _, row in scan_rows(path) if not isinstance(row, RecordError))
    rows = list(deque(whole, maxlen=NEWEST_ROWS))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return path.stem.replace("_", " "), [[_said(row.get(name)) for name in columns] for row in reversed(rows)], columns


def _samples_of(folder: RunFolder) -> tuple[Path, ...]:
    return folder.held_out_samples, folder.training_samples


def _verdicts(folder: RunFolder, evaluations: Sequence[EvaluationLine]) -> tuple[tuple[str, str], ...]:
    if not folder.adapter.exists():
        return ()
    digest = file_digest(folder.adapter)
    return tuple((level, line.at) for line in evaluations for of, level in line.levels if of == digest)


def _colour(place: int) -> str:
    return palette.css_variable(palette.HUES[place % len(palette.HUES)][0])


def _colours(models: Sequence[str], comparison: Comparison | None) -> dict[str, str]:
    baseline, base = (comparison.baseline, comparison.settings.base) if comparison else ("", None)
    return palette.model_colours(models, baseline, base)
