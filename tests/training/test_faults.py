"""Numbers that are none."""

from itertools import pairwise

import pytest
import torch
from transformers import TrainerCallback

from polychromic.core.errors import NumericalError
from polychromic.training.faults import (
    BAD_STEPS,
    FiniteSteps,
    refuse_bad_weights,
)


class Poison(TrainerCallback):
    """Spoils a gradient at given steps, before the guard looks."""

    def __init__(self, steps, value=float("nan")):
        self.steps, self.value = steps, value

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        if state.global_step in self.steps:
            next(p for p in model.parameters() if p.grad is not None).grad.view(-1)[0] = self.value


def guarded(make_trainer, steps, value=float("nan"), **arguments):
    trainer = make_trainer(0.0, max_steps=5, optim="sgd", **arguments)
    guard = FiniteSteps()
    trainer.add_callback(Poison(steps, value))
    trainer.add_callback(guard)
    return trainer, guard


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_step_with_gradients_that_are_no_numbers_is_not_applied(make_trainer, weights_of, value):
    trainer, guard = guarded(make_trainer, {1, 3}, value)
    seen = []

    class Look(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            seen.append(weights_of(trainer))

    trainer.add_callback(Look())
    trainer.train()
    assert guard.skipped == 2
    moved = [any(not torch.equal(a[name], b[name]) for name in a) for a, b in pairwise(seen)]
    assert moved == [False, True, False, True]
    refuse_bad_weights(trainer.model)


def test_too_many_in_a_row_stop_the_run(make_trainer):
    trainer, guard = guarded(make_trainer, {1, 2, 3, 4})
    with pytest.raises(NumericalError, match="step 3: the gradients were not numbers 3 times in a row"):
        trainer.train()
    assert guard.skipped == BAD_STEPS


def test_weights_that_are_no_numbers_are_refused(tiny_model_factory):
    model = tiny_model_factory(lora=True)
    refuse_bad_weights(model)
    with torch.no_grad():
        next(p for p in model.parameters() if p.requires_grad)[0, 0] = float("nan")
    with pytest.raises(NumericalError, match="nothing was saved"):
        refuse_bad_weights(model)
