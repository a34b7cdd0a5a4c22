"""Benchmarks for answers: rows of the published forms, written here, pass with their gold, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

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
