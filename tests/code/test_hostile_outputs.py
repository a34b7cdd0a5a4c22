"""Texts, ids and names that were never meant to be shown, through every command that shows what a model wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polychromic.cli import commands
from polychromic.records.jsonl import read_json
from tests.code.test_code_page import Tags

PIECES = [
    *("\ud800", "\udfff", "\0", "\x1b]0;owned\x07", "\x1b[2J", "\x9b31m", "\u202e", "\u2066", "\ufeff", "\r\n", "\n"),
    *("</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", '" onmouseover="x', "![i](http://e.vil/x)"),
    *("a|b|c", "```\n", "\n# heading\n", "é", "''", "\\N{x}", "def", ":", " "),
]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=5).map("".join)
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
PROGRAM = "def f(x):\n    return {}\n"


@st.composite
def rows(draw):
    """A benchmark's row under a hostile id, and answers to it: right, raising, returning and being what is hostile."""
    name, word, other = draw(HOSTILE), draw(HOSTILE), draw(HOSTILE)
    tests = f"def check(candidate):\n    assert candidate({word!a}) == {word!a}, {other!a}\n"
    task = {"id": name, "prompt": f"def f(x):\n    {word!a}\n", "entry_point": "f", "gold": PROGRAM.format("x")}
    programs = [PROGRAM.format(answer) for answer in ("x", f"{other!a}", f"1 / 0, {word!a}", f"[][{word!a}]")]
    texts = [*programs, word, f"def f(x):\n    raise ValueError({word!a})\n"]
    return task | {"tests": tests}, [{"task_id": name, "text": text} for text in texts]


def call(*arguments):
    """What a command printed for a person and for a machine; it ends well, and nothing that it prints acts."""
    shown, told = (
        CliRunner().invoke(commands, [*map(str, arguments), *more], catch_exceptions=False) for more in ([], ["--json"])
    )
    assert (shown.exit_code, told.exit_code) == (0, 0), shown.output + told.output
    for said in (shown.output, told.output):
        assert not ACTS.search(said), said
    return shown.stdout, json.loads(told.stdout)


def seen_whole(folder: Path) -> None:
    """Whether what ``folder`` holds can be read, and acts on no browser and no terminal."""
    for path in folder.rglob("*"):
        if path.suffix in (".json", ".jsonl"):
            text = path.read_text("utf-8").strip("\n")
            for each in text.split("\n") if path.suffix == ".jsonl" else [text]:
                json.loads(each)
        if path.suffix in (".html", ".md"):
            page = path.read_bytes().decode("utf-8")
            assert not ACTS.search(page)
            tags = Tags()
            tags.feed(page)
            assert not {"script", "img"} & set(tags.tags)


def shown_everywhere(folder: Path, drawn, title: str) -> None:
    tasks = {task["id"]: task for task, _ in drawn}
    texts = [row for task, answers in drawn if task is tasks[task["id"]] for row in answers]
    bench, samples = folder / "bench.jsonl", folder / "samples.jsonl"
    bench.write_text("".join(json.dumps(task) + "\n" for task in tasks.values()))
    samples.write_text("".join(json.dumps(row) + "\n" for row in texts))
    task = json.dumps({"kind": "benchmark", "file": str(bench), "title": title})
    _, result = call("verify", "--task", task, "--samples", samples, "--out", folder / "a")
    assert result["samples"] == len(texts) - result["bad_rows"]
    call("verify", "--task", task, "--samples", samples, "--out", folder / "b")
    assert read_json(folder / "a" / "code.json")["samples"] == result["samples"]
    call("code", "compare", folder / "a", folder / "b")
    call("best-of-n", folder / "a", "--task", task, "--n", "2")
    assert not ACTS.search(CliRunner().invoke(commands, ["code", "report", str(folder / "a")]).output)
    seen_whole(folder)
    pairs = folder / "pairs.jsonl"
    asked = [{"prompt": f"{title}?", "completion": f"{row['text']}."} for row in texts]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in asked))
    for verb in (["show", "--model", "embedded:countdown"], ["check"]):
        shown = CliRunner().invoke(commands, ["data", *verb, str(pairs)], catch_exceptions=False)
        assert shown.exit_code in (0, 2), shown.output
        assert not ACTS.search(shown.output), shown.output


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(rows(), min_size=4, max_size=8), HOSTILE)
@pytest.mark.long
def test_what_models_and_benchmarks_write_is_shown_and_does_nothing(tmp_path_factory, drawn, title):
    shown_everywhere(tmp_path_factory.mktemp("hostile"), drawn, title)


@pytest.mark.slow
def test_lines_of_ten_megabytes_are_cut_and_do_nothing(tmp_path):
    word = "\x1b[2J</script>" * 700_000
    task = {"id": "a", "prompt": "def f(x):\n", "entry_point": "f", "gold": PROGRAM.format("x")}
    task["tests"] = "def check(candidate):\n    assert candidate(1) == 1\n"
    answers = [{"task_id": "a", "text": text} for text in (word, PROGRAM.format("'\\x1b' * 10_000_000"), word + "x")]
    shown_everywhere(tmp_path, [(task, answers)], word[:100])


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(rows(), min_size=10, max_size=30), HOSTILE)
def test_long_what_models_and_benchmarks_write_is_shown_and_does_nothing(tmp_path_factory, drawn, title):
    shown_everywhere(tmp_path_factory.mktemp("hostile"), drawn, title)
