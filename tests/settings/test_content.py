"""A kind's code by content: its own file, what that imports, and the files its options name."""

from __future__ import annotations

import importlib
import sys

import pytest

from polychromic.settings import content
from polychromic.settings.catalog import build
from polychromic.tasks.json_schema import JsonSchema


def test_equal_code_has_one_digest_and_other_code_another():
    countdown, math = (build("tasks", kind) for kind in ("countdown", "math"))
    assert content.code_digest(countdown) == content.code_digest(build("tasks", {"kind": "countdown", "seed": 5}))
    assert content.code_digest(countdown) != content.code_digest(math)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package from outside whose judge imports a module, which imports another."""
    folder = tmp_path / "judges_of_a_test"
    folder.mkdir()
    files = {
        "__init__.py": "",
        "judge.py": "from . import near\n\ndef right(prompts, completions, **rest):\n    return near.LIST\n",
        "near.py": "def late():\n    from judges_of_a_test.far import DEEP\n",
        "far.py": "DEEP = 1\n",
        "other.py": "",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        del sys.modules[name]


@pytest.mark.parametrize(("name", "counts"), [("judge", True), ("near", True), ("far", True), ("other", False)])
def test_a_module_that_is_imported_at_any_depth_counts(package, name, counts):
    function = importlib.import_module("judges_of_a_test.judge").right
    before = content.code_digest(function)
    with (package / f"{name}.py").open("a") as file:
        file.write("MORE = 1\n")
    assert (content.code_digest(function) != before) is counts


def test_the_version_of_a_library_counts(monkeypatch):
    task = build("tasks", "math")
    before = content.code_digest(task)
    monkeypatch.setattr(content, "_version", lambda library: f"{library} 99")
    assert content.code_digest(task) != before


def test_a_file_among_the_options_stands_there_by_its_content(tmp_path):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text("{}")
    second.write_text("{}")
    assert content.options(JsonSchema(schema=str(first))) == content.options(JsonSchema(schema=str(second)))
    second.write_text("true")
    assert content.options(JsonSchema(schema=str(first))) != content.options(JsonSchema(schema=str(second)))


def test_a_set_is_written_the_same_whatever_its_order():
    assert content.written([{"b", "a"}, {1: {"x"}}]) == "[{'a','b'},{1:{'x'}}]"
