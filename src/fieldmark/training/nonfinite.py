"""Reports non-finite steps one step late, and files that became unreadable at once."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from fieldmark.errors import UserError, printable
from fieldmark.input.loading import Batch
from fieldmark.training.runlog import RunLog

LOG = logging.getLogger(__name__)
PATIENCE = 20
"""This many non-finite steps in a row end the run."""


class Outcome(NamedTuple):
    """Of a step, bool scalars on the device.

    ``finite``: losses and gradients were; ``overflowed``: gradients were not, as the scale that keeps fp16's gradients
    from vanishing was too large. That is ordinary while the scale is searched for: it is then halved.
    """

    finite: Tensor
    overflowed: Tensor


class _Step(NamedTuple):
    flags: Tensor  # whether it was finite, and else whether that is ordinary
    arrived: torch.cuda.Event | None  # of the copy of ``flags`` from a GPU, which is waited for only when needed
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

    def saw(self, outcome: Outcome, losses: Mapping[str, Tensor], batch: Batch) -> None:
        """Takes a step's outcome, and reports the previous step."""
        self.settle()
        flags, arrived = torch.stack(outcome), None
        if flags.is_cuda:
            flags, arrived = flags.to("cpu", non_blocking=True), torch.cuda.Event()
            arrived.record(torch.cuda.current_stream(outcome.finite.device))
        self._previous = _Step(flags, arrived, losses, batch)
        for _, line in batch.damaged:
            self.log.note(f"became unreadable, another photo took its place: {line}")

    def settle(self) -> None:
        """Reports the last step, if that has not been done yet."""
        step, self._previous = self._previous, None
        if step is None:
            return
        if step.arrived is not None:
            step.arrived.synchronize()
        finite, overflowed = step.flags.tolist()
        if finite:
            self._in_a_row = 0
            return
        if overflowed:
            LOG.info("gradients were too large for fp16 as scaled; the step was undone, and the scale is halved")
            return
        self._in_a_row += 1
        culprits = [name for name, value in step.losses.items() if not bool(value.isfinite())] or ["a gradient"]
        parts = [name for name in culprits if name not in ("loss", "train_top1")] or culprits
        files = ", ".join(printable(self.names[i]) for i in step.batch.indices.tolist()[:4])
        line = f"{' and '.join(parts)} was not finite; the step was undone (photos {files} …)"
        self.log.note(line)
        if self._in_a_row >= PATIENCE:
            advice = "lower the learning rate (--lr), or use --precision fp32 if this is a half type"
            raise UserError(f"{PATIENCE} steps in a row were not finite: {line}\n{advice}")
