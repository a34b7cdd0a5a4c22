"""Several ranks as one run: started by torchrun, accelerate or Ray, they have one folder, one voice and one end.

Rank 0 writes; the others wait for it where they read what it wrote. The first rank that fails says why, and the others
end with it in silence. A program of one rank notices nothing of this.
"""

from __future__ import annotations

import itertools
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from polychromic.core.errors import PolychromicError, SaidByAnotherRankError

Number = TypeVar("Number", int, float)
SPEAKING_SECONDS = 1.0
"""What a rank that has nothing to say leaves to the one that has."""


class RankLostError(PolychromicError):
    """Another rank is gone, so this one cannot go on. Exit status 75, the system's word for "try again"."""

    exit_code = 75


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among the ranks of its run: the ``index``-th of ``count``."""

    index: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes."""
        return self.index == 0

    def wait(self) -> None:
        """Returns when every rank has come to this line."""
        self.any_of([False])

    def any_of(self, wishes: list[bool]) -> list[bool]:
        """Each wish: whether any rank has it."""
        return [bool(wish) for wish in self.largest([int(wish) for wish in wishes])]

    def largest(self, numbers: list[Number]) -> list[Number]:
        """Each number: the largest of all ranks'."""
        if self.count == 1:
            return numbers
        import torch

        told = torch.tensor(numbers, dtype=torch.float64, device=_place())
        torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
        return [type(own)(number) for own, number in zip(numbers, told.tolist(), strict=True)]

    def handed_out(self, count: int) -> Iterator[int]:
        """The numbers below ``count``, each on one rank only: on that which asks for the next. All ranks must call."""
        if self.count == 1:
            yield from range(count)
            return
        name = f"polychromic round {next(_rounds)}"
        while (place := int(_shared().add(name, 1)) - 1) < count:
            yield place

    def told(self, value: Any) -> Any:
        """Rank 0's value, plain JSON, on every rank."""
        if self.count == 1:
            return value
        import torch

        text = torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8, device=_place())
        size = torch.tensor([len(text)], device=_place())
        torch.distributed.broadcast(size, 0)
        text = text if self.first else torch.zeros(int(size), dtype=torch.uint8, device=_place())
        torch.distributed.broadcast(text, 0)
        return json.loads(bytes(text.tolist()))


_rounds = itertools.count()
"""Of handing out, in the order in which every rank comes to them."""


def _place() -> str:
    """Where what ranks tell each other lies: on the CPU, unless their launcher has joined them by nccl alone."""
    import torch

    return "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"


def launched() -> Ranks:
    """This process's place, as its launcher says in the environment."""
    return Ranks(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


_store: Any = None
"""What the ranks share before they are a group; the launcher's own where it has one, and so outlives a rank."""


def _shared() -> Any:
    global _store
    if _store is None:
        from torch.distributed.rendezvous import rendezvous

        _store, _, _ = next(rendezvous("env://"))
    return _store


def _first_to(deed: str) -> bool:
    """Whether no other rank has done the deed before; also where nobody can be asked, as nothing may go unsaid."""
    try:
        return int(_shared().add(f"polychromic {deed}", 1)) == 1
    except (RuntimeError, OSError):
        return True


@contextmanager
def one_voice() -> Iterator[Ranks]:
    """Within it every warning is shown by one rank, and of all errors that of the first rank to fail.

    Raises:
        SaidByAnotherRankError: in the place of an error, where another rank has failed before.
        RankLostError: in the place of the error of a connection, where no rank has said why it ended.
    """
    ranks = launched()
    if ranks.count == 1:
        yield ranks
        return
    before = warnings.showwarning
    warnings.showwarning = _once(before)
    try:
        yield ranks
    except BaseException as error:
        if not _first_to("end"):
            time.sleep(SPEAKING_SECONDS)  # a launcher ends all when it sees the first that ended
            raise SaidByAnotherRankError(error) from error
        if _lost(error):
            raise RankLostError(
                f"rank {ranks.index}: another rank of this run is gone, so this one ends; what was saved is whole, "
                "and the same command continues"
            ) from error
        raise
    finally:
        warnings.showwarning = before


def _once(show: Callable[..., None]) -> Callable[..., None]:
    def once(message: Warning | str, *rest: Any, **named: Any) -> None:
        if _first_to(f"warning {message}"):
            show(message, *rest, **named)

    return once


def _lost(error: BaseException) -> bool:
    """Whether this is what a rank sees when another one goes away."""
    import torch

    return isinstance(error, torch.distributed.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def present() -> Ranks:
    """This process's place in the group that it has joined; alone without one."""
    import torch

    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return Ranks()
    return Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size())


@contextmanager
def joined(seconds: float, use_cpu: bool) -> Iterator[Ranks]:
    """This rank in the group of all, which it joins unless its launcher has made one.

    A rank that waits longer than ``seconds`` for another gives up.
    """
    if launched().count == 1:
        yield Ranks()
        return
    import torch

    made = not torch.distributed.is_initialized()
    if made:
        _join(timedelta(seconds=seconds), use_cpu)
    yield present()
    if made:  # after an error it stays: the others must not see it gone before they can hear why
        torch.distributed.destroy_process_group()


def _join(timeout: timedelta, use_cpu: bool) -> None:
    import torch

    place, gpu = launched(), torch.cuda.is_available() and not use_cpu
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if gpu else "gloo",
        store=_shared(),
        rank=place.index,
        world_size=place.count,
        timeout=timeout,
    )
