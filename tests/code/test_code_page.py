"""The page of a code run, and that nothing a model writes breaks or steers an output on the way to it."""

from __future__ import annotations

import html.parser
import json

import pytest
from click.testing import CliRunner

from polychromic.cli import commands
from polychromic.records.jsonl import read_json
from polychromic.reporting.code_page import write_code_report

EVEN, PRIME = "functions18/filter_even", "functions18/is_prime"
HOSTILE = [
    "chr(0xd800)",
    "'\\x1b]0;owned\\x07\\x1b[2J'",
    "'\\0' * 5",
    "'\\u202e\\u2066abc'",
    "'</script><script>alert(1)</script>'",
    "'<img src=x onerror=alert(1)>'",
    "'|' * 3 + '`' * 3 + '\\n# heading'",
    "'x' * 3_000_000",
    "b'\\xff'",
]


class Tags(html.parser.HTMLParser):
    """The elements and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Hostile answers, judged by the command; the folder, what a person saw and what a machine read."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = [{"task_id": EVEN, "text": f"def filter_even(numbers):\n    raise ValueError({item})"} for item in HOSTILE]
    rows += [{"task_id": EVEN, "text": f"def filter_even(numbers):\n    return {item}"} for item in HOSTILE]
    rows += [
        {"task_id": PRIME, "text": text} for text in ("\ud800", "\x1b[31m", "</script>" * 9, "\0", "x" * 10_000_000)
    ]
    rows += [{"task_id": "\ud800\x1b[2J<b>", "text": "x"}]
    path = folder / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["verify", "--task", "functions18", "--samples", str(path), "--out", str(folder / "out")]
    shown = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    again = CliRunner().invoke(commands, [*arguments, "--json"], catch_exceptions=False)
    assert (shown.exit_code, again.exit_code) == (0, 0)
    return folder / "out", shown.stdout, json.loads(again.stdout)


def test_hostile_answers_end_as_failures_in_every_output(judged):
    folder, shown, result = judged
    assert (result["samples"], result["passed"], result["absent"]) == (2 * len(HOSTILE) + 5, 0, 0)
    assert read_json(folder / "code.json")["samples"] == result["samples"]
    assert not [c for c in shown if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x2069]
    shown.encode("utf-8")


def test_the_page_shows_them_as_text(judged):
    folder, _, result = judged
    page = (folder / "report.html").read_bytes().decode("utf-8")
    assert len(page) < 1_000_000
    seen = Tags()
    seen.feed(page)
    assert "script" not in seen.tags
    assert "img" not in seen.tags
    assert "\x1b" not in page
    assert "\0" not in page
    assert EVEN in seen.words
    assert f"0/{result['samples']}" in seen.words


def test_the_page_of_experiments_has_every_section(tmp_path):
    rate = {"k": 1, "score": 0.5, "low": 0.25, "high": 0.75, "passed": 1, "total": 2, "reason": ""}
    run = {
        "name": "one",
        "settings": {"name": "one", "model": "m"},
        "samples": 2,
        "passed": 1,
        "absent": 1,
        "tasks": 2,
        "pass_at_k": {"1": rate},
        "categories": {"strings": rate},
        "failing": [{"task": "t", "passed": 0, "judged": 1, "absent": 0, "outcome": "exception", "detail": "why"}],
        "outcomes": {"passed": 1},
        "rules": {"fence": 2},
        "cost": {"seconds": 1.5, "tokens": None, "dollars": 0.001}
        | {"per_pass": {"seconds": 1.5, "tokens": None, "dollars": 0.001}},
    }
    change = {"task": "t", "gained": True, "group": "compile", "outcome": "syntax_error", "detail": "line 1"}
    pair = {"a": "one", "b": "two", "tasks": 2, "gained": 1, "lost": 0, "p": 1.0}
    result = {
        "task": "bench",
        "experiments": [run, run | {"name": "two"}, {"name": "three", "failed": "no server"}],
        "regressions": [pair | {"solved_a": 0, "solved_b": 1, "changes": [change], "failures_a": {}, "failures_b": {}}],
        "pairs": [pair],
        "sandbox": {"level": "full", "judge": "inproc"},
        "gold": {"checked": 3, "failed": {"g": "wrong_answer"}, "without": 0},
        "bad_rows": 1,
        "bad_places": ["f:1: not JSON"],
    }
    (tmp_path / "code.json").write_text(json.dumps(result))
    (tmp_path / "one").mkdir()
    shares = dict.fromkeys(("single", "oracle", "all_identical", "identical", "cost_multiplier"))
    unknown = dict.fromkeys(("gain", "low", "high", "oracle_gap", "efficiency", "auc", "spread"))
    choice = {"scorer": "length", "selected": 0.8, "auc_prompts": 0, "cost_per_pass": 5.0, "single_cost_per_pass": 2.0}
    best = {"model": "one", "temperature": 1.0, "n": 4, "prompts": 2, **shares, "advice": "N=4 pays."}
    best["choices"] = [choice | unknown]
    (tmp_path / "one" / "best_of_n.json").write_text(json.dumps({"entries": [best]}))
    words = Tags()
    words.feed(write_code_report(tmp_path).read_text())
    for text in ("0.500", "[0.250, 0.750]", "1/2", "strings", "why", "fence", "1.50", "N=4 pays.", "gained", "three"):
        assert text in words.words, text
    assert "one1.04length–0.800––5.0 instead of 2.03.75–0.00250" in words.words
    assert "a pass may be forged" in words.words
    assert "its own gold program fails" in words.words
