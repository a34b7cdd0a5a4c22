"""The page: self-contained, escaped, small, with the numbers of the comparison."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from polychromic.analysis.nouns import NO_INTERVAL, Frontier
from polychromic.analysis.record import CompareSettings, read_comparison
from polychromic.analysis.resampling import Plan
from polychromic.core.errors import MissingResourceError
from polychromic.records.jsonl import write_json
from polychromic.reporting import markdown
from polychromic.reporting.page import LARGEST, script_json, write_report
from polychromic.reporting.tables import DASH, returns_table, span
from polychromic.reporting.verdicts import matrix, matrix_rows, opening
from polychromic.stages import compare


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    copy = tmp_path_factory.mktemp("report")
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    return write_report(copy)


@pytest.mark.quick
def test_everything_is_written(page):
    assert page.stat().st_size < LARGEST
    assert (page.parent / "report.md").read_text().startswith("# ")
    names = {path.name for path in (page.parent / "figures").iterdir()}
    assert {"pass-at-k.svg", "pass-at-k.png", "frontier.svg", "differences.png"} <= names


def test_no_address_is_fetched(page):
    html = page.read_text()
    assert not re.search(r'(?:src|href|action|data|poster)\s*=\s*["\']?\s*(?:https?:)?//', html)
    assert not re.search(r"@import|url\((?!#)", html)
    assert "Content-Security-Policy" in html
    assert "default-src 'none'" in html


def test_numbers_are_those_of_the_comparison(page):
    comparison = read_comparison(page.parent / "comparison.json")
    html, twin = page.read_text(), (page.parent / "report.md").read_text()
    wanted = ("sft", 1.0, "pass_at_k|k:1")
    score = next(row.score for row in comparison.scores if (row.model, row.temperature, row.signature) == wanted)
    assert f"{score:.3f}" in html
    assert f"{score:.3f}" in twin
    for verdict in comparison.verdicts:
        assert verdict.level in html
        assert verdict.sentence in twin


def test_what_the_sweep_and_the_samples_give_is_shown(page):
    comparison = read_comparison(page.parent / "comparison.json")
    heading, rows = returns_table(comparison)
    assert heading[2] == "distinct and correct@16 at matched pass@1"
    assert [row[0] for row in rows] == ["base", "sft", "moderate", "aggressive"]
    assert rows[1][1].startswith(f"{comparison.frontier.models['sft'].hypervolume:.3f} [")
    matched = {row.b: row.difference for row in comparison.frontier.matched}
    assert rows[2][2].startswith(f"{matched['moderate']:+.3f} [")
    html, twin = page.read_text(), (page.parent / "report.md").read_text()
    for text in rows[2][1:]:
        assert f"<td>{text}</td>" in html
        assert markdown.escaped(text) in twin
    assert returns_table(replace(comparison, frontier=Frontier())) == ([], [])


def test_of_equal_verdicts_the_largest_gain_stands_on_top(page):
    comparison = read_comparison(page.parent / "comparison.json")
    gains = {"moderate": 0.2, "aggressive": 0.4}
    rows = tuple(replace(row, relative=gains.get(row.b, 9.0)) for row in comparison.differences)
    one, two = (replace(verdict, level="strong") for verdict in comparison.verdicts)
    assert opening(replace(comparison, differences=rows, verdicts=(one, two)))[0].startswith("aggressive")
    weaker = (one, replace(two, level="weak"))
    assert opening(replace(comparison, differences=rows, verdicts=weaker))[0].startswith("moderate")


def test_a_base_that_beats_every_variant_stands_first(make_folder, tmp_path):
    make_folder(tmp_path, {"base": (0.1, 8), "sft": (0.3, 2), "moderate": (0.25, 4)}, (1.0,))
    compare.run(tmp_path, "sft", "base", CompareSettings("sft", plan=Plan(resamples=1000)))
    first, second = opening(read_comparison(tmp_path / "comparison.json"))
    assert first.startswith("The untrained base is better than every trained model: distinct and correct@16 ")
    assert second.startswith("moderate has many more different right answers than sft")
    html = write_report(tmp_path).read_text()
    assert html.index(first) < html.index(second)
    assert html.count('class="beaten"') == 2
    assert "deploy the base where this counts" in html


def test_the_decision_matrix_is_printed(page):
    comparison = read_comparison(page.parent / "comparison.json")
    heading, rows = matrix_rows(matrix(comparison))
    assert heading == ["metric", "better", "strong", "moderate", "tolerated loss", "moderate", "aggressive"]
    assert [row[0] for row in rows] == [
        *("distinct and correct@16", "pass@8", "Distinct-2", "Self-BLEU-4", "semantic diversity", "pass@1"),
    ]
    assert rows[-1][2:5] == [DASH, DASH, "5% / 10%"]
    html, twin = page.read_text(), (page.parent / "report.md").read_text()
    for line in comparison.verdicts[0].matrix:
        assert f"{line.found}</b>" in html
        assert line.found in twin


def test_intervals_that_holm_does_not_confirm_are_marked_and_explained(page, tmp_path):
    comparison = read_comparison(page.parent / "comparison.json")
    odd = comparison.from_baseline()[0]
    rows = tuple(
        replace(row, interval=(0.1, 0.2), p_holm=0.3) if (row.a, row.b) == (odd.a, odd.b) and row.headline else row
        for row in comparison.differences
    )
    write_json(tmp_path / "comparison.json", replace(comparison, differences=rows))
    html = write_report(tmp_path).read_text()
    assert "†" in html
    assert "the interval alone is clear of 0, but after Holm over" in html


def test_what_has_no_interval_shows_a_dash():
    assert span(NO_INTERVAL) == DASH
    assert span((-0.5, 1.0)) == "−0.500 to +1.000"


def test_script_json_cannot_end_its_element():
    text = script_json({"a": "</script><!--<script>", "b": "\u2028&"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--<script>", "b": "\\u2028&"}


def test_folder_without_comparison(tmp_path):
    with pytest.raises(MissingResourceError, match=r"comparison\.json"):
        write_report(tmp_path)


def test_element_ids_are_unique(page):
    ids = re.findall(r'\bid="([^"]+)"', page.read_text())
    assert len(ids) == len(set(ids))


def test_the_same_input_gives_the_same_bytes(page, tmp_path):
    for name in ("comparison.json", "samples.jsonl", "verdicts.jsonl"):
        shutil.copy(page.parent / name, tmp_path)
    assert write_report(tmp_path).read_bytes() == page.read_bytes()
    for figure in (page.parent / "figures").iterdir():
        assert (tmp_path / "figures" / figure.name).read_bytes() == figure.read_bytes()


def test_the_audit_is_shown(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("polychromic.reporting.figures.draw", lambda *_: [])
    shutil.copy(folder / "comparison.json", tmp_path)
    rate = {"kind": "empty", "accepted": 3, "judged": 50, "absent": 0, "examples": [["p0", "<b>"]], "share": 0.06}
    audit = {"task": "countdown", "rates": [rate], "warnings": ["The checker accepts 3 of 50 controls."]}
    (tmp_path / "audit.json").write_text(json.dumps(audit))
    html = write_report(tmp_path).read_text()
    assert "Audit of the checker of countdown" in html
    assert "<code>&lt;b&gt;</code>" in html
    assert "The checker accepts 3 of 50 controls." in (tmp_path / "report.md").read_text()


def test_thousands_of_differences_fit(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("polychromic.reporting.figures.draw", lambda *_: [])
    comparison = json.loads((folder / "comparison.json").read_text())
    comparison["differences"] *= 30
    (tmp_path / "comparison.json").write_text(json.dumps(comparison))
    page = write_report(tmp_path)
    assert page.stat().st_size < LARGEST / 2
    assert "1000 of" in page.read_text()
