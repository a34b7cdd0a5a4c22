"""The notebooks run: from rows to a verdict, on the run that came of it, and on a comparison."""

from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = ("own_data", "watching_a_run", "comparison")


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def execute(name):
    """The code cells as one program, without a kernel; what they displayed."""
    shown = []
    source = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "code")
    stand_in = "SVG = Markdown = str\n\n\ndef display(*values):\n    SHOWN.extend(values)\n"
    taken = [line for line in source.splitlines() if line.startswith("from IPython.display import")]
    assert len(taken) == 1
    exec(compile(source.replace(taken[0], stand_in), FOLDER / f"{name}.ipynb", "exec"), {"SHOWN": shown})
    return shown


def test_there_are_no_others():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_carries_no_outputs(name):
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in read(name).cells)


@pytest.mark.slow
def test_notebook_runs(folder, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("POLYCHROMIC_EVALUATION", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    notebook = read("comparison")
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    shown = str(notebook.cells)
    assert "many more different right answers than sft" in shown
    assert "image/svg+xml" in shown


def test_a_comparison_is_read(folder, monkeypatch, capsys):
    monkeypatch.setenv("POLYCHROMIC_EVALUATION", str(folder))
    shown = execute("comparison")
    assert any("many more different right answers than sft" in text for text in shown)
    assert any("met: strong" in text for text in shown)
    assert sum("<svg" in text for text in shown) >= 4
    assert "test-00" in capsys.readouterr().out


@pytest.mark.long
def test_from_rows_to_a_verdict_and_a_look_at_the_run(tmp_path, monkeypatch, capsys):
    """The first notebook trains and evaluates; the second reads the run that came of it."""
    monkeypatch.setenv("POLYCHROMIC_NOTEBOOK", str(tmp_path))
    shown = execute("own_data")
    assert any("distinct and correct@4" in text for text in shown)
    assert any(text.startswith("Next, diverse: ") for text in shown)
    said = capsys.readouterr().out
    assert "36 rows; 0 bad" in said
    assert str(tmp_path / "evaluation" / "report.html") in said
    assert "base sum-" in said
    monkeypatch.setenv("POLYCHROMIC_RUN", str(tmp_path / "diverse"))
    shown = execute("watching_a_run")
    assert any("share" in text and "| step |" in text for text in shown)
    assert any("<svg" in text for text in shown)
    said = capsys.readouterr().out
    assert "finished" in said
    assert "step 2: " in said
