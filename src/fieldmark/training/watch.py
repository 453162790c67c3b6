"""Tells the user of steps that were not finite and of files that could not be read, one step late."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from fieldmark.errors import UserError, printable
from fieldmark.input.loading import Batch
from fieldmark.training.runlog import RunLog

PATIENCE = 20
"""So many non-finite steps in a row end the run."""


class _Seen(NamedTuple):
    finite: Tensor
    arrived: torch.cuda.Event | None  # the copy of ``finite`` from a GPU, which nobody waits for before it is needed
    losses: Mapping[str, Tensor]
    batch: Batch


class Watch:
    """Reads the flag of the step before while the present one is being worked.

    Args:
        log: is told.
        names: of the photos by index.
    """

    def __init__(self, log: RunLog, names: list[str]) -> None:
        self.log, self.names = log, names
        self._before: _Seen | None = None
        self._in_a_row = 0

    def saw(self, finite: Tensor, losses: Mapping[str, Tensor], batch: Batch) -> None:
        """Takes a step's flag (a bool scalar on the device), and reports the step before."""
        self.settle()
        here, arrived = finite.to("cpu", non_blocking=True), None
        if finite.is_cuda:
            arrived = torch.cuda.Event()
            arrived.record()
        self._before = _Seen(here, arrived, losses, batch)
        for _, line in batch.damaged:
            self.log.note(f"became unreadable, another photo took its place: {line}")

    def settle(self) -> None:
        """Reports the last step, if it was not reported yet."""
        seen, self._before = self._before, None
        if seen is None:
            return
        if seen.arrived is not None:
            seen.arrived.synchronize()
        if bool(seen.finite):
            self._in_a_row = 0
            return
        self._in_a_row += 1
        guilty = [name for name, value in seen.losses.items() if not bool(value.isfinite())] or ["a gradient"]
        parts = [name for name in guilty if name not in ("loss", "train_top1")] or guilty
        files = ", ".join(printable(self.names[i]) for i in seen.batch.indices.tolist()[:4])
        line = f"{' and '.join(parts)} was not finite; the step was undone (photos {files} …)"
        self.log.note(line)
        if self._in_a_row >= PATIENCE:
            raise UserError(f"{PATIENCE} steps in a row were not finite: {line}\nlower the learning rate (--lr)")
