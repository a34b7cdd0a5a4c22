"""Benchmarks for answers: rows of the published forms, written here, pass with their gold, and with nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from datasets import Dataset

from polychromic.core.nouns import Completion, Status
from polychromic.core.protocols import verdicts_on
from polychromic.settings.catalog import build
from polychromic.settings.load import load_settings

CONFIG = Path(__file__).parents[2] / "config" / "benchmarks"
ROWS = Path(__file__).parent / "benchmarks"


def task_of(name):
    """The task of a shipped configuration, reading our rows in the place of the hub's."""
    given = dict(load_settings(CONFIG / f"{name}.yaml").evaluation.task)
    assert given.pop("dataset")
    given.pop("subset", None)
    return build("tasks", {**given, "path": str(ROWS / f"{name}.jsonl")})


@pytest.mark.parametrize("name", ["gsm8k", "math_500", "aime"])
def test_gold_passes_and_other_answers_do_not(name):
    task = task_of(name)
    examples = task.examples("test")
    prompts, golds = [e.prompt for e in examples], [e.demonstration for e in examples]
    verdicts = verdicts_on(task, prompts, [Completion(gold) for gold in golds])
    assert [verdict.status for verdict in verdicts] == [Status.PASSED] * len(golds)
    assert all(verdict.answer for verdict in verdicts)
    others = [*golds[1:], golds[0]]
    for wrong in (others, [""] * len(golds), [prompt.content for prompt in prompts]):
        assert not any(v.passed for v in verdicts_on(task, prompts, [Completion(text) for text in wrong]))
    assert load_settings(CONFIG / f"{name}.yaml").model.format == "chat"
    assert all(prompt.content.endswith((r"\boxed{}.", "alone.")) for prompt in task.prompts("test"))


@pytest.mark.parametrize(
    ("name", "place", "text", "answer"),
    [
        ("gsm8k", 1, "So it lifts\n#### 1500 litres", "1500"),
        ("gsm8k", 2, "#### -5.0", "-5"),
        ("gsm8k", 0, "the answer is 36", None),
        ("math_500", 0, r"it is $\boxed{0.5}$", r"\frac{1}{2}"),
        ("math_500", 2, r"$\boxed{(3, \pi/2)}$", r"\left( 3, \frac{\pi}{2} \right)"),
        ("aime", 0, r"$\boxed{15}$", "15"),
        ("aime", 1, r"\boxed{400} or so", None),
    ],
)
def test_answers_written_otherwise_are_the_same_answer(name, place, text, answer):
    task = task_of(name)
    assert task.verify(task.prompts("test")[place], Completion(text)).answer == answer


def test_noveltybench_has_prompts_and_metrics_that_need_no_judge():
    evaluation = load_settings(CONFIG / "noveltybench.yaml").evaluation
    task = task_of("noveltybench")
    assert [prompt.id for prompt in task.prompts("curated")] == ["curated-900", "curated-901"]
    assert not task.judges
    assert (evaluation.split, evaluation.n) == ("curated", 10)
    built = [build("metrics", metric, embedder=object()) for metric in evaluation.metrics]
    assert all("verifier" not in metric.needs for metric in built)


def test_an_instruction_ends_a_conversation_too(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "2+2?"}], "answer": 4}\n'
    )
    plain, told = (
        build("tasks", {"kind": "answer", "path": str(path), **more}) for more in ({}, {"instruction": "Now."})
    )
    (before,), (after,) = plain.prompts("test"), told.prompts("test")
    assert (after.id, after.payload) == (before.id, before.payload)
    assert [turn.content for turn in after.content] == ["s", "2+2?\n\nNow."]


REVISION = "a" * 40


class Hub(BaseHTTPRequestHandler):
    """The data sets of ``root`` by the hub's own addresses: facts, trees of files, files."""

    root: Path

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        whole = unquote(urlsplit(self.path).path).removeprefix("/v1")
        kind, _, rest = whole.removeprefix("/api").removeprefix("/datasets/").partition("/resolve/")
        name, _, asked = kind.partition("/tree/")
        content = None
        if rest and (found := self.root / kind / rest.partition("/")[2]).is_file():
            content = found.read_bytes()
        elif asked:
            content = self.listed(self.root / name, asked.partition("/")[2])
        elif whole.startswith("/api/datasets/"):
            name = kind.partition("/revision/")[0]
            facts = {"id": name, "sha": REVISION, "siblings": [], "tags": [], "private": False, "gated": False}
            content = json.dumps(facts).encode() if (self.root / name).is_dir() else None
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("ETag", f'"{len(content or b"")}"')
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else content or b"")

    def listed(self, folder, below):
        found = sorted((folder / below).iterdir()) if (folder / below).is_dir() else []
        entries = [
            {"type": "directory" if path.is_dir() else "file", "path": str(path.relative_to(folder)), "oid": "b" * 40}
            | {"size": 0 if path.is_dir() else path.stat().st_size}
            for path in found
        ]
        return json.dumps(entries).encode()

    def log_message(self, *_):
        pass


READS = """
import json, sys
from polychromic.records.sources import Source
from polychromic.records.conversations import read_prompts
from polychromic.settings.catalog import build
from polychromic.settings.load import load_settings
for path in sys.argv[1:]:
    evaluation = load_settings(path).evaluation
    task = build("tasks", evaluation.task)
    prompts = task.prompts(evaluation.split)
    streamed = read_prompts(Source("", task.dataset, task.subset or None, evaluation.split, task.columns, head=1))
    print(json.dumps([[prompt.id for prompt in prompts], streamed[0].id]))
"""


@pytest.mark.long
def test_the_shipped_configurations_read_the_hub_by_name_subset_and_split(tmp_path, serving):
    """Against a stand-in of the hub, by the real client: the shipped YAML as it is, whole and streamed."""
    names = ["gsm8k", "math_500", "aime", "noveltybench"]
    for name in names:
        evaluation = load_settings(CONFIG / f"{name}.yaml").evaluation
        subset, folder = evaluation.task.get("subset", "default"), tmp_path / "hub" / evaluation.task["dataset"]
        (folder / subset).mkdir(parents=True)
        rows = [json.loads(line) for line in (ROWS / f"{name}.jsonl").read_text().splitlines()]
        Dataset.from_list(rows).to_parquet(folder / subset / f"{evaluation.split}-00000-of-00001.parquet")
        files = [{"split": evaluation.split, "path": f"{subset}/{evaluation.split}-*"}]
        card = json.dumps({"configs": [{"config_name": subset, "data_files": files}]})
        (folder / "README.md").write_text(f"---\n{card}\n---\n")
    with serving(type("Ours", (Hub,), {"root": tmp_path / "hub"})) as url:
        online = {"HF_ENDPOINT": url.removesuffix("/v1"), "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
        done = subprocess.run(
            [sys.executable, "-c", READS, *(str(CONFIG / f"{name}.yaml") for name in names)],
            env=os.environ | online | {"PYTHONPATH": str(CONFIG.parents[1])},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    for name, line in zip(names, done.stdout.splitlines(), strict=True):
        split = load_settings(CONFIG / f"{name}.yaml").evaluation.split
        whole, first = json.loads(line)
        assert (whole, first) == ([prompt.id for prompt in task_of(name).prompts(split)], whole[0])
