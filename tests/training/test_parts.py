"""The term's parts: the target that is taken from the demonstrations."""

import pytest

from polychromic.core.errors import UnsoundObjectiveError

CALIBRATED = {"schedule": {"calibrated": "demonstrations"}}


def rows(shown):
    return [{"prompt": prompt, "completion": answer} for prompt, answers in shown.items() for answer in answers]


def test_the_target_is_what_sets_of_the_demonstrations_are_worth(make_trainer):
    """Sets of two: of 1, 1, 2 a third has one answer and two thirds two; a wrong answer counts for nothing."""
    shown = {"aa=": ["1", "1", "2"], "ab= ": ["3", "3", "-"], "ac=  ": ["4"]}
    trainer = make_trainer(1.0, rows=rows(shown), section=CALIBRATED, max_steps=2, per_device_train_batch_size=7)
    first, second = (1 / 3) * 0.5 + (2 / 3) * 1.0, 1.0 / 2
    assert trainer.schedule.target == pytest.approx((first + second) / 2)
    trainer.train()
    logged = [row for row in trainer.state.log_history if "loss" in row]
    assert [row["diversity_target"] for row in logged] == pytest.approx([(first + second) / 2] * 2)
    pull = 2.0 * (trainer.schedule.target - logged[0]["diversity_value"])
    assert [row["lambda"] for row in logged] == pytest.approx([1.0, pull], rel=1e-5)


def test_one_demonstration_a_prompt_has_no_diversity(make_trainer):
    with pytest.raises(
        UnsoundObjectiveError, match=r"takes 2 demonstrations of one prompt .* no prompt has more than 1"
    ):
        make_trainer(section=CALIBRATED)


def test_a_number_is_a_target_too(make_trainer):
    assert make_trainer(section={"schedule": {"calibrated": 0.25}}).schedule.target == 0.25
    assert make_trainer().schedule.target is None
