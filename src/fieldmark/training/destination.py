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
from fieldmark.runs.checkpoint import EPOCHS, MODEL, STATE
from fieldmark.runs.folder import ABOUT, CLASSES, RECIPE, SCAN
from fieldmark.training.settings import Destination, Settings

_MARKS = (RECIPE, ABOUT, CLASSES)
"""Files of every run, from before its first step on."""


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
        for folder in (run, (run / STATE).parent, run / EPOCHS):
            delete_drafts(folder)
        yield


def resumes_run(run: Path, destination: Destination) -> bool:
    """Whether an earlier run is resumed.

    Raises:
        UserError: the folder is occupied, and neither --resume nor --overwrite says what to do with it.
    """
    if not _contents(run):
        return False
    if not _holds_run(run):
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
    if destination.resume and (run / SCAN).is_file():  # the last of what is written before the first step
        return True
    if not (destination.overwrite or destination.resume):
        raise UserError(f"--out {run}: it holds a run; use --resume to continue it or --overwrite to replace it")
    return False


def kept_cut(run: Path, splits: Path | None) -> tuple[str, ...]:
    """A line where photos stay in the splits of the run that is replaced."""
    if splits or not (run / SPLITS_FILE).is_file():
        return ()
    shown = printable(str(run))
    return (f"photos stay in the splits that they had in {shown}; for a new cut, name another folder with --out",)


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
    """Deletes everything in the run's folder except its lock; last what makes it a run, so that it can be repeated."""
    for path in sorted(_contents(run), key=lambda path: path.name in _MARKS):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _holds_run(run: Path) -> bool:
    """Whether the folder is a run's: one with a ``recipe.json`` alone may be anybody's."""
    return (run / RECIPE).is_file() and any((run / name).is_file() for name in _MARKS if name != RECIPE)


def _contents(run: Path) -> list[Path]:
    return [path for path in run.iterdir() if path.name != LOCK]
