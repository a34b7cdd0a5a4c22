"""A model whose weights are shared out over ranks (FSDP2): whole while it samples, and scored as a pass of its root.

``fully_shard`` gathers the weights in hooks around its modules' forward passes, each a collective of all ranks.
Sampling takes as many passes as its longest draw, which no two ranks agree on, and scoring calls the decoder and the
head behind the root's hooks. Here neither needs anything of the other ranks but that they come along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

_whole: WeakSet[nn.Module] = WeakSet()
FORWARD = "polychromic_forward"


def units(model: nn.Module) -> list[Any]:
    """The modules of ``model`` whose weights are gathered together; none where nothing is shared out."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return []
    from torch.distributed.fsdp import FSDPModule

    return [module for module in model.modules() if isinstance(module, FSDPModule)]


def is_sharded(model: nn.Module) -> bool:
    """Whether weights of ``model`` lie on other ranks now."""
    return model not in _whole and bool(units(model))


@contextmanager
def whole(model: nn.Module) -> Iterator[None]:
    """Within it every rank has all weights, and may run ``model`` without the others; all ranks enter and leave."""
    found = units(model)
    resharding = [unit for unit in found if _reshards(unit)]
    for unit in found:
        unit.set_reshard_after_forward(False, recurse=False)
        unit.unshard()
    if found:
        _whole.add(model)
    try:
        yield
    finally:
        _whole.discard(model)
        for unit in resharding:
            unit.set_reshard_after_forward(True, recurse=False)
        for unit in found:
            unit.reshard()


def _reshards(unit: Any) -> bool:
    state = unit._get_fsdp_state()
    groups = getattr(state, "_fsdp_param_groups", None) or [getattr(state, "_fsdp_param_group", None)]
    return any(group is not None and group.post_forward_mesh_info is not None for group in groups)


def through_root(model: Any, work: Callable[[], Tensor]) -> Tensor:
    """What ``work`` gives, run as a forward pass of ``model``, so that gradients reach the shards; on all ranks."""
    from torch.distributed.fsdp import register_fsdp_forward_method

    if FORWARD not in model.__dict__:
        setattr(model, FORWARD, lambda work: work())
        register_fsdp_forward_method(model, FORWARD)
    found: Tensor = getattr(model, FORWARD)(work)
    return found


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor."""
    part: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return part


def full(tensor: Tensor) -> Tensor:
    """The tensor whole; of one that is shared out all ranks must ask."""
    found: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return found
