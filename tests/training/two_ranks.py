"""Run on two ranks: two steps of the real trainer with and without the term; gradients and weights are written down.

torchrun --nproc_per_node 2 two_ranks.py OUT, or ``tests.processes.two_ranks``.
"""

import importlib.util
import os
import sys
from pathlib import Path

import torch
from transformers import TrainerCallback

HERE = Path(__file__).parent


def module(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found
    spec.loader.exec_module(found)
    return found


def gradients(model):
    return {
        name.removeprefix("module."): parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


class Look(TrainerCallback):
    def __init__(self, seen):
        self.seen = seen

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.seen.setdefault("total", gradients(model))


def main(out, weight):
    tiny = module(HERE.parent / "conftest.py", "tiny_conftest")
    digits = module(HERE / "conftest.py", "training_conftest")
    unwrapped = {name: getattr(tiny, name).__wrapped__ for name in ("tiny_model_factory", "tiny_tokenizer_factory")}
    factories = {name: make() for name, make in unwrapped.items()}
    task, seen = digits.Digits(), {}
    make = digits.make_trainer.__wrapped__(Path(out), task, *factories.values())
    trainer = make(
        weight,
        section={"schedule": {"monitor_every": 1, "calibrated": 1.0}},
        max_steps=2,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        max_grad_norm=0.0,
        ddp_backend="gloo",
    )
    if trainer.term is not None:
        add, draw = trainer.term.add_gradients, trainer.term.draw

        def record(model, *args):
            add(model, *args)
            seen.setdefault("term", gradients(model))

        def remember(*args, **kwargs):
            drawn = draw(*args, **kwargs)
            seen.setdefault("prompts", [samples.prompt.id for samples in drawn.sets])
            seen.setdefault("value", drawn.report["polychromic/diversity_value"])
            return drawn

        trainer.term.add_gradients, trainer.term.draw = record, remember
    trainer.add_callback(Look(seen))
    trainer.train()
    model = trainer.accelerator.unwrap_model(trainer.model)
    seen["weights"] = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if trainer.term is not None:
        seen["schedule"] = trainer.schedule.state_dict() | {"last": trainer._weight}
        seen["moments"] = trainer.term.objective.baseline.moments.tolist()
        seen["log"] = [{k: v for k, v in row.items() if "seconds" not in k} for row in trainer.state.log_history[:2]]
    torch.save(seen, Path(out) / f"{weight}-{os.environ['RANK']}.pt")


if __name__ == "__main__":
    for strength in (2.0, 0.0):
        main(sys.argv[1], strength)
    torch.distributed.destroy_process_group()
