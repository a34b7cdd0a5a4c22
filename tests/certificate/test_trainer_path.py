"""The certificate through the real trainer: right as it is, and red when sampling or scoring is broken."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from polychromic.certificate import trainer as certificate
from polychromic.certificate.trainer import LAMBDA, TEMPERATURE, Bench, largest_z
from polychromic.objective import surrogate
from polychromic.objective.surrogate import diversity_surrogate
from polychromic.policy.logprobs import completion_logprobs
from polychromic.training import drawing, term
from tests.processes import two_ranks

STEPS = 8


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def misfit(bench: Bench) -> float:
    """Length of the mean gradient's error, in its standard errors: about 1 when the trainer is right."""
    steps = bench.run()
    with certificate._quiet():
        exact = bench.exact(LAMBDA)
    return float((steps.mean(dim=0) - exact).norm() / (steps.std(dim=0).norm() / len(steps) ** 0.5))


def test_the_trainer_follows_the_exact_gradient():
    bench = Bench(25)
    steps = bench.run()
    with certificate._quiet():
        exact, plain = bench.exact(LAMBDA), bench.exact(0.0)
    assert largest_z(steps, exact) < 6.0  # 25 steps have heavier tails than the certificate's 100
    assert largest_z(steps, plain) > 20.0
    assert misfit(Bench(STEPS, micro_batches=4, seed=1)) < 2.0


def test_the_step_does_not_depend_on_how_it_is_cut_up(monkeypatch):
    whole = Bench(1).run()[0]
    assert certificate.step_difference(micro_batches=8) < certificate.ROUNDING
    assert certificate.step_difference(checkpointing=True) < certificate.ROUNDING
    monkeypatch.setattr(term, "SCORED_TOKENS", 500)
    parts = Bench(1).run()[0]
    assert float((parts - whole).norm() / whole.norm()) < certificate.ROUNDING


def test_lambda_zero_is_trls_own_trainer():
    assert certificate.lambda_zero() == 0.0


def without_end(model, prompts, completions, temperature):
    cut = [[tokens[:-1] if tokens[-1] in (1, 2) else tokens for tokens in group] for group in completions]
    return completion_logprobs(model, prompts, cut, temperature)


def untempered(model, prompts, completions, temperature):
    return completion_logprobs(model, prompts, completions, 1.0)


@pytest.mark.parametrize("broken", [without_end, untempered])
def test_wrong_scoring_is_seen(monkeypatch, broken):
    monkeypatch.setattr(term, "completion_logprobs", broken)
    monkeypatch.setattr(term, "LARGEST_GAP", float("inf"))  # the trainer's own guard would stop the run first
    assert misfit(Bench(STEPS)) > 2.5


@pytest.mark.parametrize("decoding", [{"top_k": 4}, {"temperature": 1.0}])
def test_wrong_sampling_is_seen(monkeypatch, decoding):
    original = drawing.generate_in_memory

    def broken(model, prompts, request):
        other = dataclasses.replace(request.decoding, **decoding)
        return original(model, prompts, dataclasses.replace(request, decoding=other))

    monkeypatch.setattr(drawing, "generate_in_memory", broken)
    assert misfit(Bench(STEPS)) > 2.5


def test_a_forgotten_end_token_is_seen(monkeypatch):
    original = drawing.generate_in_memory

    def broken(model, prompts, request):
        stop = dataclasses.replace(request.stop_tokens, eos=(1,))
        return original(model, prompts, dataclasses.replace(request, stop_tokens=stop))

    monkeypatch.setattr(drawing, "generate_in_memory", broken)
    assert misfit(Bench(STEPS)) > 2.5


def test_a_wrong_scale_is_seen(monkeypatch):
    def mean_over_samples(advantages, logprobs):
        return surrogate.diversity_surrogate(advantages, logprobs) / logprobs.shape[1]

    monkeypatch.setattr(term, "diversity_surrogate", mean_over_samples)
    assert misfit(Bench(STEPS)) > 2.5


@pytest.mark.parametrize("entry", ["gem", "entropy"])
def test_other_losses_on_demonstrations_are_a_yaml_away(entry):
    plain, other = (Bench(1, weight=0.0, options={"demonstration_loss": kind}) for kind in ("nll", entry))
    assert not torch.allclose(plain.run(), other.run(), rtol=1e-3)
    halves = Bench(1, weight=0.0, micro_batches=1, options={"demonstration_loss": entry})
    assert torch.allclose(halves.run(), other.run(), rtol=1e-3, atol=1e-5)


def test_a_loss_that_equals_nll_gives_its_gradient():
    plain = Bench(1, weight=0.0).run()
    same = Bench(1, weight=0.0, options={"demonstration_loss": {"kind": "gem", "beta": 1.0}}).run()
    torch.testing.assert_close(same, plain, rtol=1e-4, atol=1e-6)


def test_rivals_are_a_yaml_away():
    with certificate._quiet():
        demonstration = Bench(1).exact(0.0)
    naive = Bench(1, options={"rival": "naive"}).run()[0]
    torch.testing.assert_close(naive, demonstration, rtol=1e-4, atol=1e-5)
    ours = Bench(1, options={"baseline": "leave_one_out"}).run()[0] - demonstration
    subset = Bench(1, options={"rival": "poly_epo"}).run()[0] - demonstration
    torch.testing.assert_close(subset, ours * (1 - certificate.SET_SIZE / certificate.SAMPLES), rtol=1e-3, atol=1e-4)
    for name in ("shuffled", "dra"):
        assert not torch.allclose(Bench(1, options={"rival": name}).run()[0] - demonstration, ours, rtol=0.01)


WORKER = """
import os, sys, torch
from polychromic.certificate import trainer as certificate
from polychromic.training import term
seen, original = [], term.DiversityTerm.add_gradients
def spy(self, model, drawn, weight, backward, monitor):
    ids = [[one.token_ids for one in samples.completions] for samples in drawn.sets]
    seen.append((drawn.prompts, ids, drawn.advantages))
    original(self, model, drawn, weight, backward, monitor)
term.DiversityTerm.add_gradients = spy
bench = certificate.Bench(steps=2, micro_batches=4)
steps = bench.run()
torch.save((steps, seen), os.path.join(sys.argv[1], os.environ["RANK"] + ".pt"))
"""


def test_two_ranks_reduce_to_the_mean_of_their_estimates(tmp_path: Path):
    """Gloo on loopback: each step's gradient is the exact SFT gradient minus lambda times the ranks' mean estimate."""
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    two_ranks(tmp_path / "worker.py", tmp_path)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    assert torch.equal(ranks[0][0], ranks[1][0])
    bench = Bench(1)
    with certificate._quiet():
        demonstration = bench.exact(0.0)
    assert ranks[0][1][0][1] != ranks[1][1][0][1]  # every rank draws its own samples
    for step, gradient in enumerate(ranks[0][0]):
        estimates = []
        for _, seen in ranks:
            prompts, ids, advantages = seen[step]
            assert len(prompts) == certificate.ROWS // 2
            logprobs = completion_logprobs(bench.model, prompts, ids, TEMPERATURE)
            found = torch.autograd.grad(diversity_surrogate(advantages, logprobs), bench.adapter)
            estimates.append(torch.cat([g.reshape(-1).double() for g in found]))
        expected = demonstration - LAMBDA * (estimates[0] + estimates[1]) / 2
        assert float((gradient - expected).norm() / expected.norm()) < 1e-5
