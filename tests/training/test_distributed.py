"""Two ranks: the term is a mean over the ranks, whatever each of them drew, and nobody waits for the other."""

from pathlib import Path

import pytest
import torch

from tests.processes import two_ranks

pytestmark = pytest.mark.long
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What both ranks saw, with lambda 2 and with lambda 0."""
    out = tmp_path_factory.mktemp("ranks")
    two_ranks(HERE / "two_ranks.py", out)
    return {
        weight: [torch.load(out / f"{weight}-{rank}.pt", weights_only=True) for rank in range(2)]
        for weight in (2.0, 0.0)
    }


def test_both_ranks_end_with_the_same_weights_and_the_same_control_variate(ranks):
    one, two = ranks[2.0]
    assert all(torch.equal(one["weights"][name], two["weights"][name]) for name in one["weights"])
    assert one["moments"] == two["moments"]
    assert one["moments"][0] > 8  # samples of both ranks and steps
    assert one["log"] == two["log"]


def test_both_ranks_follow_the_mean_of_their_sets_worth(ranks):
    """Else each would pull with a strength of its own, and a resumed run with that of the first."""
    one, two = ranks[2.0]
    assert one["value"] != two["value"]
    assert one["schedule"] == two["schedule"]
    mean = (one["value"] + two["value"]) / 2
    assert one["schedule"]["last"] == pytest.approx(2 * 2.0 * (1.0 - mean), rel=1e-5)


def test_each_rank_draws_for_its_own_prompts(ranks):
    one, two = ranks[2.0]
    assert len(one["prompts"]) == len(two["prompts"]) == 4
    assert not set(one["prompts"]) & set(two["prompts"])


def test_the_gradient_is_that_of_sft_plus_the_mean_of_the_ranks_terms(ranks):
    (one, two), (plain, _) = ranks[2.0], ranks[0.0]
    size = max(float(value.abs().max()) for value in one["term"].values())
    assert size > 1e-3
    for name, total in one["total"].items():
        wanted = plain["total"][name] + (one["term"][name] + two["term"][name]) / 2
        assert float((total - wanted).abs().max()) < 1e-4 * max(size, 1.0)
