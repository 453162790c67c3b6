"""Which photos a run was trained on, whatever they are called: figures on these say nothing of others."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from fieldmark.data.dataset import Photo
from fieldmark.data.scan import Scan, is_other_file
from fieldmark.data.split import for_photos, read_splits
from fieldmark.errors import UserError
from fieldmark.runs.folder import RECIPE, SCAN, read_run


def trained_on(run: Path, photos: Sequence[Photo]) -> frozenset[str]:
    """The names of those photos that a run was trained on, or one that its weights come from.

    Raises:
        UserError: the run has no splits.csv, or one that cannot be read.
    """
    return _trained_on(run, photos) | known_to(read_run(run)[0].model.weights, photos)


def known_to(weights: str, photos: Sequence[Photo]) -> frozenset[str]:
    """The names of those photos that weights were trained on, where these are those of a run that is still there."""
    run = Path(weights)
    try:
        return trained_on(run, photos) if (run / RECIPE).is_file() else frozenset()
    except (UserError, RecursionError):  # an older run without a cut, or two that name each other
        return frozenset()


def weights_before(weights: str, photos: Sequence[Photo]) -> str:
    """Where weights come from that were trained on none of the photos: these, or those that their run began from."""
    looked_at: set[str] = set()
    while weights not in looked_at and known_to(weights, photos):
        looked_at.add(weights)
        weights = read_run(Path(weights))[0].model.weights
    return weights


def _trained_on(run: Path, photos: Sequence[Photo]) -> frozenset[str]:
    """By the run's splits.csv: official splits, or its own cut.

    A photo is one of the run's if it has the same name and its file the size that the run saw, or, under any name, if
    its file has the same bytes.
    """
    recipe, splits = read_run(run)[0], read_splits(run)
    facts, named = Scan.load(run / SCAN).by_name(), for_photos(splits, photos)
    seen = [facts[name] for name, split in splits.items() if split in recipe.train_on and name in facts]
    sizes, contents = {known.bytes for known in seen}, {known.sha for known in seen} - {""}

    def is_named(photo: Photo) -> bool:
        if named.get(photo.name) not in recipe.train_on:
            return False
        # the pictures of a packed dataset share one file
        return photo.row >= 0 or photo.name not in facts or not is_other_file(photo, facts[photo.name])

    def is_copy(photo: Photo) -> bool:
        is_file = photo.row < 0 and photo.path.is_file()
        return is_file and photo.path.stat().st_size in sizes and _digest(photo.path) in contents

    return frozenset(photo.name for photo in photos if is_named(photo) or is_copy(photo))


def _digest(path: Path) -> str:
    """SHA-256 of a file's bytes; "" where it cannot be read, of which the evaluation tells."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
