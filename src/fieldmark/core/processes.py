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
from fieldmark.core.device import moved
from fieldmark.core.draws import Draws
from fieldmark.errors import UserError

T = TypeVar("T")


def join(device: str) -> None:
    """Joins the other processes, if torchrun's environment says that there are any.

    Args:
        device: "cpu" or "cuda"; each process takes the GPU of its local rank.

    Raises:
        UserError: another device, or fewer GPUs than processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    if device not in ("cpu", "cuda"):
        raise UserError(f"--device {device}: several processes take a GPU each (--device cuda), or compute on the CPU")
    if device == "cuda":
        gpus, local = torch.cuda.device_count(), int(os.environ["LOCAL_WORLD_SIZE"])
        if gpus < local:
            raise UserError(
                f"{local} processes need {local} GPUs, and there are {gpus}: torchrun --nproc-per-node {gpus}"
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
    atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def world() -> tuple[int, int]:
    """This process's number, and the number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def is_first() -> bool:
    """Whether this process writes files and prints for the user."""
    return world()[0] == 0


def wait_for_all() -> None:
    """Returns when all processes have called it."""
    if world()[1] > 1:
        dist.barrier()


def from_first(make: Callable[[], T]) -> T:
    """Calls ``make`` in the first process alone, and returns its value in all of them.

    Raises:
        UserError: in all of them, if ``make`` raised it.
    """
    rank, size = world()
    if size == 1:
        return make()
    outcome: list[Any] = [None, None]  # what ``make`` returned, or the text of its error
    if rank == 0:
        try:
            outcome[0] = make()
        except UserError as error:
            outcome[1] = str(error)
    folder = str(Path.cwd())  # the user's own classes, which the first process imported, are looked for here
    sys.path.insert(0, folder)
    try:
        dist.broadcast_object_list(outcome, 0)
    finally:
        sys.path.remove(folder)
    if outcome[1] is not None:
        raise UserError(outcome[1])
    return outcome[0]


def from_each(value: T) -> list[T]:
    """The values of all processes, by the number of the process."""
    size = world()[1]
    if size == 1:
        return [value]
    values: list[Any] = [None] * size
    dist.all_gather_object(values, value)
    return values


def any_of(flag: bool) -> bool:
    """Whether the flag is set in at least one process; it travels over the host, so no device waits."""
    if world()[1] == 1:
        return flag
    largest = torch.tensor(float(flag))
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return bool(largest)


def means(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scalars averaged over the processes; a value that is not finite in one process is so in all."""
    size = world()[1]
    if size == 1:
        return dict(values)
    joined = torch.stack(list(values.values()))
    dist.all_reduce(joined)
    return dict(zip(values, (joined / size).unbind(), strict=True))


def follow_first(tensors: Iterable[Tensor]) -> None:
    """Overwrites these tensors with the first process's numbers, in all other processes."""
    if world()[1] == 1:
        return
    with torch.no_grad():
        for tensor in tensors:
            numbers = tensor.contiguous()
            dist.broadcast(numbers, 0)
            tensor.copy_(numbers)


class _Rows(torch.autograd.Function):
    """The rows of all processes; the gradient goes back to the process's own.

    Every process holds the same loss L, so its gradient with respect to its own rows is complete. The gradients of
    parameters are averaged over W processes afterwards, so it is multiplied by W: the sum over all rows remains.
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
    """The ``Gather`` of several processes, all with the same number of rows, in the order of their numbers."""
    if world()[1] == 1:
        return encoded, labels, draws
    gathered: dict[int, Tensor] = {}  # a tensor that occurs twice travels once

    def rows(tensor: Tensor) -> Tensor:
        if id(tensor) not in gathered:
            gathered[id(tensor)] = _Rows.apply(tensor)  # pyright: ignore[reportArgumentType]
        return gathered[id(tensor)]

    tensors = encoded.features._replace(interaction=None)  # large, and cheaper to compute anew
    features = Features(*(None if part is None else rows(part) for part in tensors))  # pyright: ignore[reportArgumentType]
    views = {name: rows(view) for name, view in encoded.views.items()}
    images = None if draws.rows is None else rows(moved(draws.rows, labels.device))
    return Encoded(features, rows(encoded.logits), views), rows(labels), Draws(draws.seed, draws.step, images)
