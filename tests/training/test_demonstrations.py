"""The demonstrations' part of a step: too little memory, and losses that are no numbers."""

import math

import pytest
import torch
from transformers import TrainerCallback

from polychromic.training.faults import FiniteSteps


def crowded(trainer, room, where):
    """A device that holds ``room`` rows: the forward pass of more fails, or the backward pass behind it."""
    real, sizes = trainer.compute_loss, []

    def compute_loss(model, inputs, *args, **kwargs):
        sizes.append(len(inputs["input_ids"]))
        found = real(model, inputs, *args, **kwargs)
        if sizes[-1] <= room:
            return found
        if where == "forward":
            raise torch.OutOfMemoryError("on purpose")
        layer = model.get_submodule("base_model.model.model.layers.0.mlp.down_proj.lora_B.default")

        def fail(gradient):
            handle.remove()
            raise torch.OutOfMemoryError("on purpose")

        handle = layer.weight.register_hook(fail)  # the last layers have their gradients by then
        return found

    trainer.compute_loss = compute_loss
    return sizes


@pytest.mark.filterwarnings("ignore:.*too little memory:UserWarning")
@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize(("accepts", "weight"), [(True, 0.0), (False, 0.0), (True, 2.0)])
def test_too_little_memory_halves_the_micro_batch(make_trainer, first_gradients, where, accepts, weight):
    """The same gradient, the same loss, the same counts; also where the loss is a mean over each part's own tokens."""
    rows = [{"prompt": f"{d}=", "completion": "12345"[: 1 + d % 5]} for d in range(8)]
    own = {"rows": rows, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    own["own"] = {"task": None}
    own["section"] = {"schedule": {"monitor_every": 1}, "gate": "wellformed", "reward": "lexical"}
    seen = []
    for room in (4, 1):
        trainer = make_trainer(weight, **own)
        trainer.model_accepts_loss_kwargs = accepts
        sizes = crowded(trainer, room, where)
        gradients, _ = first_gradients(trainer)
        log = trainer.state.log_history[0]
        seen.append((gradients, log["loss"], log["num_tokens"], log.get("polychromic/demonstration_gradient", 0.0)))
    assert sizes == [4, 2, 1, 1, 1, 1, 1, 1, 1, 1]  # what was too much is not tried again
    largest = max(float(value.abs().max()) for value in seen[0][0].values())
    assert largest > 1e-3
    for name, value in seen[0][0].items():
        assert float((seen[1][0][name] - value).abs().max()) < 1e-6 * max(1.0, largest)
    assert seen[1][1:] == pytest.approx(seen[0][1:], rel=1e-5)
    assert [(found.kind, found.times) for found in trainer.health.record.findings] == [("memory for demonstrations", 2)]


def test_no_part_is_empty_and_all_rows_are_there(make_trainer):
    parts = make_trainer(0.0).demonstrations
    for rows in range(1, 12):
        batch = {"input_ids": torch.arange(rows)[:, None], "use_cache": False}
        for parts.most_rows in range(1, rows + 1):
            found = parts._parts(batch)
            assert all(1 <= len(part["input_ids"]) <= parts.most_rows for part in found)
            assert torch.cat([part["input_ids"] for part in found]).flatten().tolist() == list(range(rows))


def test_too_little_memory_halves_the_batch_of_an_evaluation(make_trainer):
    rows = [{"prompt": f"{d}=", "completion": "12345"[: 1 + d % 5]} for d in range(6)]
    losses = []
    for room in (6, 1):
        trainer = make_trainer(0.0, rows=rows, per_device_eval_batch_size=6)
        sizes = crowded(trainer, room, "forward")
        losses.append(trainer.evaluate(trainer.train_dataset)["eval_loss"])
    assert sizes == [6, 3, 2, 1, 1, 1, 1, 1, 1]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert [(found.kind, found.times) for found in trainer.health.record.findings] == [("memory for demonstrations", 3)]


def test_one_row_that_does_not_fit_is_an_error_that_says_what_to_do(make_trainer):
    trainer = make_trainer(0.0, per_device_train_batch_size=1)
    crowded(trainer, 0, "forward")
    with pytest.raises(torch.OutOfMemoryError, match=r"a micro-batch of 1 .* training.per_device_train_batch_size"):
        trainer.train()


def poisoned(trainer, steps, batch=0):
    """The loss of a micro-batch of these steps (from 0) is no number."""
    real, calls = trainer.compute_loss, []

    def compute_loss(model, inputs, *args, **kwargs):
        calls.append(trainer.state.global_step)
        loss = real(model, inputs, *args, **kwargs)
        return loss * math.nan if calls[-1] in steps and calls.count(calls[-1]) == batch + 1 else loss

    trainer.compute_loss = compute_loss
    trainer.add_callback(FiniteSteps(trainer.health))


@pytest.mark.parametrize(("batch", "logging_steps"), [(0, 1), (1, 1), (0, 2), (1, 3)])
def test_the_running_loss_stays_a_number(make_trainer, batch, logging_steps, recwarn):
    """A window with a loss that is none is left out of the mean; the others are those of a run at rest without it."""
    logs = []
    for steps in ((), (1,)):
        trainer = make_trainer(
            0.0, learning_rate=0.0, max_steps=6, gradient_accumulation_steps=2, per_device_train_batch_size=2,
            logging_steps=logging_steps, shuffle_dataset=False,
        )  # fmt: skip
        poisoned(trainer, steps, batch)
        each, close = [], trainer.demonstrations._close
        trainer.demonstrations._close = lambda step, each=each, close=close, trainer=trainer: (
            each.append(trainer.demonstrations._sum) or close(step)
        )
        trainer.train()
        logs.append(trainer.state.log_history)
        if not steps:
            whole = each
    kept = [value for place, value in enumerate(whole) if place != 1]
    found = [row["loss"] for row in logs[1] if "loss" in row]
    if logging_steps == 1:
        assert math.isnan(found[1])
    else:
        first = [value for place, value in enumerate(whole[:logging_steps]) if place != 1]
        assert found[0] == pytest.approx(sum(first) / len(first), rel=1e-5)
    assert found[-1] == pytest.approx(sum(whole[-logging_steps:]) / logging_steps, rel=1e-5)
    assert logs[1][-1]["train_loss"] == pytest.approx(sum(kept) / 5, rel=1e-5)
    record = {one.kind: one for one in trainer.health.record.findings}
    assert set(record) == {"loss that is no number", "gradient that is no number"}
    assert len(record["loss that is no number"].rows) == 2
    assert all(len(name) == 2 for name in record["loss that is no number"].rows)  # the task's ids
    assert [str(one.message)[:6] for one in recwarn if "no number" in str(one.message)] == ["step 2"] * 2


def test_spikes_and_gradients_that_are_zero_are_found(make_trainer):
    trainer = make_trainer(0.0, learning_rate=0.0, max_steps=20, max_grad_norm=1.0)
    real = trainer.compute_loss

    def compute_loss(model, inputs, *args, **kwargs):
        loss = real(model, inputs, *args, **kwargs)
        return loss * {17: 100.0, 18: 0.0}.get(trainer.state.global_step, 1.0)

    trainer.compute_loss = compute_loss
    trainer.add_callback(FiniteSteps(trainer.health))
    with pytest.warns(UserWarning, match=r"running median|is 0"):
        trainer.train()
    record = {one.kind: one.first_step for one in trainer.health.record.findings}
    assert record == {"loss spike": 18, "gradient spike": 18, "zero gradient": 19}


@pytest.mark.parametrize("resumed", [False, True])
def test_an_optimizer_step_without_memory_is_done_again(make_trainer, weights_of, monkeypatch, tmp_path, resumed):
    """The first attempt has moved some weights and made some state before it fails: nothing of it is left."""
    real, before = torch.optim.AdamW.step, None
    if resumed:
        make_trainer(0.0, max_steps=1, save_strategy="steps", save_steps=1).train()
        before = str(tmp_path / "out/checkpoint-1")
    runs = []
    for fails in (False, True):
        calls = []

        def step(self, closure=None, fails=fails, calls=calls):
            calls.append(self.param_groups[0]["foreach"])
            if fails and len(calls) == 1:
                weight = next(each for each in self.param_groups[0]["params"] if each.grad is not None)
                weight.data.add_(1.0)
                self.state[weight] = {"step": torch.tensor(7.0)}
                raise torch.OutOfMemoryError("on purpose")
            return real(self, closure)

        with monkeypatch.context() as patch:
            patch.setattr(torch.optim.AdamW, "step", step)
            trainer = make_trainer(0.0, max_steps=3)
            if fails:
                with pytest.warns(UserWarning, match="too little memory for the optimizer's step"):
                    trainer.train(resume_from_checkpoint=before)
            else:
                trainer.train(resume_from_checkpoint=before)
        runs.append(weights_of(trainer))
    assert calls[1:] == [False] * (2 if resumed else 3)
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


class Sleepy(TrainerCallback):
    """A step that takes longer than it should."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 1:
            wait_for(self.seconds)


def wait_for(seconds):
    import time

    time.sleep(seconds)


@pytest.mark.parametrize("action", ["warn", "stop"])
def test_a_run_that_hangs_says_where_and_ends(make_trainer, capsys, action):
    from polychromic.settings.schema import HealthSection
    from polychromic.training.watchdog import Watchdog

    trainer = make_trainer(0.0, own={"health": HealthSection(hang_minutes=0.3 / 60, action=action)})
    ended = []
    trainer.add_callback(Watchdog(trainer.health, ended.append))
    trainer.add_callback(Sleepy(1.0))
    with pytest.warns(
        UserWarning, match=r"step 2: no sign of life for .* minutes, in .*test_demonstrations.py.*wait_for"
    ):
        trainer.train()
    assert ended == ([1] if action == "stop" else [])
    said = capsys.readouterr().err
    assert ("is ended; the same command continues" in said) == (action == "stop")
