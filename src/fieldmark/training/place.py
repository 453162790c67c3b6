"""Where a run goes: what may lie there, who may write there, and what goes when it is replaced."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fieldmark.data.dataset import Dataset
from fieldmark.data.split import SPLITS_FILE, read_splits
from fieldmark.errors import UserError, printable
from fieldmark.locks import LOCK, locked
from fieldmark.runs.checkpoint import MODEL, STATE
from fieldmark.runs.folder import RECIPE
from fieldmark.training.settings import Destination, Settings


@contextmanager
def own_place(data: Path, run: Path, destination: Destination) -> Iterator[None]:
    """Has the run's folder to itself until the end of the training.

    Raises:
        UserError: another process trains there, or no run can lie there.
    """
    if destination.resume and destination.overwrite:
        raise UserError("--resume and --overwrite exclude each other")
    here, there = run.resolve(), data.resolve()
    if there.is_relative_to(here) or (data.is_dir() and here.is_relative_to(there)):
        raise UserError(f"--out {run}: choose a folder outside of the photos in {data} (and not around them)")
    if run.exists() and not run.is_dir():
        raise UserError(f"--out {run}: a file of that name exists; choose a folder")
    busy = f"--out {printable(str(run))}: another process trains there; wait for its end, or choose another folder"
    with locked(run, busy=busy):
        yield


def goes_on(run: Path, destination: Destination) -> bool:
    """Whether an earlier run is gone on with.

    Raises:
        UserError: the folder is occupied, and neither --resume nor --overwrite settles what becomes of it.
    """
    if not _contents(run):
        return False
    if not (run / RECIPE).is_file():
        raise UserError(f"--out {run}: the folder is not empty and holds no run; choose another")
    if destination.resume and (run / STATE).is_file():
        return True
    if destination.resume and (run / MODEL).is_file():
        raise UserError(f"--out {run}: its {STATE} is gone, so it cannot be gone on with; --overwrite trains it anew")
    if not (destination.overwrite or destination.resume):
        raise UserError(f"--out {run}: a run lies there; say --resume to go on with it or --overwrite to replace it")
    return False


def pinned_splits(run: Path, said: Path | None) -> dict[str, str]:
    """The splits that photos are pinned to: those of ``--splits``, else of the run that is replaced."""
    if said:
        return read_splits(said)
    return read_splits(run) if (run / SPLITS_FILE).is_file() else {}


def refuse_deletion(run: Path, settings: Settings, dataset: Dataset) -> None:
    """Raises ``UserError`` where ``--overwrite`` would delete what this very training is made from."""
    if not _contents(run):
        return
    recipe = settings.recipe
    said = (("--splits", settings.data.splits), ("--recipe", recipe.recipe), ("--weights", recipe.weights))
    given = [(option, Path(value)) for option, value in said if value is not None and os.path.lexists(value)]
    photos = ((f"the photo {printable(photo.name)}", photo.path) for photo in dataset.photos if photo.row < 0)
    for what, path in (*given, *photos):
        places = (Path(os.path.abspath(path)), path.resolve())  # a link in there goes, and a link to there ends nowhere
        if any(place.is_relative_to(base) for place in places for base in (run.absolute(), run.resolve())):
            shown = f"{what} {printable(str(path))}" if what.startswith("--") else what
            raise UserError(f"--overwrite would delete {shown}, which lies in {run}; copy it elsewhere first")


def clear(run: Path) -> None:
    """Deletes what lies in the run's folder, but for its lock."""
    for path in _contents(run):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _contents(run: Path) -> list[Path]:
    return [path for path in run.iterdir() if path.name != LOCK]
