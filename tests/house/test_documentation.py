"""The pages that are made from the code say something about everything in it; `make check` builds the site strictly."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import polychromic
from polychromic.settings.schema import Section

pytest.importorskip("mkdocs")
ROOT = Path(polychromic.__path__[0]).parent


@pytest.fixture(scope="module")
def generated():
    spec = importlib.util.spec_from_file_location("generated", ROOT / "docs" / "generated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_setting_has_a_meaning_a_type_and_its_default(generated):
    page = generated.configuration()
    homes = (".schema", ".thresholds", ".watching")
    described = [each for each in Section.__subclasses__() if each.__module__.endswith(homes)]
    assert len(described) > 5
    for section in described:  # those of code experiments are in a file of their own, which other tests import
        named = {key: field for key, field in section.model_fields.items() if section.__name__ != "Settings"}
        told = generated.meanings(section)
        assert [key for key in named if not told.get(key)] == [], section.__name__
        for key, field in named.items():
            assert f"| `{field.alias or key}` | " in page
    assert "| `lambda` | number, ≥ 0.0 | `0.0` | weight of the diversity term; 0 is SFTTrainer, bit for bit |" in page
    assert "| `name` | text | required | the run's folder under output_root |" in page
    for row in page.splitlines():
        assert not row.startswith("| `") or row.replace("\\|", "").count("|") == 5, row


def test_every_decision_is_in_the_index(generated):
    folder = ROOT / "docs" / "decisions"
    index = generated.decisions(folder)
    pages = sorted(folder.glob("*.md"))
    assert len(pages) > 30
    assert [page.name for page in pages if f"]({page.name})" not in index] == []
    numbers = [page.name[:3] for page in pages]
    assert len(numbers) == len(set(numbers))


def test_every_paper_that_the_package_names_is_in_the_bibliography(generated):
    named = generated.papers(ROOT / "polychromic")
    assert len(named) > 20
    text = (ROOT / "docs" / "bibliography.bib").read_text()
    entries = list(generated.ENTRY.finditer(text))
    assert len(entries) == text.count("@misc")
    listed = [entry["id"] for entry in entries]
    assert sorted(set(named) - set(listed)) == []
    assert len(set(listed)) == len(listed)
    assert len({entry["key"] for entry in entries}) == len(entries)
    page = generated.bibliography(ROOT / "docs")
    assert [paper for paper in listed if f"[arXiv {paper}]" not in page] == []
    assert "`polychromic/objective/demonstration/gem.py`" in page
