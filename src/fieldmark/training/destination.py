"""The folder that a run goes to: its lock, whether an earlier run is resumed, and what ``--overwrite`` deletes."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fieldmark.data.dataset import Dataset
from fieldmark.data.split import SPLITS_FILE, read_splits
from fieldmark.errors import UserError, printable
from fieldmark.files import delete_drafts
from fieldmark.locks import LOCK, locked
from fieldmark.runs.added import has_added
from fieldmark.runs.checkpoint import MODEL, STATE
from fieldmark.runs.folder import RECIPE
from fieldmark.training.settings import Destination, Settings


@contextmanager
def locked_folder(data: Path, run: Path, destination: Destination) -> Iterator[None]:
    """Locks the run's folder until training ends; what a killed training left half written in it is deleted.

    Raises:
        UserError: another process is training there, or the folder cannot be used.
    """
    if destination.resume and destination.overwrite:
        raise UserError("--resume and --overwrite exclude each other")
    folder, photos = run.resolve(), data.resolve()
    if photos.is_relative_to(folder) or (data.is_dir() and folder.is_relative_to(photos)):
        raise UserError(f"--out {run}: choose a folder outside of the photos in {data} that does not contain them")
    if run.exists() and not run.is_dir():
        raise UserError(f"--out {run}: there is a file of that name; choose a folder")
    busy = f"--out {printable(str(run))}: another process is training there; wait for it, or choose another folder"
    with locked(run, busy=busy):
        delete_drafts(run)
        yield


def resumes_run(run: Path, destination: Destination) -> bool:
    """Whether an earlier run is resumed.

    Raises:
        UserError: the folder is occupied, and neither --resume nor --overwrite says what to do with it.
    """
    if not _contents(run):
        return False
    if not (run / RECIPE).is_file():
        raise UserError(f"--out {run}: the folder is not empty and does not hold a run; choose another")
    if destination.resume and (run / STATE).is_file():
        return True
    if destination.resume and has_added(run):
        raise UserError(
            f"--out {run}: classes were added to this run without training, so its training cannot go on;\n"
            "resume the run that they were added to, or train anew with their photos among the data"
        )
    if destination.resume and (run / MODEL).is_file():
        raise UserError(f"--out {run}: its {STATE} is missing, so it cannot be resumed; --overwrite starts over")
    if not (destination.overwrite or destination.resume):
        raise UserError(f"--out {run}: it holds a run; use --resume to continue it or --overwrite to replace it")
    return False


def pinned_splits(run: Path, splits: Path | None) -> dict[str, str]:
    """The splits that photos are pinned to: those of ``--splits``, else those of the run to be replaced."""
    if splits:
        return read_splits(splits)
    return read_splits(run) if (run / SPLITS_FILE).is_file() else {}


def refuse_deletion(run: Path, settings: Settings, dataset: Dataset) -> None:
    """Raises ``UserError`` where ``--overwrite`` would delete something that this training needs."""
    if not _contents(run):
        return
    recipe, data = settings.recipe, settings.data
    tables = (("--splits", data.splits), ("--groups", data.groups), ("--corrections", data.corrections))
    options = (*tables, ("--recipe", recipe.recipe), ("--weights", recipe.weights))
    files = [(option, Path(value)) for option, value in options if value is not None and os.path.lexists(value)]
    photos = ((f"the photo {printable(photo.name)}", photo.path) for photo in dataset.photos if photo.row < 0)
    for what, path in (*files, *photos):
        places = (
            Path(os.path.abspath(path)),
            path.resolve(),
        )  # links in the folder and links into it
        if any(place.is_relative_to(base) for place in places for base in (run.absolute(), run.resolve())):
            shown = f"{what} {printable(str(path))}" if what.startswith("--") else what
            raise UserError(f"--overwrite would delete {shown}, which is inside {run}; copy it elsewhere first")


def clear(run: Path) -> None:
    """Deletes everything in the run's folder except its lock."""
    for path in _contents(run):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _contents(run: Path) -> list[Path]:
    return [path for path in run.iterdir() if path.name != LOCK]
