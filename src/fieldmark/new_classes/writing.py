"""The folder of a run that has a class more or less than another one: all of it is written, or nothing."""

import os
import re
import shutil
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from fieldmark.confidence.taxonomy import Groups
from fieldmark.core.weights import MODEL, RECIPE
from fieldmark.data.outputs import refuse_folder
from fieldmark.data.split import SPLITS_FILE
from fieldmark.errors import UserError, printable
from fieldmark.files import refuse_unwritable, replace_files, write_json
from fieldmark.locks import locked
from fieldmark.new_classes.certainty import Certainty
from fieldmark.recipe import Recipe, recipe_to_json
from fieldmark.runs.added import ORIGINAL_TENSORS, Additions
from fieldmark.runs.folder import (
    ABOUT,
    CLASSES,
    CONFIDENCE,
    GALLERY,
    GROUPS,
    HELD_OUT,
    METRICS,
    SCAN,
    START,
    classes_to_json,
    confidence_value,
    digest_of,
    groups_value,
)

KEPT = (ABOUT, SPLITS_FILE, SCAN, START, METRICS, "curves.png", "test_openings.csv")
"""Files of a run that hold for the other one, too: what is said of its data, its training, and looks at test photos."""


def place_for(run: Path, out: Path | None, *, suffix: str, photos: Collection[Path] = ()) -> Path:
    """The folder of the new run, by default beside the old one.

    Args:
        run: the old one.
        out: what the user says.
        suffix: what the default name adds to the old run's.
        photos: files and folders that the command reads.

    Raises:
        UserError: it exists, or it is the run itself, inside of it, or among the photos.
    """
    folder = out or run.resolve().with_name(f"{run.resolve().name}{suffix}")
    shown = f"--out {printable(str(folder))}"
    if folder.resolve().is_relative_to(run.resolve()):
        raise UserError(f"{shown}: {printable(str(run))} stays as it is; name a folder for the new run outside of it")
    for path in photos:
        refuse_folder(folder, option="--out", photos=path)
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if os.path.lexists(folder) and not is_empty:
        raise UserError(f"{shown}: it exists, and nothing is overwritten; name another folder with --out")
    refuse_unwritable(folder / RECIPE, advice="name another folder with --out")
    return folder


def suffix_of(name: str) -> str:
    """What a class's name adds to that of a folder: letters, figures and hyphens alone."""
    return "-" + (re.sub(r"[^\w]+", "-", name).strip("-_")[:60] or "class")


def write_run_like(
    run: Path,
    folder: Path,
    *,
    recipe: Recipe,
    classes: Sequence[str],
    module: nn.Module,
    additions: Additions | None,
    certainty: Certainty | None,
    groups: Groups | None,
) -> None:
    """Writes a run that is another one but for its network and its classes.

    Args:
        run: the other one.
        folder: the new run's.
        recipe: of the new run.
        classes: the new run's, by index.
        module: the learner.
        additions: what was added to the new run; None for nothing.
        certainty: the new run's; None where nothing is known.
        groups: of the new run's classes; None for none.

    Raises:
        UserError: it cannot be written; then there is nothing.
    """
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in module.state_dict().items()}
    contents: dict[str, Callable[[Path], object]] = {
        name: partial(shutil.copyfile, run / name) for name in KEPT if (run / name).is_file()
    }
    texts = {RECIPE: recipe_to_json(recipe), CLASSES: classes_to_json(classes)}
    if additions is not None:
        texts |= additions.texts()
        if additions.tensors:
            contents[ORIGINAL_TENSORS] = partial(save_file, dict(additions.tensors))
    contents |= {name: partial(_write_text, text) for name, text in texts.items()}
    contents[MODEL] = partial(save_file, tensors)
    if certainty is not None:
        contents |= _contents_of(certainty)
    if groups is not None:
        contents[GROUPS] = partial(_write_value, groups_value(groups))
    busy = f"--out {printable(str(folder))}: another process is writing there; choose another folder"
    with locked(folder, busy=busy):
        replace_files(folder, contents)


def _contents_of(certainty: Certainty) -> dict[str, Callable[[Path], object]]:
    """The files of a run's certainty, which name the weights that were written before them, in the same folder."""

    def of(path: Path) -> Certainty:
        return certainty.of(digest_of(path.parent))

    contents: dict[str, Callable[[Path], object]] = {
        HELD_OUT: certainty.held_out.save,
        CONFIDENCE: lambda path: write_json(path, confidence_value(of(path).confidence)),
    }
    if certainty.gallery is not None:
        contents[GALLERY] = lambda path: (gallery := of(path).gallery) and gallery.save(path)
    return contents


def _write_value(value: object, path: Path) -> None:
    write_json(path, value)


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, "utf-8", "backslashreplace", newline="")
