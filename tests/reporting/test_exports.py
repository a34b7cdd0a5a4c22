"""What a paper takes over: tables as LaTeX and CSV that say what the comparison says, figures as PDF."""

from __future__ import annotations

import csv
import json
import math
import shutil

import pytest

from polychromic.__main__ import run
from polychromic.analysis.record import read_comparison
from polychromic.reporting import exports


@pytest.fixture
def place(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "evaluation")


def test_csv_holds_every_number_in_full(place, capsys):
    assert run(["report", str(place), "--format", "csv"], debug=False) == 0
    assert capsys.readouterr().out.split() == [
        str(place / "tables" / f"{name}.csv") for name in ("scores", "differences", "verdicts")
    ]
    comparison = read_comparison(place / "comparison.json")
    with (place / "tables" / "differences.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(comparison.differences)
    for row, known in zip(rows, comparison.differences, strict=True):
        assert (row["a"], row["b"], row["metric"]) == (known.a, known.b, comparison.metrics[known.metric].title)
        for name, value in (("difference", known.difference), ("p_holm", known.p_holm)):
            assert (float(row[name]) == value) if math.isfinite(value) else row[name] == ""


def test_latex_is_a_whole_tabular_with_the_headline(place):
    paths = exports.write_latex(place)
    assert [path.stem for path in paths] == ["headline", "returns"]
    text = paths[0].read_text()
    lines = text.splitlines()
    assert lines[1] == r"\toprule"
    assert lines[3] == r"\midrule"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    rows = [line for line in lines if line.endswith(r"\\")]
    columns = lines[0].removeprefix(r"\begin{tabular}{").removesuffix("}")
    assert {row.count(" & ") for row in rows} == {len(columns) - 1}
    assert len(rows) == 1 + len(json.loads((place / "comparison.json").read_text())["models"])
    assert "%" not in text.replace(r"\%", "")


def test_no_text_of_a_user_is_a_command_of_latex():
    hostile = r"\input{/etc/passwd} & $x_1^2$ 100% #1 ~ {" + "\n"
    wanted = r"\textbackslash{}input\{/etc/passwd\} \& \$x\_1\textasciicircum{}2\$ 100\% \#1 \textasciitilde{} \{"
    assert exports.escaped(hostile).strip() == wanted
    assert exports.latex(["a"], [["[1ex]"], ["*"]]).splitlines()[4:6] == [r"{[}1ex] \\", r"{*} \\"]


def test_figures_are_pdf_with_their_fonts_and_the_same_again(place):
    first = {path.name: path.read_bytes() for path in exports.write_pdf(place, {})}
    assert {"pass-at-k.pdf", "frontier.pdf", "differences.pdf"} <= set(first)
    for content in first.values():
        assert content.startswith(b"%PDF-")
        assert b"/FontFile2" in content
    assert {path.name: path.read_bytes() for path in exports.write_pdf(place, {})} == first


def test_the_page_and_its_twin_are_forms_too(place, capsys):
    assert run(["report", str(place), "--format", "md"], debug=False) == 0
    assert capsys.readouterr().out == f"{place / 'report.md'}\n"
    assert exports.FORMATS == ("html", "md", "latex", "csv", "pdf")
