"""Numbers that are none, a machine that is taken away, a second process."""

import os
import signal
from itertools import pairwise

import pytest
import torch
from transformers import TrainerCallback

from polychromic.core.errors import NumericalError
from polychromic.training.faults import (
    BAD_STEPS,
    FiniteSteps,
    StopOnSignal,
    StoppedError,
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


def test_a_signal_stops_the_run_after_its_step(make_trainer):
    trainer, listener = make_trainer(0.0, max_steps=5, save_strategy="steps", save_steps=100), StopOnSignal()

    class Take(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 1:
                os.kill(os.getpid(), signal.SIGTERM)

    trainer.add_callback(Take())
    trainer.add_callback(listener)
    before = signal.getsignal(signal.SIGTERM)
    with listener.listening():
        trainer.train()
    assert signal.getsignal(signal.SIGTERM) is before
    assert trainer.state.global_step == 2
    assert os.path.isdir(os.path.join(trainer.args.output_dir, "checkpoint-2"))


def kill_twice(listener):
    with listener.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        assert listener.stopped
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_second_signal_stops_it_at_once():
    with pytest.raises(StoppedError, match="at once"):
        kill_twice(StopOnSignal())
