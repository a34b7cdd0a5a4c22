"""The model card of a run: what was trained on what, what the evaluation found, how to load and serve it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polychromic.analysis.record import Comparison, read_comparison
from polychromic.core.digests import file_digest
from polychromic.core.errors import MissingResourceError
from polychromic.records.artefacts import RunFolder
from polychromic.records.jsonl import read_json, write_bytes
from polychromic.reporting import markdown, tables
from polychromic.reporting.page import environment
from polychromic.settings.schema import ExperimentSection, PolychromicSection

CARD = "README.md"
PEFTS = {"r": 8, "lora_alpha": 8}


@dataclass(frozen=True, slots=True)
class Shown:
    """Where the card is written, under which name it is loaded, and whether the weights are ``merged``."""

    folder: Path
    where: str
    kind: str = "adapter"


def write_card(run: Path, evaluation: Path | None = None, shown: Shown | None = None) -> Path:
    """The path of ``README.md`` in the run's folder, or in that of ``shown``; an evaluation brings verdict and figures.

    Raises:
        MissingResourceError: the folder holds no finished run, or the evaluation no comparison.
        InputError: the evaluation does not know these weights.
    """
    folder = RunFolder(run)
    if not folder.run_json.is_file() or not folder.adapter.is_file():
        raise MissingResourceError(f"{run}: holds no finished run; a card is about one")
    shown = shown or Shown(run, str(run))
    facts = _facts(folder, read_json(folder.run_json), shown)
    found = _evaluated(run, evaluation, shown.folder) if evaluation is not None else _nothing()
    text = environment(markdown.escaped, autoescape=False).get_template("card.md.jinja").render(facts | found)
    write_bytes(shown.folder / CARD, [text.encode()])
    return shown.folder / CARD


def _facts(folder: RunFolder, stored: Mapping[str, Any], shown: Shown) -> dict[str, Any]:
    settings = stored["settings"]
    versions = stored.get("versions") or {}
    section = PolychromicSection().model_dump(by_alias=True) | (settings.get("polychromic") or {})
    experiment = ExperimentSection(name=folder.path.name).model_dump() | (settings.get("experiment") or {})
    lora, plain = settings.get("lora") or {}, markdown.Markdown
    k = section.get("set_size") or section["n_generations"]
    return {
        "name": experiment["name"],
        "license": plain(experiment["license"] or ""),
        "base": plain(settings["model"]["name_or_path"]),
        "revision": settings["model"].get("revision") or "",
        "merged": shown.kind == "merged",
        "where": plain(shown.where),
        "weight": section["lambda"] and plain(section["lambda"]),
        "k": k,
        "n": section["n_generations"],
        "temperature": plain(section["temperature"]),
        **{name: plain(_kind(section[name])) for name in ("reward", "gate")},
        "quantization": plain(
            ", ".join(f"{key} {value}" for key, value in (settings.get("quantization") or {}).items())
        ),
        "data": _data(settings.get("data") or {}),
        "record": {name: plain(stored.get(name, "–")) for name in ("examples", "steps", "seconds")},
        "rank": lora.get("r", PEFTS["r"]),
        "alpha": lora.get("lora_alpha", PEFTS["lora_alpha"]),
        "seed": experiment["seed"],
        "weights": file_digest(folder.adapter),
        "code_revision": stored.get("git_revision") or "",
        "made_with": plain(versions.get("polychromic", "")),
        "versions": plain(", ".join(f"{package} {version}" for package, version in versions.items())),
    }


def _kind(entry: Any) -> str:
    """A kind's name; of one from outside only its own name, no path."""
    name = str(entry["kind"] if isinstance(entry, Mapping) else entry)
    return name.rpartition("/")[2]


def _data(section: Mapping[str, Any]) -> list[str]:
    """The sources by name, those of this machine with the digest of their content and without their folder."""
    sources = [section, *(section.get("sources") or ())]
    named = [source.get(key) for source in sources for key in ("train_file", "dataset") if source.get(key)]
    found = []
    for name in named:
        path = Path(name)
        found.append(
            f"{path.name} (SHA-256 {file_digest(path)})"
            if path.is_file()
            else path.name
            if path.is_absolute()
            else name
        )
    if section.get("task") is not None:
        found.append(f"{'judged by' if found else 'task'} {_kind(section['task'])}")
    return found


def _nothing() -> dict[str, Any]:
    return {"comparison": None, "verdict": None, "table": "", "pictures": [], "detectable": ""}


def _evaluated(run: Path, evaluation: Path, place: Path) -> dict[str, Any]:
    """The verdict on the run, its row beside base and baseline, and the figures, copied beside the card."""
    comparison = read_comparison(evaluation / "comparison.json")
    model = _model(run, evaluation, comparison)
    headline = tables.headline(comparison)
    wanted = {model, comparison.baseline, comparison.settings.base}
    rows = tuple(row for row in headline.rows if row[0] in wanted)
    pictures = sorted(path.stem for path in (evaluation / "figures").glob("*.png"))
    (place / "figures").mkdir(exist_ok=True)
    for name in pictures:
        shutil.copyfile(evaluation / "figures" / f"{name}.png", place / "figures" / f"{name}.png")
    return {
        "comparison": comparison,
        "verdict": next((one for one in comparison.verdicts if one.model == model), None),
        "table": tables.headline_markdown(tables.Headline(headline.columns, rows)),
        "pictures": pictures,
        "detectable": tables.detectable(comparison),
    }


def _model(run: Path, evaluation: Path, comparison: Comparison) -> str:
    """The name under which the evaluation knows the run: the one of its folder."""
    name = run.resolve().name
    if name in comparison.models:
        return name
    known = ", ".join(comparison.models)
    raise MissingResourceError(f"{evaluation}: compares no model called {name} (there are: {known})")
