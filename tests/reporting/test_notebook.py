"""The notebook runs on an evaluation folder and shows what the report shows."""

from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "comparison.ipynb"


def test_it_carries_no_outputs():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)


@pytest.mark.slow
def test_notebook_runs(folder, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("POLYCHROMIC_EVALUATION", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    shown = str(notebook.cells)
    assert "many more different right answers than sft" in shown
    assert "image/svg+xml" in shown


def test_its_code_runs_in_order(folder, monkeypatch, capsys):
    """The cells as one program: the same code without a kernel, so that it runs with every test."""
    shown = []
    monkeypatch.setenv("POLYCHROMIC_EVALUATION", str(folder))
    source = "\n".join(c.source for c in nbformat.read(NOTEBOOK, as_version=4).cells if c.cell_type == "code")
    stand_in = "SVG = Markdown = str\n\n\ndef display(*values):\n    SHOWN.extend(values)\n"
    exec(
        compile(source.replace("from IPython.display import SVG, Markdown, display", stand_in), NOTEBOOK, "exec"),
        {"SHOWN": shown},
    )
    assert any("many more different right answers than sft" in text for text in shown)
    assert sum("<svg" in text for text in shown) >= 4
    assert "test-00" in capsys.readouterr().out
