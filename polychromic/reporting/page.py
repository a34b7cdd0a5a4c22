"""report.html (one file, no network), report.md and figures/, from an evaluation folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from polychromic.analysis.controls import Audit
from polychromic.analysis.cost import AccountRow
from polychromic.analysis.matrix import at_odds
from polychromic.analysis.nouns import Difference, Flag
from polychromic.analysis.record import Comparison, read_comparison
from polychromic.core.escaping import one_line, visible
from polychromic.records.evaluation import EvaluationFolder, Folder, opened
from polychromic.records.jsonl import read_json, write_bytes, write_json
from polychromic.records.rows import read_noun
from polychromic.reporting import costs, drilldown, figures, markdown, palette, routes, runs, tables, verdicts

LARGEST = 3_000_000  # bytes; the page must stay below
MOST_ROWS = 1_000  # differences shown; more are in comparison.json


@dataclass(frozen=True, slots=True)
class Extras:
    """What a report can show beyond ``comparison.json``.

    ``runs`` maps model names to training run folders, ``lambdas`` to their diversity weights (read from the run
    folders when not given), ``cost`` holds rows of ``polychromic.analysis.cost.account`` (from the run folders too).
    """

    runs: Mapping[str, Path] = field(default_factory=dict)
    lambdas: Mapping[str, float] = field(default_factory=dict)
    cost: Sequence[AccountRow] = ()
    title: str = ""


def write_report(folder: Folder, extras: Extras | None = None) -> Path:
    """The path of ``report.html``; ``report.md``, ``figures/`` and an evaluation's ``cost.json`` are written beside it.

    The same folder gives the same bytes but for the section on cost, which holds the seconds of this run.

    Raises:
        MissingResourceError: the folder has no ``comparison.json``.
    """
    folder = opened(folder)
    place = folder.path
    comparison = read_comparison(folder.comparison)
    context = _context(folder, comparison, extras or Extras())
    for figure in context["figures"]:
        figure.write(place / "figures")
    if context["spent"]:
        write_json(place / costs.COST, context["spent"])
    page = environment(shown, autoescape=True).get_template("report.html.jinja").render(context)
    twin = environment(markdown.escaped, autoescape=False).get_template("report.md.jinja").render(context)
    write_bytes(place / "report.md", [twin.encode("utf-8")])
    write_bytes(place / "report.html", [page.encode("utf-8")])
    return place / "report.html"


def environment(finalize: Callable[[Any], Any], autoescape: bool) -> Environment:
    """Jinja over the package's templates, with the filters of the pages."""
    environment = Environment(
        loader=PackageLoader("polychromic.reporting", "templates"),
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": tables.number,
        "signed": tables.signed,
        "percent": tables.percent,
        "span": tables.span,
        "p_value": tables.p_value,
        "mark": tables.marked,
        "at_odds": at_odds,
        "variable": palette.css_variable,
        "code": markdown.code,
    }
    return environment


def shown(value: Any) -> Any:
    """A value of the page as it may be seen; that it is no HTML is Jinja's care."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _context(folder: EvaluationFolder, comparison: Comparison, extras: Extras) -> dict[str, Any]:
    about = folder.path / "audit.json"
    audit = read_noun(about, Audit) if about.exists() else None
    trained = runs.health_flags(extras.runs, folder.record().weights)
    flags = (
        *_trusted(folder),
        *_audit_flags(audit, comparison),
        *_precision_flags(folder.path),
        *trained,
        *comparison.flags,
    )
    colours = palette.model_colours(comparison.models, comparison.baseline, comparison.settings.base)
    samples = drilldown.load(folder, comparison.models)
    opening, beside = verdicts.opening(comparison)
    judged, matrix = verdicts.judged(comparison), verdicts.matrix(comparison)
    headline, returns = tables.headline(comparison), tables.returns_table(comparison)
    return {
        "title": extras.title or f"{comparison.baseline} and its variants",
        "opening": opening,
        "beside": beside,
        "judged": judged,
        "single": [verdict for verdict in comparison.verdicts if verdict not in judged],
        "matrix": matrix,
        "matrix_table": verdicts.matrix_markdown(matrix),
        "odds": tables.odds(comparison),
        "warnings": sum(flag.level == "warning" for flag in flags),
        "flags": flags,
        "per_prompt": _per_prompt(samples),
        "comparison": comparison,
        "settings": comparison.settings,
        "temperatures": sorted({row.temperature for row in comparison.scores}),
        "colours": colours,
        "headline": headline,
        "detectable": tables.detectable(comparison),
        "differences": _most_telling(comparison.differences),
        "figures": figures.draw(comparison, colours, extras.runs, extras.lambdas or _lambdas(extras.runs)),
        "returns": returns,
        "returns_markdown": markdown.table(*returns),
        "samples": samples,
        **_routing(folder.path),
        "data": sample_data(comparison.models, colours, samples),
        "chosen": comparison.temperature,
        "audit": audit,
        **_costs(folder, comparison.baseline, extras),
        "style": style(),
        "script": Markup(asset("report.js")),
        "score_table": tables.headline_markdown(headline),
        "difference_table": tables.differences_markdown(comparison),
        "Markup": Markup,
    }


def _costs(folder: EvaluationFolder, baseline: str, extras: Extras) -> dict[str, Any]:
    """The accounts of training and of the evaluation, as rows and as tables of the Markdown twin."""
    cost = extras.cost or runs.costs(extras.runs, baseline)
    spent = costs.evaluation_cost(folder, baseline)
    heading, rows = tables.sampling_table(spent.models if spent else (), baseline)
    return {
        "cost": cost,
        "cost_table": tables.cost_markdown(cost) if cost else "",
        "spent": spent,
        "spent_heading": heading,
        "spent_rows": rows,
        "spent_table": markdown.table(heading, rows) if rows else "",
    }


def _routing(folder: Path) -> dict[str, Any]:
    """What `polychromic route` found, where it was called."""
    found = routes.read(folder)
    heading, rows = routes.routing_table(found) if found else ([], [])
    table = markdown.table(heading, rows) if rows else ""
    return {"routing": found, "routes_heading": heading, "routes": rows, "routes_table": table}


def _per_prompt(samples: Mapping[str, Any] | None) -> int:
    sets = [group for prompt in samples["prompts"] for group in prompt["sets"]] if samples else []
    return max((sum(entry[1] for entry in each[2]) + sum(entry[0] for entry in each[3]) for each in sets), default=0)


def _lambdas(folders: Mapping[str, Path]) -> dict[str, float]:
    weights = {model: runs.weight(folder) for model, folder in folders.items()}
    return {model: weight for model, weight in weights.items() if weight is not None}


def _audit_flags(audit: Audit | None, comparison: Comparison) -> list[Flag]:
    said = {flag.text for flag in comparison.flags}
    return [Flag("audit", "warning", text) for text in (audit.warnings if audit else ()) if text not in said]


def _trusted(folder: EvaluationFolder) -> list[Flag]:
    """What was wrong with the checker, where it was trusted all the same."""
    said = folder.record().trusted
    return [Flag("audit", "warning", f"The judge {said}.")] if said else []


def _precision_flags(folder: Path) -> list[Flag]:
    """That all models, the base too, were drawn from on a quantised base, where they were."""
    pinned = folder / "evaluation.json"
    bits = _quantised_to(read_json(pinned).get("pins", {}).get("quantization")) if pinned.exists() else ""
    text = f"All models, the base too, were sampled from weights in {bits}, as the adapters were trained."
    return [Flag("precision", "note", text)] if bits else []


def _quantised_to(section: Mapping[str, Any] | None) -> str:
    """``4 bits (nf4)`` for a section ``quantization``; empty without one."""
    if not section:
        return ""
    if not section.get("load_in_4bit"):
        return "8 bits"
    return f"4 bits ({section.get('bnb_4bit_quant_type', 'fp4')})"


def _most_telling(rows: Sequence[Difference]) -> Sequence[Difference]:
    """The rows a page can carry, headline metrics first when not all can be there."""
    if len(rows) <= MOST_ROWS:
        return rows
    return sorted(rows, key=lambda row: not row.headline)[:MOST_ROWS]


def style() -> Markup:
    """The pages' style sheet with the colours of the palette."""
    text = asset("report.css").replace("/*light*/", palette.declarations("light"))
    return Markup(text.replace("/*dark*/", palette.declarations("dark")))


def sample_data(models: Sequence[str], colours: Mapping[str, str], samples: Mapping[str, Any] | None) -> Markup:
    """What ``report.js`` shows prompt by prompt."""
    variables = [palette.css_variable(colours[model]) for model in models]
    return script_json({"models": models, "colours": variables, "samples": samples})


def asset(name: str) -> str:
    """A file of the templates, as it is."""
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def script_json(value: Any) -> Markup:
    """JSON that is safe inside a ``<script>`` element: no character can end the element or start a comment."""
    text = json.dumps(_visible(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {key: _visible(each) for key, each in value.items()}
    return [_visible(each) for each in value] if isinstance(value, list | tuple) else value
