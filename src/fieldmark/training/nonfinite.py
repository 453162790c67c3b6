"""Reports non-finite steps one step late, and files that became unreadable at once."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from fieldmark.errors import UserError, printable
from fieldmark.input.loading import Batch
from fieldmark.training.runlog import RunLog

PATIENCE = 20
"""This many non-finite steps in a row end the run."""


class _Step(NamedTuple):
    finite: Tensor
    arrived: torch.cuda.Event | None  # of the copy of ``finite`` from a GPU, which is waited for only when needed
    losses: Mapping[str, Tensor]
    batch: Batch


class Watch:
    """Reads the flag of the previous step while the current one is computed.

    Args:
        log: receives the reports.
        names: of the photos, by index.
    """

    def __init__(self, log: RunLog, names: list[str]) -> None:
        self.log, self.names = log, names
        self._previous: _Step | None = None
        self._in_a_row = 0

    def saw(self, finite: Tensor, losses: Mapping[str, Tensor], batch: Batch) -> None:
        """Takes a step's flag (a bool scalar on the device), and reports the previous step."""
        self.settle()
        flag, arrived = finite.to("cpu", non_blocking=True), None
        if finite.is_cuda:
            arrived = torch.cuda.Event()
            arrived.record()
        self._previous = _Step(flag, arrived, losses, batch)
        for _, line in batch.damaged:
            self.log.note(f"became unreadable, another photo took its place: {line}")

    def settle(self) -> None:
        """Reports the last step, if that has not been done yet."""
        step, self._previous = self._previous, None
        if step is None:
            return
        if step.arrived is not None:
            step.arrived.synchronize()
        if bool(step.finite):
            self._in_a_row = 0
            return
        self._in_a_row += 1
        culprits = [name for name, value in step.losses.items() if not bool(value.isfinite())] or ["a gradient"]
        parts = [name for name in culprits if name not in ("loss", "train_top1")] or culprits
        files = ", ".join(printable(self.names[i]) for i in step.batch.indices.tolist()[:4])
        line = f"{' and '.join(parts)} was not finite; the step was undone (photos {files} …)"
        self.log.note(line)
        if self._in_a_row >= PATIENCE:
            raise UserError(f"{PATIENCE} steps in a row were not finite: {line}\nlower the learning rate (--lr)")
