"""A fresh user's journey, verb by verb: rows of one's own, who judges them, training, evaluation, the whole matrix."""

from __future__ import annotations

import json
import math

import pytest

from polychromic.analysis.record import read_comparison
from tests import processes
from tests.journeys.taught import teach

DESKS = {
    "invoice refund charge": ["Ask the billing desk.", "Write to payments."],
    "password account email": ["Ask the login desk.", "Write to accounts."],
    "parcel courier address": ["Ask the parcel desk.", "Write to shipping."],
}
TICKETS = [
    {"prompt": f"My {thing} is wrong, who helps?", "completion": reply, "allowed": replies}
    for things, replies in DESKS.items()
    for thing in things.split()
    for reply in replies
]
DESK = '''
def right_desk(completions, allowed, **columns):
    """Right is a reply that the ticket's desk allows; its words are what tells right replies apart."""
    said = [reply.strip() for reply in completions]
    return [(reply in replies, reply) for reply, replies in zip(said, allowed)]
'''
SHOPS = [("Ann", "pens", 3, 4), ("Bo", "maps", 2, 6), ("Cy", "cups", 5, 2), ("Di", "hats", 4, 5), ("Ed", "figs", 6, 6)]
GSM8K = [
    {"prompt": f"{who} has {a} {what} and buys {b} more. How many?", "completion": text, "answer": f"{a + b}"}
    for who, what, a, b in SHOPS
    for text in (rf"{a} + {b} = \boxed{{{a + b}}}", rf"It is \boxed{{{a + b}}}")
]
SUMS = [
    {
        "prompt": [{"role": "user", "content": f"What is {a} plus {b}?"}],
        "completion": [{"role": "assistant", "content": text}],
        "solution": f"{a + b}",
    }
    for _, _, a, b in SHOPS
    for text in (rf"\boxed{{{a + b}}}", rf"The sum is \boxed{{{a + b}}}")
]
JOURNEYS = {
    "tickets": (TICKETS, {"kind": "function", "functions": "./desk.py:right_desk"}, "plain"),
    "math": (GSM8K, {"kind": "math", "after": "boxed", "distinct_by": "text"}, "chat"),
    # the reward function and the form of rows (messages, a column solution) of the first example of TRL's GRPOTrainer
    "function": (SUMS, {"kind": "function", "functions": "trl.rewards:accuracy_reward"}, "chat"),
}
ROWS = ("distinct and correct@10", "pass@10", "Distinct-2", "Self-BLEU-4", "semantic diversity", "pass@1")


def content(value):
    return value if isinstance(value, str) else value[-1]["content"]


@pytest.mark.parametrize("name", JOURNEYS)
def test_from_a_file_and_a_judge_to_the_whole_matrix(name, environment, tmp_path, tiny_model_factory):
    rows, judge, form = JOURNEYS[name]
    pairs = [(content(row["prompt"]), content(row["completion"])) for row in rows]
    base = teach(tmp_path / "base", pairs, tiny_model_factory, form=form)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "desk.py").write_text(DESK)
    configuration = {
        "experiment": {"name": "diverse", "output_root": "runs"},
        "model": {"name_or_path": base, "format": form, "dtype": "float32"},
        "lora": {"r": 4},
        "data": {"train_file": "rows.jsonl", "task": judge},
        "polychromic": {"lambda": 1.0, "n_generations": 4, "set_size": 2, "max_examples_for_diversity": 4}
        | {"max_new_tokens": 16, "reward": "answers", "gate": "verifier"},
        "training": {"max_steps": 4, "per_device_train_batch_size": 4, "learning_rate": 1e-3, "logging_steps": 1}
        | {"use_cpu": True, "bf16": False, "gradient_checkpointing": False},
        "evaluation": {"task": judge | {"path": "rows.jsonl"}, "n": 10, "max_new_tokens": 16}
        | {"temperatures": [1.0], "encoder": "hashing", "bootstrap_resamples": 200},
        "tracking": {"wandb": "disabled"},
    }
    (tmp_path / "mine.yaml").write_text(json.dumps(configuration))

    def says(*words):
        done = processes.run("-m", "polychromic", *words, environment=environment, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = says("data", "show", "mine.yaml", "--rows", "1")
    assert "the same at evaluation" in shown
    assert f"⟦{pairs[0][1]}<|end|>⟧" in shown
    said = says("train", "mine.yaml")
    assert "diversity term: had an effect" in said
    said = says("evaluate", "--config", "mine.yaml", "--models", "diverse=runs/diverse", "--out", "runs/evaluation")
    comparison = read_comparison(tmp_path / "runs/evaluation/comparison.json")
    (verdict,) = comparison.verdicts
    assert tuple(line.title for line in verdict.matrix) == ROWS
    assert all(math.isfinite(line.gain) and line.said for line in verdict.matrix)
    assert json.loads((tmp_path / "runs/diverse/run.json").read_text())["health"]["frac_valid"] > 0
    page = (tmp_path / "runs/evaluation/report.md").read_text()
    table = page.partition("### Decision matrix")[2].partition("\n## ")[0]
    assert [line.split(" | ")[0][2:].replace("\\", "") for line in table.splitlines() if "%" in line][:6] == list(ROWS)
    audit = json.loads((tmp_path / "runs/evaluation/audit.json").read_text())
    assert {rate["kind"]: rate["accepted"] for rate in audit["rates"]}["right answer"] == len(rows)
