"""The data sets of a comparison: read once, split alike for all runs."""

from dataclasses import dataclass
from pathlib import Path

from fieldmark.bench.plan import Place
from fieldmark.data.dataset import Dataset
from fieldmark.data.reading import read_dataset
from fieldmark.data.scan import scan_photos
from fieldmark.data.split import cut, digest, read_splits, with_splits, write_splits
from fieldmark.errors import UserError, printable
from fieldmark.files import replace_file

SPLITS = "splits"


@dataclass(frozen=True)
class Material:
    """A data set as all runs of a comparison see it.

    ``splits`` is the file with the cut of unsplit data, None for data with splits of their own; ``digest`` that of the
    photos' names, classes, splits and sizes.
    """

    name: str
    path: Path
    place: Place
    dataset: Dataset
    digest: str
    splits: Path | None

    def train_on(self, said: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """The splits of final runs: an entry's, else those of the set; None where nobody says."""
        return said or self.place.train_on

    @property
    def has_val(self) -> bool:
        """Whether there are validation photos, on which trials are compared."""
        return bool(self.dataset.of(["val"]))


def read_material(name: str, path: Path, place: Place, *, folder: Path) -> Material:
    """Reads a data set; unsplit data are cut once, and the cut is kept in the comparison's folder.

    Args:
        name: as the plan calls it.
        path: where it lies here.
        place: what the plan says of it.
        folder: of the comparison.

    Raises:
        UserError: nothing to read, or no photos to measure on.
    """
    dataset = read_dataset(path, annotation=place.annotation)
    splits = None if dataset.is_split else folder / SPLITS / f"{name}.csv"
    if splits:
        if not splits.is_file():
            made = cut(dataset, scan_photos(dataset.photos, pixels=dataset.pixels), seed=0)
            replace_file(splits, lambda draft: write_splits(draft, made))
        dataset = with_splits(dataset, read_splits(splits))
    if not dataset.of(["test"]):
        raise UserError(f"{name}: {printable(str(path))} has no test photos to compare methods on")
    return Material(name, path, place, dataset, digest(dataset), splits)
