from __future__ import annotations

import ast
import textwrap
from typing import Protocol

import pytest

from polychromic.core.errors import InputError, SettingsError
from polychromic.settings import catalog
from polychromic.settings.catalog import build, check, kind_class, kinds, options, split
from polychromic.settings.introspection import accepted, borrowed_fields, nearest


def test_a_file_of_a_shelf_is_a_kind_and_its_fields_are_the_options():
    assert {"answers", "semantic"} <= set(kinds("rewards"))
    assert {"likelihood", "none", "verifier", "wellformed"} <= set(kinds("gates"))
    assert "countdown" in kinds("tasks")
    assert set(options("gates", "wellformed")) == {"max_repetition", "ngram", "truncated"}
    assert "reference" not in options("gates", "likelihood")


def test_building_takes_options_and_the_parts_it_has_fields_for():
    gate = build("gates", {"kind": "wellformed", "ngram": 5}, embedder="unused", task=None)
    assert gate.ngram == 5
    assert type(gate) is kind_class("gates", "wellformed")
    reference = [].append
    assert build("gates", "likelihood", reference=reference).reference is reference


@pytest.mark.parametrize(
    ("shelf", "entry", "expected"),
    [
        ("gates", "welformed", "unknown gate 'welformed'; did you mean wellformed?"),
        ("gates", {"kind": "wellformed", "ngrams": 3}, "ngrams: unknown option of wellformed; did you mean ngram?"),
        ("gates", {"kind": "wellformed", "ngram": "three"}, "ngram: must be an integer, got 'three'"),
        ("gates", {"ngram": 3}, "expected a kind's name"),
        ("gates", {"kind": "likelihood", "reference": 3}, "is filled in by the program"),
        ("gates", "../gates", "unknown gate '../gates'"),
        ("gates", "_hidden", "unknown gate '_hidden'"),
        ("gate", "none", "there is no shelf 'gate'; did you mean gates?"),
        ("gates", {"kind": "wellformed", "ngram": 0}, "ngram"),
    ],
)
def test_what_is_not_on_the_shelf_is_refused_with_its_neighbour(shelf, entry, expected):
    with pytest.raises(InputError, match=expected.replace("?", r"\?")):
        build(shelf, entry)


def test_a_part_that_is_missing_is_named():
    with pytest.raises(InputError, match="gates/likelihood: needs a reference"):
        build("gates", "likelihood")


def test_split_and_check_agree_on_what_an_entry_is():
    assert split("answers") == ("answers", {})
    assert split({"kind": "a", "b": 1}) == ("a", {"b": 1})
    with pytest.raises(SettingsError):
        check("rewards", {"kind": 3})


class Works(Protocol):
    def work(self): ...


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A shelf of its own in a package on the path, of a name that no other test has imported."""
    package = f"house_{tmp_path.name}"
    room = tmp_path / package / "things"
    room.mkdir(parents=True)
    (room / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalog, "SHELVES", {"things": catalog.Shelf(f"{package}.things", "work", "thing", Works)})

    def put(name, source):
        path = room / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(source).replace("house.", f"{package}."))

    return put


def test_the_kind_of_a_file_with_several_dataclasses_is_the_one_with_the_shelfs_method(shelf):
    shelf(
        "a.py",
        """
        from dataclasses import dataclass
        @dataclass(frozen=True)
        class Helper:
            x: int
        @dataclass(frozen=True)
        class _Base:
            size: int = 3
            def work(self): ...
        @dataclass(frozen=True)
        class A(_Base):
            name: str | None = None
        """,
    )
    shelf("helpers.py", "def f(): ...\n")
    assert set(options("things", "a")) == {"size", "name"}
    assert kinds("things") == ["a"]
    with pytest.raises(SettingsError, match="unknown thing 'helpers'"):
        options("things", "helpers")


def test_a_folder_is_a_kind_through_what_its_init_takes_from_its_own_files(shelf):
    shelf("b/__init__.py", "from house.things.b.inner import B\nfrom os import path\n")
    shelf(
        "b/inner.py",
        "from dataclasses import dataclass\n@dataclass\nclass B:\n    size: int = 1\n    def work(self): ...\n",
    )
    assert set(options("things", "b")) == {"size"}


def test_options_inherited_from_another_file_of_the_house_are_known(shelf):
    shelf(
        "_frame.py",
        "from dataclasses import dataclass\n@dataclass\nclass Frame:\n    size: int = 1\n    def work(self): ...\n",
    )
    head = "from dataclasses import dataclass\nfrom house.things._frame import Frame\n"
    shelf("d.py", f"{head}@dataclass\nclass D(Frame):\n    name: str = ''\n")
    assert set(options("things", "d")) == {"size", "name"}
    with pytest.raises(SettingsError, match="siz: unknown option of d; did you mean size"):
        check("things", {"kind": "d", "siz": 3})


def test_the_code_tasks_share_their_options():
    assert {"functions18", "humaneval"} <= set(kinds("tasks"))
    assert set(options("tasks", "humaneval")) - set(options("tasks", "functions18")) == {"file"}


def test_a_file_may_hold_several_kinds_which_state_their_names(shelf):
    head = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar, Literal\n"
    )
    body = """
        Way = Literal["up", "down"]

        @dataclass(frozen=True)
        class First:
            kind: ClassVar[str] = "first"
            size: int = 1
            def work(self): ...

        @dataclass(frozen=True)
        class Second(First):
            kind: ClassVar[str] = "second"
            way: Way = "up"

        @dataclass(frozen=True)
        class Third(First):
            "The file's own name, as it states none."
    """
    shelf("several.py", head + textwrap.dedent(body))
    assert kinds("things") == ["first", "second", "several"]
    assert set(options("things", "second")) == {"size", "way"}
    assert kind_class("things", "several").__name__ == "Third"
    assert build("things", {"kind": "second", "way": "down"}).way == "down"
    with pytest.raises(SettingsError, match="way: must be 'up' or 'down', got 'sideways'"):
        check("things", {"kind": "second", "way": "sideways"})


def test_only_the_file_of_the_kind_that_is_asked_for_is_imported(shelf):
    shelf("broken.py", "raise RuntimeError('imported')\n")
    shelf("whole.py", "from dataclasses import dataclass\n@dataclass\nclass W:\n    def work(self): ...\n")
    assert options("things", "whole") == {}


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("int", [3], [3.0, True, "3", None]),
        ("float", [3, 3.5], [True, "x"]),
        ("bool", [True], [1, "true"]),
        ("str | None", ["x", None], [3]),
        ("Optional[int]", [3, None], ["x"]),
        ("Literal['a', 'b']", ["a"], ["c", 3]),
        ("Literal['a'] | int", ["a", 3], ["b"]),
        ("list[str]", [["a"]], ["a", 3]),
        ("Union[dict, str, None]", [{}, "x", None], [3, []]),
        ("tuple[int, ...]", [[1]], [1]),
        ("'int'", [1], ["x"]),
        ("SomeEnum | str", [3, "x", None], []),
        ("Annotated[int, 'x']", [3], ["x"]),
    ],
)
def test_an_annotation_says_what_it_accepts(annotation, good, bad):
    kind = accepted(ast.parse(annotation, mode="eval").body)
    assert [kind.refusal(value) for value in good] == [""] * len(good)
    assert all(kind.refusal(value).startswith("must be ") for value in bad)


def test_borrowed_names_are_those_of_the_installed_libraries():
    from peft import LoraConfig
    from transformers import BitsAndBytesConfig
    from trl import SFTConfig

    training = borrowed_fields("training")
    assert set(SFTConfig.__dataclass_fields__) - set(training) <= {"_n_gpu"}
    assert set(LoraConfig.__dataclass_fields__) <= set(borrowed_fields("lora"))
    assert {"load_in_4bit", "bnb_4bit_quant_type"} <= set(borrowed_fields("quantization"))
    assert hasattr(BitsAndBytesConfig(load_in_8bit=True), "llm_int8_threshold")


def test_nearest_names_a_neighbour_or_the_short_list():
    assert nearest("lamda", ["lambda", "gate"]) == "; did you mean lambda?"
    assert nearest("zzz", ["b", "a"]) == "; allowed: a, b"
    assert nearest("zzz", [f"name{i}" for i in range(20)]) == ""
