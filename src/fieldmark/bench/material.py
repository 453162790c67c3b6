"""The data sets of a comparison: read, looked through and cut once, and seen alike by all of its runs."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from fieldmark.bench.plan import Place
from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.opening import OpenedData, open_photos, refuse_missing_splits, refuse_unknown_names
from fieldmark.data.reading import read_dataset
from fieldmark.data.scan import Scan
from fieldmark.data.split import digest, read_splits, with_splits, write_splits
from fieldmark.errors import UserError, printable
from fieldmark.files import replace_file
from fieldmark.training.preparing import tell_all
from fieldmark.training.runlog import counted

SCANS, CUTS = "scans", "splits"


@dataclass(frozen=True)
class Material:
    """A data set as all runs of a comparison see it.

    ``data`` are its photos, of which nothing but the names is known before ``open_material``; ``digest`` is that of the
    sound photos' names, classes, splits and sizes, "" before.
    """

    name: str
    path: Path
    place: Place
    data: OpenedData
    digest: str = ""

    @property
    def dataset(self) -> Dataset:
        """The photos, damaged ones left out."""
        return self.data.dataset

    def of(self, splits: Collection[str]) -> tuple[Photo, ...]:
        """The photos of splits; all of them before unsplit data are cut."""
        return self.dataset.of(splits) if self.dataset.is_split else self.dataset.photos

    def refuse_changes(self) -> None:
        """Raises ``UserError`` where files are no longer those that were looked through, by their sizes."""
        if digest(self.dataset) != self.digest:
            raise UserError(f"the photos of {self.name} were changed since this command began: start it again")


def read_material(name: str, path: Path, place: Place) -> Material:
    """Reads the names of a data set; no photo is opened.

    Args:
        name: as the plan calls it.
        path: where it lies here.
        place: what the plan says of it.

    Raises:
        UserError: nothing to read, or no photos to measure on.
    """
    dataset = read_dataset(path, annotation=place.annotation)
    refuse_missing_splits(dataset, ["test"], said=f"{name}: final runs are measured on")
    return Material(name, path, place, OpenedData(dataset, Scan(())))


def open_material(material: Material, folder: Path, *, megapixels: float = 64.0, console: Console) -> Material:
    """Looks through the photos that are trained on, and cuts unsplit ones; both are kept in the comparison's folder.

    Args:
        material: as it was read.
        folder: of the comparison.
        megapixels: larger photos are refused unread.
        console: is told what is left out.

    Raises:
        UserError: no sound photo, none to measure on, or a cut of other photos.
    """
    facts, cut = folder / SCANS / f"{material.name}.json", folder / CUTS / f"{material.name}.csv"
    known, dataset = Scan.load(facts), material.dataset
    with counted(console, f"looking through the photos of {material.name}") as tick:
        data = open_photos(dataset, splits=("train", "val"), known=known, megapixels=megapixels, progress=tick)
    data.refuse_damage()
    tell_all(console, data.told)
    if data.scan != known:
        replace_file(facts, data.scan.save)
    if not dataset.is_split:
        if not cut.is_file():
            replace_file(cut, lambda draft: write_splits(draft, data.split(seed=0).dataset))
        splits = read_splits(cut)
        refuse_unknown_names(dataset, splits, said=printable(str(cut)), advice="take another --out")
        data = replace(data, dataset=with_splits(data.dataset, splits), was_cut=True)
    refuse_missing_splits(data.dataset, ["test"], said=f"{material.name}: final runs are measured on")
    return replace(material, data=data, digest=digest(data.dataset))
