"""A run opened for a command: built, loaded, and on its device."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fieldmark.console import tell, working
from fieldmark.recipe import External

if TYPE_CHECKING:
    from fieldmark.runs.folder import Opened


def opened_run(run: str | Path, *, device: str, external: External, console: Console) -> "Opened":
    """A run on its device; that it is unfinished is told."""
    from fieldmark.core import processes
    from fieldmark.core.device import device_of
    from fieldmark.runs.folder import open_run

    device = device_of(device)
    with working(console, "building the network"):
        opened = open_run(Path(run), external=external)
        processes.join(device)
        opened.learner.to(device)
    tell(console, *opened.remarks)
    return opened
