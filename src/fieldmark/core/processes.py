"""Several processes of one run, as torchrun starts them. In a single process every function here is the identity.

Each process encodes its share of a batch. Where images of a batch meet, the rows are gathered and every process
computes the same objective over the global batch; gradients are averaged over the processes (DistributedDataParallel).
"""

import atexit
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from fieldmark.core.classifier import Features
from fieldmark.core.contract import Encoded
from fieldmark.core.draws import Draws
from fieldmark.errors import UserError

T = TypeVar("T")


def join(device: str) -> None:
    """Meets the other processes where torchrun's environment says that there are some.

    Args:
        device: "cpu" or "cuda"; on GPUs each process takes the one of its local rank.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
    atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def world() -> tuple[int, int]:
    """This process's number and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def is_first() -> bool:
    """Whether this process writes files and speaks to the user."""
    return world()[0] == 0


def wait_for_all() -> None:
    """Returns when all processes have come here."""
    if world()[1] > 1:
        dist.barrier()


def from_first(make: Callable[[], T]) -> T:
    """What ``make`` gives in the first process, in all of them.

    Raises:
        UserError: in all of them, where ``make`` raised it.
    """
    rank, size = world()
    if size == 1:
        return make()
    said: list[Any] = [None, None]
    if rank == 0:
        try:
            said[0] = make()
        except UserError as error:
            said[1] = str(error)
    here = str(Path.cwd())  # where classes of the user's own, which the first process imported, are looked for
    sys.path.insert(0, here)
    try:
        dist.broadcast_object_list(said, 0)
    finally:
        sys.path.remove(here)
    if said[1] is not None:
        raise UserError(said[1])
    return said[0]


def from_each(value: T) -> list[T]:
    """Everybody's value, by the number of the process."""
    size = world()[1]
    if size == 1:
        return [value]
    values: list[Any] = [None] * size
    dist.all_gather_object(values, value)
    return values


def any_of(flag: bool) -> bool:
    """Whether the flag is set in at least one process; told over the host, so no device waits."""
    if world()[1] == 1:
        return flag
    told = torch.tensor(float(flag))
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return bool(told)


def means(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scalars averaged over the processes; one that is not finite somewhere is so everywhere."""
    size = world()[1]
    if size == 1:
        return dict(values)
    joined = torch.stack(list(values.values()))
    dist.all_reduce(joined)
    return dict(zip(values, (joined / size).unbind(), strict=True))


def follow_first(tensors: Iterable[Tensor]) -> None:
    """Puts the first process's numbers into these tensors of all others, in place."""
    if world()[1] == 1:
        return
    with torch.no_grad():
        for tensor in tensors:
            told = tensor.contiguous()
            dist.broadcast(told, 0)
            tensor.copy_(told)


class _Rows(torch.autograd.Function):
    """All processes' rows; the gradient goes back to one's own.

    Every process holds the same loss L, so its gradient of L by its own rows is complete. As the gradients of
    parameters are averaged over W processes afterwards, it is passed on W-fold: the sum over all rows remains.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        """(B, ...) to (W B, ...)."""
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The own rows of (W B, ...)."""
        rank, size = world()
        return gradients[0].chunk(size)[rank] * size


def gather(encoded: Encoded, labels: Tensor, draws: Draws) -> tuple[Encoded, Tensor, Draws]:
    """The ``Gather`` of several processes, all with as many rows, in the order of the processes' numbers."""
    if world()[1] == 1:
        return encoded, labels, draws
    done: dict[int, Tensor] = {}  # a tensor that stands in two places travels once

    def rows(tensor: Tensor) -> Tensor:
        if id(tensor) not in done:
            done[id(tensor)] = _Rows.apply(tensor)  # pyright: ignore[reportArgumentType]
        return done[id(tensor)]

    tensors = encoded.features._replace(interaction=None)  # large, and cheaper to make anew
    features = Features(*(None if part is None else rows(part) for part in tensors))  # pyright: ignore[reportArgumentType]
    views = {name: rows(view) for name, view in encoded.views.items()}
    everybody = None if draws.rows is None else rows(draws.rows.to(labels.device, non_blocking=True))
    return Encoded(features, rows(encoded.logits), views), rows(labels), Draws(draws.seed, draws.step, everybody)
