"""The diversity term where the weights are shared out over ranks (FSDP2): all take part in as many backward passes.

Its gradients are reduced at once, whatever the demonstrations' do, so that the monitor can read them off the weights:
what ``torch.autograd.grad`` gives elsewhere does not exist for weights that lie on other ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from polychromic.objective.gradient_balance import GradientBalance, GradientWindow, cheap_subset
from polychromic.policy.logprobs import completion_logprobs, meet
from polychromic.policy.sampling_mode import scoring_mode
from polychromic.policy.sharded import full, is_sharded, units, whole
from polychromic.training.batch import Window
from polychromic.training.ranks import present
from polychromic.training.term import DiversityTerm, Rollouts


class ShardedWindow(GradientWindow):
    """The balance of both gradients from those that lie on the weights: the term's first, then all together."""

    def add(self, demonstration: Tensor | None, diversity: Tensor | None) -> None:
        """Nothing yet: a term alone has no gradient that could be asked for."""

    def read_diversity(self, times: float) -> None:
        """Takes what is on the weights as the diversity term's gradient, which counts ``times``."""
        self._times = times
        self.add_gradients(None, self._gradients() / times)

    def close(self) -> GradientBalance:
        """What came on top is the demonstrations'."""
        diversity = self._sums[1]
        total = self._gradients()
        self.add_gradients(total if diversity is None else total - self._times * diversity, None)
        return super().close()

    def _gradients(self) -> Tensor:
        parts = [torch.zeros(p.shape) if p.grad is None else full(p.grad).float() for p in self.parameters]
        return torch.cat([part.reshape(-1).to(parts[0].device) for part in parts])


def gradient_window(model: nn.Module, add_ranks: Callable[[Tensor], Tensor]) -> GradientWindow:
    """The monitor for ``model``."""
    kind = ShardedWindow if is_sharded(model) else GradientWindow
    return kind(cheap_subset(model.parameters()), add_ranks)


def draw(trainer: Any, model: Any, window: Window) -> Rollouts | None:
    """The step's samples of this rank, from weights that are whole; each rank tries alone how they can be scored."""
    place, step = trainer.accelerator, trainer.state.global_step
    with trainer.compute_loss_context_manager(), whole(model):
        rollouts: Rollouts | None = trainer.term.draw(
            model, window, step, rank=place.process_index, ranks=place.num_processes
        )
        if rollouts is not None and units(model):
            sets = [[one.token_ids for one in samples.completions] for samples in rollouts.sets]
            meet(model, rollouts.prompts, sets)
    return rollouts


def add_gradients(term: DiversityTerm, model: Any, rollouts: Rollouts | None, weight: float, trainer: Any) -> None:
    """``DiversityTerm.add_gradients`` where weights are shared out; also for a rank that has no samples.

    Memory is not halved here, as the ranks would have to halve together.
    """
    times = term.section.compute_every_n_steps
    chunks, gap = term.chunks(model, rollouts) if rollouts else [], 0.0
    model.set_requires_gradient_sync(True)
    for place in range(present().largest([len(chunks)])[0]):
        with scoring_mode(model):
            if rollouts and place < len(chunks):
                surrogate, part = term.surrogate(model, rollouts, chunks[place])
                gap += part * chunks[place].samples_of(rollouts)
            else:  # this rank has nothing to add, and the others need its part of the weights
                end = (term.stop_tokens.eos[0],)
                surrogate = 0.0 * completion_logprobs(model, [end], [[end]], 1.0).sum()
            trainer.accelerator.backward(-weight * times * surrogate)
    if isinstance(trainer.monitor, ShardedWindow):
        trainer.monitor.read_diversity(times)
    model.set_requires_gradient_sync(trainer.demonstrations.last)
    if rollouts:
        rollouts.report["polychromic/logprob_gap"] = gap / rollouts.advantages.numel()


def shard_on_cpu() -> None:
    """Lets accelerate share weights out over CPU ranks, which it leaves alone without a word.

    Told that its ranks are a GPU's, it takes the very same way, over gloo.
    """
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    state = PartialState()
    if state.distributed_type is DistributedType.MULTI_CPU:
        state.distributed_type = DistributedType.MULTI_GPU


def whole_weights(model: nn.Module) -> dict[str, Tensor] | None:
    """The trained weights by name, gathered; None where nothing is shared out. All ranks must ask."""
    if not units(model):
        return None
    return {name: full(p.detach()).cpu() for name, p in model.named_parameters() if p.requires_grad}
