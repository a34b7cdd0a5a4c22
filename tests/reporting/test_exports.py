"""What a paper takes over: tables as LaTeX and CSV that say what the comparison says, figures as PDF."""

from __future__ import annotations

import csv
import math
import re
import shutil
import subprocess

import pytest

from polychromic.__main__ import run
from polychromic.analysis.record import CompareSettings, read_comparison
from polychromic.analysis.resampling import Plan
from polychromic.records import costs
from polychromic.reporting import exports, tables
from polychromic.stages import compare


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


def strictly_read(path):
    """The cells of a LaTeX table that is nothing but a booktabs tabular, in its lines; every group is closed."""
    text = path.read_text()
    assert text.isascii()
    opened, *lines, closed, end = text.splitlines()
    assert (lines.pop(0), lines.pop(1), closed, end) == (r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}")
    columns = opened.removeprefix(r"\begin{tabular}{@{}").removesuffix("@{}}")
    width = len(re.sub(r"p\{0\.\d+\\linewidth\}", "p", columns))
    plain = re.compile(
        r"(?:[^\\{}$&%#_~^]|\\[&%$#_{}]|\{[*\[]\}|\$[^$]*\$|\\textbackslash\{\}|\\textasciitilde\{\}"
        r"|\\textasciicircum\{\}|\\dag\{\}|\\scriptsize |\\raggedright )*"
    )
    rows = [re.split(r"(?<!\\) & ", line.removesuffix(r" \tabularnewline")) for line in lines]
    assert all(line.endswith(r" \tabularnewline") for line in lines)
    assert {len(row) for row in rows} == {width}
    assert all(plain.fullmatch(cell) for row in rows for cell in row)
    return rows


def test_latex_is_a_whole_tabular_with_models_across(place):
    paths = exports.write_latex(place)
    assert [path.stem for path in paths] == ["headline", "returns"]
    comparison = read_comparison(place / "comparison.json")
    (head, *rows), (returns, *_) = map(strictly_read, paths)
    assert head == ["model", *comparison.models]
    assert [cell.removeprefix(r"\raggedright ") for cell in returns] == head
    scores = {(row.model, row.signature): row for row in comparison.scores if row.temperature == comparison.temperature}
    shown = tables.headline_metrics(comparison)
    assert [row[0] for row in rows[::2]] == [each.title.replace("_", r"\_") for each in shown]
    for metric, line, below in zip(shown, rows[::2], rows[1::2], strict=True):
        known = [scores[model, metric.signature] for model in comparison.models]
        assert [cell.removesuffix("{*}") for cell in line[1:]] == [tables.number(row.score) for row in known]
        assert [cell.startswith(r"\scriptsize {[}") for cell in below[1:]] == [True] * len(known)


HOSTILE = r"\input{/etc/passwd} & $x_1^2$ 100% #1 ~ {é} [1ex] * λ <−> ±"


@pytest.mark.long
def test_a_paper_takes_the_tables_over(make_folder, tmp_path):
    """Compiled by pdflatex inside the margins of an article, with a name that is no friend of LaTeX's."""
    if not shutil.which("kpsewhich") or subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).returncode:
        pytest.skip("no pdflatex with booktabs on this machine")
    usual, hostile = tmp_path / "usual", tmp_path / "hostile"
    for folder, name in ((usual, "moderate"), (hostile, HOSTILE)):
        make_folder(
            folder, {"base": (-1.2, 6), "sft": (0.3, 2), name: (0.25, 4), "high": (0, 5)}, (0.7, 1.0), prompts=8
        )
        compare.run(folder, "sft", "base", CompareSettings("sft", plan=Plan(resamples=100)))
        costs.append(folder, [costs.TimingRow("sample", 2.0, 2.0, "cuda", "sft", 1.0, "test-0000", (0,), (5,))])
        assert len(exports.write_latex(folder)) == 3
        taken = "\n\n".join(
            rf"\noindent\input{{{folder.name}/tables/{name}}}" for name in ("headline", "returns", "cost")
        )
        paper = tmp_path / f"{folder.name}.tex"
        paper.write_text(rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{taken}\end{{document}}")
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", paper.name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
        )
        assert done.returncode == 0, done.stdout[-2000:]
        if folder is usual:
            assert "Overfull" not in done.stdout


def test_no_text_of_a_user_is_a_command_of_latex():
    hostile = r"\input{/etc/passwd} & $x_1^2$ 100% #1 ~ {" + "\n"
    wanted = r"\textbackslash{}input\{/etc/passwd\} \& \$x\_1\textasciicircum{}2\$ 100\% \#1 \textasciitilde{} \{"
    assert exports.escaped(hostile).strip() == wanted
    assert exports.latex(["a", "b"], [["[1ex]", "*"]]).splitlines()[2:5:2] == [
        r"a & {[}1ex] \tabularnewline",
        r"b & {*} \tabularnewline",
    ]


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
