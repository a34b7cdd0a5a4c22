"""Judges and rows that are wrong, each caused once by the command line: one line, status 2, and nothing trained."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler

import pytest

from polychromic.__main__ import run
from polychromic.core.nouns import Completion
from polychromic.settings.schema import DataSection
from polychromic.stages.demonstrations import load_data

JUDGE = """
import time

def raises(completions, **columns):
    raise KeyError("team")

def short(completions, **columns):
    return [1.0] * (len(completions) - 1)

def hangs(completions, **columns):
    time.sleep(30)

def takes_all(completions, **columns):
    return [True] * len(completions)

def words(completions, **columns):
    return ["good"] * len(completions)

def in_team(completions, team, **columns):
    return [(text in allowed, text) for text, allowed in zip(completions, team)]
"""
ROW = {"prompt": "2 3 4 5 6 7 = 5:", "completion": "2+3", "team": ["2+3", "3+2"], "id": "a"}
OTHER = {"prompt": "2 4 4 5 6 7 = 6:", "completion": "2+4", "team": ["2+4", "4+2"], "id": "b"}
LONE = {name: value for name, value in OTHER.items() if name != "team"}
CHAT = OTHER | {"prompt": [{"role": "user", "content": "2 4 4 5 6 7 = 6:"}]}
ANSWER = {"kind": "answer", "column": "team", "match": "exact"}


def function(name, **options):
    return {"kind": "function", "functions": f"./judge.py:{name}", **options}


CASES = {
    "a judge raises": (function("raises"), [ROW, OTHER], "function raises: raised KeyError: 'team'"),
    "the wrong length": (function("short"), [ROW, OTHER], "must answer once for each of 8 completions, gave 7 answers"),
    "a judge hangs": (function("hangs", deadline=0.2), [ROW, OTHER], "function hangs: no answer within 0.2 s"),
    "accepts controls": (function("takes_all"), [ROW, OTHER], "accepts 2 of 2 controls 'empty'"),
    "answers with words": (
        function("words"),
        [ROW, OTHER],
        "must be a number, a boolean, None or a Verdict, not 'good'",
    ),
    "a column is missing": (ANSWER, [ROW, LONE], "cannot judge 1 of 2 rows (the row has no column 'team')"),
    "chat and plain": (ANSWER, [ROW, CHAT], "1 of 2 prompts are plain text and the others conversations"),
    "two rows, one id": (ANSWER, [ROW, OTHER | {"id": "a"}], "rows.jsonl:1, which has another prompt"),
    "labels are objects": (ANSWER, [ROW | {"team": {"right": "2+3"}}, OTHER], "refuses 1 of 2 right answers"),
}


def said(capsys, tmp_path, task, rows):
    """Status and words of a training on the rows, judged by the task."""
    (tmp_path / "judge.py").write_text(JUDGE)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    configuration = {
        "experiment": {"name": "mine", "output_root": str(tmp_path / "runs")},
        "model": {"name_or_path": "embedded:countdown"},
        "data": {"train_file": str(tmp_path / "rows.jsonl"), "task": task},
        "polychromic": {"reward": "answers", "gate": "verifier"},
        "training": {"use_cpu": True, "bf16": False},
    }
    (tmp_path / "mine.yaml").write_text(json.dumps(configuration))
    status, shown = run(["train", str(tmp_path / "mine.yaml")], debug=False), capsys.readouterr()
    return status, shown.out + shown.err


@pytest.mark.parametrize("name", CASES)
def test_a_bad_judge_or_row_is_one_line(name, tmp_path, capsys):
    task, rows, reason = CASES[name]
    status, words = said(capsys, tmp_path, task, rows)
    assert (status, reason in words) == (2, True), words
    assert len(words.strip().splitlines()) == 1
    assert not list(tmp_path.glob("runs/mine/*.safetensors"))


@pytest.mark.parametrize("task", [ANSWER, function("in_team")], ids=["answer", "function"])
def test_labels_that_are_lists_are_several_right_answers(task, tmp_path):
    (tmp_path / "judge.py").write_text(JUDGE)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (ROW, OTHER)))
    if "functions" in task:
        task = task | {"functions": f"{tmp_path}/judge.py:in_team"}
    loaded = load_data(DataSection(train_file=str(tmp_path / "rows.jsonl"), task=task))
    (first, second) = (example.prompt for example in loaded.examples)
    assert loaded.task.verify(first, Completion("3+2")).passed
    assert not loaded.task.verify(second, Completion("3+2")).passed


def test_a_server_that_fails_half_way_is_one_line_and_what_it_said_is_kept(tmp_path, capsys, serving):
    asked = []

    class Half(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            line = body["messages"][0]["content"].split("VERDICT ")[1][:8]
            choice = {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": f"VERDICT {line}: PASS"},
            }
            answer = json.dumps(
                {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
            )
            self.send_response(200 if len(asked) < 4 else 500)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_):
            pass

    kept = tmp_path / "kept.jsonl"
    with serving(Half) as url:
        task = {"kind": "judge", "rubric": "It is right.", "served_model": "m", "base_url": url, "attempts": 1}
        task |= {"parallel": 1, "cache": str(kept)}
        status, words = said(capsys, tmp_path, task, [ROW, OTHER])
    assert (status, "5 of 8 completions could not be judged" in words) == (1, True), words
    assert len(words.strip().splitlines()) == 1
    assert len(kept.read_text().splitlines()) == 3
