"""Logged numbers: reduced over steps and ranks by the rule that travels with each, and listed in the documentation."""

import math
import re
from pathlib import Path

import pytest
import torch

from polychromic.training.logged_metrics import Last, LoggedMetrics, Max, Sum, gather_over_ranks

PAGE = Path(__file__).parents[2] / "docs" / "logged-numbers.md"


def observed(*steps):
    metrics = LoggedMetrics()
    for step in steps:
        metrics.update(step)
    return metrics


def test_each_number_is_reduced_over_the_steps_by_its_own_rule():
    metrics = observed(
        {"share": 0.5, "tokens": Sum(3), "longest": Max(9), "weight": Last(1.0)},
        {"share": 1.0, "tokens": Sum(4), "longest": Max(2), "weight": Last(2.0)},
        {"share": math.nan, "tokens": Sum(math.inf)},
    )
    assert metrics.take() == {"share": 0.75, "tokens": 7.0, "longest": 9.0, "weight": 2.0}
    assert metrics.take() == {}


def test_a_name_keeps_its_rule():
    with pytest.raises(ValueError, match="tokens: reduced as Sum until now, as float this time"):
        observed({"tokens": Sum(1)}, {"tokens": 1.0})


class Ranks:
    """An accelerator of several ranks that all hold their row already."""

    device = torch.device("cpu")

    def __init__(self, rows):
        self.rows, self.num_processes = rows, len(rows)

    def pad_across_processes(self, row, dim):
        width = max(self.length(one) for one in self.rows)
        return torch.nn.functional.pad(row, (0, width - row.shape[dim]))

    def gather(self, row):
        return torch.cat([gather_row(one, self) for one in self.rows])

    @staticmethod
    def length(own):
        import json

        return len(json.dumps(own).encode())


def gather_row(own, ranks):
    import json

    text = torch.tensor([list(json.dumps(own).encode())], dtype=torch.uint8)
    return ranks.pad_across_processes(text, 1)


def test_ranks_may_have_seen_different_names():
    one, two = observed({"share": 0.5, "tokens": Sum(3)}), observed({"tokens": Sum(4), "köpfe": Max(2)}, {"share": 1.0})
    ranks = Ranks([[metrics._numbers, metrics._rules] for metrics in (one, two)])
    wanted = {"share": 0.75, "tokens": 7.0, "köpfe": 2.0}
    assert one.take(gather_over_ranks(ranks)) == wanted
    assert two.take(gather_over_ranks(ranks)) == wanted


def listed():
    """The names of the page's tables."""
    return {name for line in PAGE.read_text().splitlines() for name in re.findall(r"^\| `([^`]+)` \|", line)}


def test_the_page_lists_what_a_run_logs_and_nothing_else(make_trainer, task):
    section = {"schedule": {"monitor_every": 1, "calibrated": 0.9}}
    trainer = make_trainer(2.0, section=section)
    trainer.train()
    trainer.evaluate(trainer.train_dataset.select(range(4)))
    logged = {name for row in trainer.state.log_history for name in row}
    assert logged == listed()


def test_a_number_of_ones_own_is_logged_beside_the_others(make_trainer):
    trainer = make_trainer(logging_steps=3)
    draw = trainer.term.draw

    def counted(*args, **kwargs):
        found = draw(*args, **kwargs)
        found.report["mine/longest"] = Max(args[2])
        return found

    trainer.term.draw = counted
    trainer.train()
    assert trainer.state.log_history[0]["mine/longest"] == 2.0
    drawn = trainer.term.latest[1].report["polychromic/tokens_generated"]
    assert trainer.state.log_history[0]["polychromic/tokens_generated"] > 2 * drawn
