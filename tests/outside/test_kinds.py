"""Kinds brought from outside the package: files, modules, entry points, objects and plain functions."""

from __future__ import annotations

import json
import math
import textwrap

import pytest
from click.testing import CliRunner

from polychromic.cli import commands
from polychromic.core.errors import InputError, SettingsError
from polychromic.core.facts import MetricFacts
from polychromic.core.nouns import (
    Completion,
    Decoding,
    Distances,
    Labels,
    Measurement,
    Prompt,
    SampleSet,
    Status,
    Verdict,
)
from polychromic.core.protocols import Gate, Metric, Reward
from polychromic.embedding.hashing import HashingEmbedder
from polychromic.settings import catalog
from polychromic.settings.catalog import build, kinds, options, outline
from polychromic.settings.code import load_code
from polychromic.settings.load import identity, load_settings
from polychromic.settings.outside import digests

SETS = SampleSet(Prompt("p", "Say."), tuple(map(Completion, ("a b", "A b", "c"))), Decoding())
VERDICTS = [Verdict(Status.PASSED, answer=text) for text in "xyx"]
REWARD = """
    from __future__ import annotations
    from dataclasses import dataclass
    from typing import ClassVar
    from polychromic.core.nouns import Labels

    @dataclass(frozen=True)
    class Folded:
        "Texts without case."
        form: ClassVar[str] = "labels"
        needs: ClassVar[tuple[str, ...]] = ()
        cut: int = 2

        def evidence(self, samples, verdicts):
            return Labels(tuple(text.casefold()[: self.cut] for text in samples.texts))

    def first_letter(completions: list[str], upper: bool = False) -> list[str]:
        "The first letter."
        return [text[:1].upper() if upper else text[:1] for text in completions]

    def right(verdicts) -> list[float]:
        return [verdict.answer == "x" for verdict in verdicts]

    def far(completions, embedder) -> list[list[float]]:
        return [[float(a != b) for b in completions] for a in completions]

    def spread(completions, embedder) -> float:
        return 0.0

    def no_form(completions): ...
    def numbers(completions) -> list[float]: ...
    def unknown_input(completions, tokens) -> list[str]: ...
    def too_few(completions) -> list[str]:
        return ["a"]

    def beginnings(completions, letters: int = 1) -> float:
        "Different first letters over completions."
        if len(completions) < 2:
            return None
        return len({text[:letters] for text in completions}) / len(completions)

    beginnings.title, beginnings.role, beginnings.direction = "first {letters} letters", "diversity", 1

    def right_ones(completions, verdicts) -> float:
        return sum(verdict.answer == "x" for verdict in verdicts)

    def no_direction(completions) -> float: ...
    no_direction.role = "diversity"
    def odd_role(completions) -> float: ...
    odd_role.role = "divers"

    class NoDataclass: ...

    @dataclass
    class Changing:
        def evidence(self, samples, verdicts): ...

    @dataclass(frozen=True)
    class NoFacts:
        def evidence(self, samples, verdicts): ...

    @dataclass(frozen=True)
    class OddNeeds(Folded):
        needs: ClassVar[tuple[str, ...]] = ("encodr",)

    @dataclass(frozen=True)
    class Hasty(Folded):
        embedder: object = None
        def __post_init__(self):
            self.embedder.embed([])
"""
CONFIG = """\
experiment: {name: x}
model: {name_or_path: "embedded:countdown"}
data: {task: countdown}
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(REWARD))
    return path


def test_a_class_in_a_file_is_a_kind_whose_fields_are_its_options(mine):
    reward = build("rewards", {"kind": f"{mine}:Folded", "cut": 1})
    assert isinstance(reward, Reward)
    assert reward.evidence(SETS, None) == Labels(("a", "a", "c"))
    assert set(options("rewards", f"{mine}:Folded")) == {"cut"}
    with pytest.raises(SettingsError, match=r"cuts: unknown option of .*mine.py:Folded; did you mean cut\?"):
        build("rewards", {"kind": f"{mine}:Folded", "cuts": 1})
    with pytest.raises(SettingsError, match="cut: must be an integer, got 'two'"):
        build("rewards", {"kind": f"{mine}:Folded", "cut": "two"})


def test_a_function_gets_what_it_asks_for_and_its_annotation_states_its_form(mine):
    reward = build("rewards", {"kind": f"{mine}:first_letter", "upper": True})
    assert (reward.form, reward.needs) == ("labels", ())
    assert reward.evidence(SETS, None) == Labels(("A", "A", "C"))
    gate = build("gates", f"{mine}:right")
    assert isinstance(gate, Gate)
    assert gate.needs == ("verifier",)
    assert gate.validity(SETS, VERDICTS) == (1.0, 0.0, 1.0)
    pairs = build("rewards", f"{mine}:far", embedder=HashingEmbedder())
    assert (pairs.form, pairs.needs) == ("pairs", ("encoder",))
    assert pairs.evidence(SETS, None) == Distances(((0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0)))
    with pytest.raises(SettingsError, match="answers 1 times for a set of 3 completions"):
        build("rewards", f"{mine}:too_few").evidence(SETS, None)


def test_a_function_is_a_metric_whose_attributes_say_what_it_means(mine):
    metric = build("metrics", {"kind": f"{mine}:beginnings", "letters": 1})
    assert isinstance(metric, Metric)
    facts = MetricFacts.of(metric, metric.signature)
    assert (facts.signature, facts.title, facts.role, facts.direction) == (
        "beginnings|letters:1",
        "first 1 letters",
        "diversity",
        1,
    )
    alone = SampleSet(Prompt("q", "Say."), (Completion("a"),), Decoding())
    found = metric.pinned([SETS]).measure([SETS, alone], None)
    assert found[0] == Measurement("p", "beginnings|letters:1", 1.0)
    assert math.isnan(found[1].value)
    assert found[1].reason == "the function gives no number"
    judged = build("metrics", f"{mine}:right_ones")
    assert (judged.needs, judged.role, judged.measure([SETS], [VERDICTS])[0].value) == (("verifier",), "other", 2.0)
    distances = build("metrics", f"{mine}:spread", embedder=HashingEmbedder())
    assert distances.signature == f"spread|embedder:{HashingEmbedder().name}"


def test_kinds_lists_what_a_configuration_names(mine, tmp_path):
    reward = "{kind: mixture, parts: ['./mine.py:Folded', lexical]}"
    (tmp_path / "find.py").write_text(textwrap.dedent(POST_PROCESSING))
    task = "{kind: functions18, post_processing: {kind: './find.py:Between', mark: '#'}}"
    (tmp_path / "c.yaml").write_text(
        CONFIG + f"polychromic: {{reward: {reward}}}\nevaluation: {{task: {task}, metrics: ['./mine.py:beginnings']}}\n"
    )
    done = CliRunner().invoke(commands, ["kinds", "--config", str(tmp_path / "c.yaml"), "--json"])
    assert done.exit_code == 0, done.output
    found = {
        (shelf, kind) for shelf, rows in json.loads(done.output)["shelves"].items() for kind in rows if ":" in kind
    }
    assert found == {
        ("rewards", f"{mine}:Folded"),
        ("metrics", f"{mine}:beginnings"),
        ("post_processing", f"{tmp_path / 'find.py'}:Between"),
    }


def test_objects_classes_and_functions_are_taken_in_python(mine):
    folded = build("rewards", f"{mine}:Folded")
    assert build("rewards", folded) is folded
    assert build("rewards", type(folded)) == folded

    def texts(completions: list[str]) -> list[str]:
        return completions

    assert build("rewards", texts).evidence(SETS, None) == Labels(("a b", "A b", "c"))
    with pytest.raises(SettingsError, match="lacks evidence, form, needs, which a reward states"):
        build("rewards", object())


@pytest.mark.parametrize(
    ("shelf", "name", "expected"),
    [
        ("rewards", "Fold", r"mine.py has no Fold; did you mean Folded\?"),
        ("rewards", "no_form", "states no form of evidence; annotate what it returns"),
        ("rewards", "numbers", "states no form of evidence"),
        ("rewards", "unknown_input", "asks for tokens; allowed: samples, completions, prompt, verdicts, embedder"),
        ("rewards", "NoDataclass", "is neither a function nor a dataclass"),
        ("rewards", "Changing", "frozen=True"),
        ("rewards", "NoFacts", "lacks form, needs, which a reward states"),
        ("rewards", "OddNeeds", r"needs 'encodr'; did you mean encoder\?"),
        ("rewards", "Hasty", "uses its parts while it is built"),
        ("gates", "Folded", "lacks validity, which a gate states"),
        ("tasks", "first_letter", "is a function; a kind of tasks is a dataclass"),
        ("metrics", "no_direction", "a metric of diversity states its direction: 1, more is better, or -1"),
        ("metrics", "odd_role", r"role is 'divers'; did you mean diversity\?"),
    ],
)
def test_what_breaks_its_contract_is_refused_in_one_line(mine, shelf, name, expected):
    with pytest.raises(InputError, match=expected) as caught:
        outline(shelf, f"{mine}:{name}")
    assert "\n" not in str(caught.value)


def test_a_file_that_fails_to_import_is_refused_in_one_line_with_its_place(tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "c.yaml").write_text(CONFIG + "polychromic: {reward: './broken.py:R'}\n")
    with pytest.raises(SettingsError, match="cannot be imported: ModuleNotFoundError: No module named") as caught:
        load_settings(tmp_path / "c.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'c.yaml'}:4: polychromic.reward: ")
    (tmp_path / "c.yaml").write_text(CONFIG + "polychromic: {reward: './none.py:R'}\n")
    with pytest.raises(SettingsError, match=r"there is no file .*none\.py"):
        load_settings(tmp_path / "c.yaml")


def test_files_are_looked_for_beside_the_configuration_and_their_digests_identify_a_run(mine, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    entry = "{kind: mixture, parts: ['./mine.py:Folded', lexical]}"
    (tmp_path / "c.yaml").write_text(CONFIG + f"polychromic: {{reward: {entry}}}\n")
    settings = load_settings(tmp_path / "c.yaml")
    before = identity(settings)
    assert list(before["files"]) == [str(mine)]
    mine.write_text(mine.read_text() + "# changed\n")
    after = identity(load_settings(tmp_path / "c.yaml"))
    assert after["files"][str(mine)] != before["files"][str(mine)]
    assert {**after, "files": None} == {**before, "files": None}
    assert digests(outline("rewards", {"kind": "mixture", "parts": ["answers"]})) == {}
    (tmp_path / "c.yaml").write_text(CONFIG)
    assert "files" not in identity(load_settings(tmp_path / "c.yaml"))


def test_an_installed_package_declares_kinds_as_entry_points(mine, tmp_path, monkeypatch):
    info = tmp_path / "site" / "theirs-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[polychromic.rewards]\nfolded = theirs:Folded\n")
    (tmp_path / "site" / "theirs.py").write_text(mine.read_text())
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert "folded" in kinds("rewards")
    assert build("rewards", {"kind": "folded", "cut": 1}).evidence(SETS, None) == Labels(("a", "a", "c"))
    assert build("rewards", "theirs:Folded").cut == 2
    with pytest.raises(SettingsError, match=r"unknown reward 'foldd'; did you mean folded\?"):
        build("rewards", "foldd")
    assert set(catalog.SHELVES) >= {"rewards", "gates", "metrics", "tasks", "samplers", "scorers", "post_processing"}


POST_PROCESSING = """
    from __future__ import annotations
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Between:
        "What stands between two marks."
        mark: str = "@@"

        def program(self, text, entry_point, prompt):
            return text.split(self.mark)[1] if text.count(self.mark) == 2 else ""

    def as_it_is(text, entry_point, prompt):
        return text

    def no_text(text, entry_point, prompt):
        return 5

    def broken(text, entry_point, prompt):
        raise ValueError("no")
"""
ANSWER = "Take @@def is_prime(n):\n    return n > 1 and all(n % d for d in range(2, n))\n@@ please."


def judged(path, name, text, **options):
    task = build("tasks", {"kind": "functions18", "post_processing": {"kind": f"{path}:{name}", **options}})
    prompt = next(prompt for prompt in task.prompts("test") if prompt.payload["entry_point"] == "is_prime")
    return task, task.verify(prompt, Completion(text))


def test_a_post_processing_of_yours_finds_the_programs(tmp_path):
    path = tmp_path / "find.py"
    path.write_text(textwrap.dedent(POST_PROCESSING))
    task, verdict = judged(path, "Between", ANSWER)
    assert verdict.status is Status.PASSED
    assert verdict.detail.startswith("passed [custom ")
    assert list(digests(task)) == [str(path)]
    assert judged(path, "Between", ANSWER, mark="##")[1].detail.startswith("extract_empty [empty]")
    assert judged(path, "as_it_is", ANSWER.split("@@")[1])[1].status is Status.PASSED
    with pytest.raises(SettingsError, match=r"broken: raised ValueError on an answer: no"):
        judged(path, "broken", ANSWER)
    with pytest.raises(SettingsError, match=r"no_text: a post-processing gives a program's source, not 5"):
        judged(path, "no_text", ANSWER)


def test_experiments_and_strategies_find_a_post_processing_beside_them(tmp_path):
    (tmp_path / "find.py").write_text(textwrap.dedent(POST_PROCESSING))
    row = "{name: a, model: m, post_processing: {kind: './find.py:Between', mark: '##'}}"
    (tmp_path / "code.yaml").write_text(f"output: out\nexperiments:\n  - {row}\n")
    entry = load_code(tmp_path / "code.yaml").experiments[0].post_processing
    assert entry == {"kind": f"{tmp_path / 'find.py'}:Between", "mark": "##"}
    (tmp_path / "code.yaml").write_text(f"output: out\nexperiments:\n  - {row.replace('mark', 'marc')}\n")
    with pytest.raises(SettingsError, match=r"code.yaml:3: experiments\[0\].post_processing: marc: unknown option"):
        load_code(tmp_path / "code.yaml")
    (tmp_path / "mine.yaml").write_text("user: '{code}'\npost_processing: ./find.py:as_it_is\n")
    task = build("tasks", {"kind": "functions18", "strategy": str(tmp_path / "mine.yaml")})
    assert list(digests(task)) == [str(tmp_path / "find.py")]
