"""The commands on when to trust an answer, as Python functions."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fieldmark.console import QUIET
from fieldmark.on_device import opened_run
from fieldmark.recipe import External
from fieldmark.training.settings import MachineSettings

if TYPE_CHECKING:
    from fieldmark.confidence.record import Confidence


def calibrate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    folds: int | None = None,
    device: str = "auto",
    external: External = (),
    console: Console = QUIET,
) -> "Confidence":
    """Measures how sure a run may be, by photos kept out of its training; later answers of the run keep to it.

    Args:
        run: the run's folder, which the result is written to.
        data: labelled photos, where they are not where the run was trained.
        folds: so many networks are trained, each without a part of the photos; by default only where the validation
            photos are too few to tell, and then three.
        device: auto, cpu, cuda, cuda:N or mps.
        external: classes of your own that the run's recipe names, or their names.
        console: for progress.

    Raises:
        UserError: a mistake that the user can correct.
        Interrupted: the user stopped it; the same call goes on.
    """
    from fieldmark.training.calibrating import calibrate as calibrate_run

    opened = opened_run(run, device=device, external=external, console=console)
    machine = MachineSettings(device=device)
    photos = None if data is None else Path(data)
    return calibrate_run(opened, data=photos, folds=folds, machine=machine, external=external, console=console)
