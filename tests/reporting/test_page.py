"""The page: self-contained, escaped, small, with the numbers of the comparison."""

import json
import re
import shutil

import pytest

from polychromic.core.errors import MissingResourceError
from polychromic.reporting.page import LARGEST, opening, script_json, write_report
from polychromic.reporting.tables import DASH, span


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    copy = tmp_path_factory.mktemp("report")
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    return write_report(copy)


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
    comparison = json.loads((page.parent / "comparison.json").read_text())
    html, twin = page.read_text(), (page.parent / "report.md").read_text()
    score = next(
        row["score"]
        for row in comparison["scores"]
        if (row["model"], row["temperature"], row["signature"]) == ("sft", 1.0, "pass_at_k|k:1")
    )
    assert f"{score:.3f}" in html
    assert f"{score:.3f}" in twin
    for verdict in comparison["verdicts"]:
        assert verdict["level"] in html
        assert verdict["sentence"] in twin


def test_of_equal_verdicts_the_largest_gain_stands_on_top(page):
    comparison = json.loads((page.parent / "comparison.json").read_text())
    levels = [verdict["level"] for verdict in comparison["verdicts"]]
    top = {"moderate": 0.2, "aggressive": 0.4}
    for row in comparison["comparisons"]:
        row["relative"] = top.get(row["b"], 9.0)
    for verdict in comparison["verdicts"]:
        verdict["level"] = "strong"
    assert len(levels) == 2
    assert opening(comparison).startswith("aggressive")
    comparison["verdicts"][1]["level"] = "weak"
    assert opening(comparison).startswith("moderate")


def test_what_has_no_interval_shows_a_dash():
    assert span({"low": None, "high": None}) == DASH
    assert span({"low": -0.5, "high": 1.0}) == "−0.500 to +1.000"


def test_script_json_cannot_end_its_element():
    text = script_json({"a": "</script><!--<script>", "b": "\u2028&"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--<script>", "b": "\u2028&"}


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
    comparison["comparisons"] *= 30
    (tmp_path / "comparison.json").write_text(json.dumps(comparison))
    page = write_report(tmp_path)
    assert page.stat().st_size < LARGEST / 2
    assert "1000 of" in page.read_text()
