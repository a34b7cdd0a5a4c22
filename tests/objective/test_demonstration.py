"""Each loss on demonstrations against autograd of its formula, written out token by token."""

from __future__ import annotations

import math

import pytest
import torch

from polychromic.core.errors import InputError
from polychromic.settings.catalog import build, kinds

KINDS = ["entropy", "gem", "label_smoothing", "nll", "tofu"]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 4, generator=generator) * 2
    labels = torch.tensor([[-100, -100, 1, 3, 0], [-100, 2, 2, -100, -100]])
    return logits.requires_grad_(), labels


def formula(kind: str, z: torch.Tensor, y: int, **o: float) -> torch.Tensor:
    """The loss of one token from its logits, term by term."""
    p = torch.exp(z) / torch.exp(z).sum()
    if kind == "nll":
        return -torch.log(p[y])
    if kind == "label_smoothing":
        return -(1 - o["epsilon"]) * torch.log(p[y]) - o["epsilon"] * sum(torch.log(q) for q in p) / len(p)
    if kind == "entropy":
        return -torch.log(p[y]) - o["beta"] * -sum(q * torch.log(q) for q in p)
    hot = torch.exp(z / o["beta"]) / torch.exp(z / o["beta"]).sum()
    if kind == "gem":
        return -sum(hot[v].detach() * (torch.log(p[y]) - torch.log(p[v])) for v in range(len(p)))
    gamma, right = o["gamma"], p[y].detach()
    factor = (1 - right) ** gamma - gamma * right * (1 - right) ** (gamma - 1) * torch.log(right)
    return -factor * o["beta"] * torch.log(hot[y])


OPTIONS = {
    "nll": {},
    "label_smoothing": {"epsilon": 0.2},
    "entropy": {"beta": 0.3},
    "gem": {"beta": 0.7},
    "tofu": {"beta": 0.8, "gamma": 2.0},
}


def gradient(loss: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_value_and_gradient_are_the_formulas(kind):
    logits, labels = batch()
    found = build("demonstration", {"kind": kind, **OPTIONS[kind]}).loss(logits, labels)
    pairs = [(logits[b, t - 1], int(labels[b, t])) for b in range(2) for t in range(1, 5) if labels[b, t] >= 0]
    expected = sum(formula(kind, z, y, **OPTIONS[kind]) for z, y in pairs) / len(pairs)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(gradient(found, logits), gradient(expected, logits), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_an_accumulation_window_is_divided_by_its_own_targets(kind):
    logits, labels = batch()
    loss = build("demonstration", kind)
    whole = gradient(loss.loss(logits, labels), logits)
    parts = loss.loss(logits[:1], labels[:1], 5) + loss.loss(logits[1:], labels[1:], torch.tensor(5))
    torch.testing.assert_close(gradient(parts, logits), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_target_the_loss_is_a_zero_that_hangs_on_the_graph(kind):
    logits, labels = batch()
    found = build("demonstration", kind).loss(logits, torch.full_like(labels, -100))
    assert found.item() == 0.0
    assert not gradient(found, logits).any()


def test_the_shelf_is_complete():
    assert kinds("demonstration") == KINDS


def test_special_cases_meet():
    logits, labels = batch()

    def grad(entry: object) -> torch.Tensor:
        return gradient(build("demonstration", entry).loss(logits, labels), logits)

    nll = grad("nll")
    for entry in (
        {"kind": "label_smoothing", "epsilon": 0.0},
        {"kind": "entropy", "beta": 0.0},
        {"kind": "gem", "beta": 1.0},
        {"kind": "tofu", "beta": 1.0, "gamma": 0.0},
    ):
        torch.testing.assert_close(grad(entry), nll)
    torch.testing.assert_close(grad({"kind": "tofu", "beta": 0.7, "gamma": 0.0}), grad({"kind": "gem", "beta": 0.7}))


def test_tofus_factor_is_the_focal_losss():
    z, y, gamma = torch.tensor([0.3, -1.0, 0.5], requires_grad=True), 1, 2.0
    logp = torch.log_softmax(z, 0)
    focal = gradient(-((1 - logp.exp()[y]) ** gamma) * logp[y], z)
    logits = z[None, None].expand(1, 2, 3)
    found = build("demonstration", {"kind": "tofu", "beta": 1.0, "gamma": gamma}).loss(
        logits, torch.tensor([[-100, y]])
    )
    torch.testing.assert_close(gradient(found, z), focal)


def test_gems_log_sigmoid_weight_by_hand():
    z = torch.tensor([1.0, 3.0])
    found = build("demonstration", {"kind": "gem", "beta": 1.0, "weight": "log_sigmoid"}).loss(
        z[None, None].expand(1, 2, 2), torch.tensor([[-100, 0]])
    )
    p1 = 1 / (1 + math.exp(-2))
    assert found.item() == pytest.approx(p1 * (1 / (1 + math.exp(-0.02))) * 2)


def test_extreme_logits_stay_finite():
    logits = torch.tensor([[[1e4, -1e4], [-1e4, 1e4], [0.0, 0.0]]], requires_grad=True)
    labels = torch.tensor([[-100, 0, 0]])
    for kind in KINDS:
        found = build("demonstration", kind).loss(logits, labels)
        assert torch.isfinite(found)
        assert torch.isfinite(gradient(found, logits)).all()


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "gem", "beta": 0.0},
        {"kind": "gem", "weight": "cubic"},
        {"kind": "tofu", "beta": -1.0},
        {"kind": "tofu", "gamma": 0.5},
        {"kind": "label_smoothing", "epsilon": 1.0},
        {"kind": "entropy", "beta": -0.1},
    ],
)
def test_options_that_cannot_be(entry):
    with pytest.raises(InputError):
        build("demonstration", entry)
