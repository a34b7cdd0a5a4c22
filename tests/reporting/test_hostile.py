"""Names, reasons and samples that try to be markup, escapes or nothing at all: shown as they are, never acted on."""

import json
import re
import shutil
import time
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from polychromic.analysis.nouns import Flag
from polychromic.analysis.record import read_comparison
from polychromic.cli import console
from polychromic.core.escaping import LONGEST, one_line, visible
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Verdict
from polychromic.records.jsonl import write_json, write_rows
from polychromic.records.rows import from_row, to_row
from polychromic.records.samples import sample_rows, store
from polychromic.records.verdicts import verdict_keys, verdict_row
from polychromic.reporting import markdown
from polychromic.reporting.page import write_report

ATTACKS = {
    "tag": "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "heading": "x\n# Owned\n\n- [link](javascript:alert(1)) ![i](http://e.vil/x.png)",
    "table": "a | b | c\n|---|---|",
    "fence": "```\nowned\n~~~",
    "terminal": "\x1b]0;owned\x07\x1b[2J\x9b31m\x08\r",
    "bidi": "\u202egpj.exe\u2066\u200f",
    "nothing": "\x00\ud800x\udfff\u200b\ufeff\U000e0041",
    "attribute": '" onmouseover="alert(1)" x=\'',
}
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


class Elements(HTMLParser):
    """What a browser would make of a page: its elements and the attributes that run something."""

    def __init__(self):
        super().__init__()
        self.tags, self.handlers = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.handlers += [name for name, _ in attributes if name.startswith("on")]


def renamed(row, old, new):
    """Everything in a row with one name put for another, in sentences too."""
    if isinstance(row, str):
        return row.replace(old, new)
    if isinstance(row, dict):
        return {renamed(key, old, new): renamed(value, old, new) for key, value in row.items()}
    return [renamed(each, old, new) for each in row] if isinstance(row, list) else row


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_others_wrote_is_text_in_every_output(attack, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("polychromic.reporting.figures.draw", lambda *_: [])
    plain = read_comparison(folder / "comparison.json")
    row = renamed(to_row(plain), "aggressive", attack)
    found = from_row(type(plain), row)
    found = replace(found, flags=(Flag("odd", "warning", f"a reason: {attack}", attack),))
    write_json(tmp_path / "comparison.json", found)
    (stored,) = store([SampleSet(Prompt(attack, attack), (Completion(attack),), Decoding(), attack)], "", 0)
    write_rows(tmp_path / "samples.jsonl", sample_rows(stored))
    write_rows(tmp_path / "verdicts.jsonl", [verdict_row(verdict_keys(stored)[0], Verdict("passed", attack, attack))])
    page = write_report(tmp_path)
    html, twin = page.read_text("utf-8"), (tmp_path / "report.md").read_text("utf-8")
    shutil.copy(folder / "comparison.json", tmp_path)
    calm = write_report(tmp_path)
    expected, seen = Elements(), Elements()
    expected.feed(calm.read_text("utf-8"))
    seen.feed(html)
    assert seen.handlers == []
    assert seen.tags.count("script") == expected.tags.count("script")
    assert "img" not in seen.tags
    assert not ACTS.search(html)
    assert not ACTS.search(twin)
    headings = [line for line in twin.splitlines() if line.startswith("#")]
    assert [line for line in headings if "wned" in line and not line.startswith("# ")] == []
    assert not re.search(r"(?<!\\)<(?:script|img)", twin)
    assert not re.search(r"(?<!\\)\]\((?!figures/)", twin)
    assert not re.search(r"^(?:```|~~~)", twin, re.MULTILINE)
    console.show({"model": attack}, False, [*console.table(["model"], [[attack]]), f"verdict: {attack}"])
    console.show({"model": attack}, True, [])
    said = capsys.readouterr().out
    assert not ACTS.search(said)
    assert len(said.splitlines()) == 4
    assert json.loads(said.splitlines()[3])["model"].encode("utf-8", "surrogatepass") == attack.encode(
        "utf-8", "surrogatepass"
    )


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("# a", "\\# a"),
        ("- a", "\\- a"),
        ("+0.5", "\\+0.5"),
        ("1. a", "1\\. a"),
        ("pass@1 0.5 (+22.1%)", "pass@1 0.5 (+22.1%)"),
        ("a|b`c`_d_*e*", "a\\|b\\`c\\`\\_d\\_\\*e\\*"),
        ("&lt;b&gt;<b>", "&amp;lt;b&amp;gt;\\<b\\>"),
        ("a\nb", "a b"),
        (3, "3"),
    ],
)
def test_markdown_is_read_as_it_was_written(text, escaped):
    assert markdown.escaped(text) == escaped
    assert markdown.escaped(markdown.escaped(text)) == escaped
    assert markdown.table(["x", "y"], [["", text]]).splitlines()[-1] == f"|  | {escaped} |"


def test_what_can_be_read_stays_as_it_is():
    for text in ("café", "日本語", "می‌خواهم", "👩‍👧", "a\tb\nc"):
        assert visible(text) == text
    assert visible("\x1b[31m\x9b\u202e") == "\\x1b[31m\\x9b\\u202e"
    assert one_line("a\n\n b\x00") == "a b\\x00"


def test_ten_megabytes_in_one_line_are_cut_at_once():
    begun = time.process_time()
    assert len(one_line("\x00<" * 5_000_000)) < 5 * LONGEST
    assert len(markdown.escaped("|" * 10_000_000)) <= 2 * LONGEST
    assert time.process_time() - begun < 1.0
