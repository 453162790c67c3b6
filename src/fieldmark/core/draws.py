"""Random numbers as a function of (seed, purpose, step, image), never of process, worker or chunk.

A counter-based generator: each number is a hash of its key and its position, so any row can be drawn alone, on any
device, and a resumed or chunked run gets the numbers of an uninterrupted one. Nothing is read back to the host.
"""

import hashlib
from typing import Any

import torch
from torch import Tensor

from fieldmark.core.device import moved

_MASK = 0xFFFFFFFF


def key_of(seed: int, purpose: str, step: int) -> int:
    """A 31-bit key for one purpose at one step (or epoch), the same on every platform."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{step}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1


def _mix(values: Tensor) -> Tensor:
    """A bijective 32-bit avalanche (xor-shift-multiply rounds) on int64 tensors that hold 32-bit values.

    The products of a 32-bit value and an odd constant below 2^31 stay below 2^63, so int64 never overflows.
    """
    values = ((values ^ (values >> 16)) * 0x21F0AAAD) & _MASK
    values = ((values ^ (values >> 15)) * 0x735A2D97) & _MASK
    return values ^ (values >> 15)


class Draws:
    """The random numbers of one training step (an immutable value).

    Args:
        seed: the run's seed; None makes every draw the deterministic one of evaluation (uniform numbers are 0.5,
            masks keep everything, permutations are the identity).
        step: the step counted from the start of the run.
        rows: (B,) long, the global index of each image of the batch; needed by ``rowwise``.
    """

    __slots__ = ("rows", "seed", "step")

    def __init__(self, seed: int | None = None, step: int = 0, rows: Tensor | None = None) -> None:
        self.seed, self.step, self.rows = seed, step, rows

    @property
    def random(self) -> bool:
        """Whether the numbers are random: False for the draws of evaluation."""
        return self.seed is not None

    def uniform(self, purpose: str, shape: tuple[int, ...], *, like: Tensor) -> Tensor:
        """Numbers in (0, 1) of the given shape, with the dtype and on the device of ``like``; one draw per batch."""
        count = torch.Size(shape).numel()
        return self._numbers(purpose, torch.arange(count, device=like.device), like).view(shape)

    def rowwise(self, purpose: str, shape: tuple[int, ...], *, like: Tensor) -> Tensor:
        """Numbers in (0, 1) of shape (B, *shape); row i depends on the image's global index, not on its place."""
        if self.rows is None:
            if self.seed is not None:
                raise ValueError("rowwise draws need the global image indices: Draws(seed, step, rows)")
            return torch.full((like.shape[0], *shape), 0.5, dtype=like.dtype, device=like.device)
        count = torch.Size(shape).numel()
        rows = _mix(moved(self.rows, like.device).long() & _MASK)
        counters = rows[:, None] + torch.arange(count, device=like.device)[None] * 0x9E3779B1
        return self._numbers(purpose, counters & _MASK, like).view(-1, *shape)

    def permutation(self, purpose: str, count: int, *, like: Tensor) -> Tensor:
        """A permutation of 0 … count-1, (count,) long, on the device of ``like``."""
        if self.seed is None:
            return torch.arange(count, device=like.device)
        numbers = self.uniform(purpose, (count,), like=torch.empty(0, device=like.device, dtype=torch.float32))
        return numbers.argsort(stable=True)  # equal numbers keep their order, on every device

    def keep(self, purpose: str, shape: tuple[int, ...], *, probability: float, like: Tensor) -> Tensor:
        """A bool mask that is True with ``probability`` (everywhere in evaluation)."""
        if not self.random:
            return torch.ones(shape, dtype=torch.bool, device=like.device)
        return self.uniform(purpose, shape, like=like.new_empty(0, dtype=torch.float32)) < probability

    def _numbers(self, purpose: str, counters: Tensor, like: Tensor) -> Tensor:
        if self.seed is None:
            return torch.full(counters.shape, 0.5, dtype=like.dtype, device=like.device)
        key = key_of(self.seed, purpose, self.step)
        bits = _mix(_mix(counters ^ key) ^ (key * 0x85EB ^ 0x6A09E667) & _MASK)
        # 23 bits plus a half: never 0 or 1, and exact in float32, than which Apple's GPUs have
        # nothing wider; half types would round up to 1
        numbers = (((bits >> 9).to(torch.float32) + 0.5) / 2**23).to(like.dtype)
        return numbers.clamp_max(1 - torch.finfo(like.dtype).eps / 2)


EVALUATION = Draws()


class TorchDraws(Draws):
    """The same draws from torch's own generator, or from a given one, for a custom training loop.

    Args:
        generator: on the device of the numbers; None takes that device's default generator.
    """

    __slots__ = ("generator",)

    def __init__(self, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.generator = generator

    @property
    def random(self) -> bool:
        """Always."""
        return True

    def uniform(self, purpose: str, shape: tuple[int, ...], *, like: Tensor) -> Tensor:
        """As ``Draws.uniform``, but in [0, 1) as ``torch.rand`` has it."""
        return torch.rand(shape, dtype=like.dtype, device=like.device, **self._given())

    def rowwise(self, purpose: str, shape: tuple[int, ...], *, like: Tensor) -> Tensor:
        """(B, *shape), all rows in one draw."""
        return self.uniform(purpose, (like.shape[0], *shape), like=like)

    def permutation(self, purpose: str, count: int, *, like: Tensor) -> Tensor:
        """As ``Draws.permutation``."""
        return torch.randperm(count, device=like.device, **self._given())

    def _given(self) -> dict[str, Any]:
        """Named only if there is one: with None PyTorch cannot compile draws of sizes that change."""
        return {} if self.generator is None else {"generator": self.generator}


def drawn(draws: Draws | None, *, training: bool) -> Draws:
    """The given draws; without them torch's own in training, and the deterministic ones in evaluation."""
    if draws is not None:
        return draws
    return TorchDraws() if training else EVALUATION
