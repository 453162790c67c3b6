"""The data sets of a comparison: read, looked through and cut once, and seen alike by all of its runs."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from fieldmark.bench.plan import DataSource, Plan
from fieldmark.console import counted, tell
from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.opening import OpenedData, open_photos, refuse_missing_splits, refuse_unknown_names
from fieldmark.data.outputs import refuse_folder
from fieldmark.data.reading import read_dataset
from fieldmark.data.scan import Scan
from fieldmark.data.split import digest, for_photos, read_splits, with_splits, write_splits
from fieldmark.errors import UserError, printable


@dataclass(frozen=True)
class BenchData:
    """A data set as all runs of a comparison see it.

    ``opened`` are its photos, of which nothing but the names is known before ``open_data``; ``digest`` is that of the
    sound photos' names, classes, splits and sizes, "" before.
    """

    name: str
    path: Path
    source: DataSource
    opened: OpenedData
    digest: str = ""

    @property
    def dataset(self) -> Dataset:
        """The photos, damaged ones left out."""
        return self.opened.dataset

    def of(self, splits: Collection[str]) -> tuple[Photo, ...]:
        """The photos of splits; all of them before unsplit data are cut."""
        return self.dataset.of(splits) if self.dataset.is_split else self.dataset.photos

    def refuse_changes(self) -> None:
        """Raises ``UserError`` where files are no longer those that were looked through, by their sizes."""
        if digest(self.dataset) != self.digest:
            raise UserError(f"the photos of {self.name} were changed since this command began: start it again")


def read_data(
    plan: Plan,
    names: Iterable[str],
    paths: Mapping[str, Path],
    *,
    corrections: Mapping[str, Path] | None = None,
    folder: Path,
) -> dict[str, BenchData]:
    """Reads the names of photos in data sets, which lie where the user or the plan says; no photo is opened.

    Args:
        plan: of the comparison.
        names: of the data sets.
        paths: where they lie, of those that the user names.
        corrections: lists of corrected labels, of those whose list does not lie with the photos.
        folder: of the comparison.

    Raises:
        UserError: nothing to read, no name of the plan's, photos around the comparison's folder, or none to measure on.
    """
    known = {name for entry in plan.entries for name in entry.data}
    lists = corrections or {}
    for option, said in (("--data", paths), ("--corrections", lists)):
        if unknown := sorted(set(said) - known):
            raise UserError(f"{option} {unknown[0]}: the plan's data are called {', '.join(sorted(known))}")
    datasets: dict[str, BenchData] = {}
    for name in dict.fromkeys(names):
        source = plan.source(name)
        path = paths.get(name) or source.path
        if path is None:
            raise UserError(f"where do the photos of {name} lie? say --data {name}=FOLDER")
        refuse_folder(folder, option="--out", photos=path)
        dataset = read_dataset(path, annotation=source.annotation, corrections=lists.get(name))
        refuse_missing_splits(dataset, ["test"], source=f"{name}: final runs are measured on")
        datasets[name] = BenchData(name, path, source, OpenedData(dataset, Scan(())))
    return datasets


def open_data(data: BenchData, folder: Path, *, megapixels: float = 64.0, console: Console) -> BenchData:
    """Looks through the photos that are trained on, and cuts unsplit ones; both are kept in the comparison's folder.

    Photos of more ``megapixels`` are left out unread.

    Raises:
        UserError: no sound photo, none to measure on, or a cut of other photos.
    """
    facts, cut = folder / "scans" / f"{data.name}.json", folder / "splits" / f"{data.name}.csv"
    known, dataset = Scan.load(facts), data.dataset
    with counted(console, f"looking through the photos of {data.name}") as tick:
        opened = open_photos(dataset, splits=("train", "val"), known=known, megapixels=megapixels, progress=tick)
    opened.refuse_damage()
    tell(console, *opened.remarks)
    if opened.scan != known:
        opened.scan.save(facts)
    if not dataset.is_split:
        if not cut.is_file():
            write_splits(cut, opened.split(seed=0).dataset)
        splits = for_photos(read_splits(cut), dataset.photos)
        refuse_unknown_names(dataset, splits, source=printable(str(cut)), advice="take another --out")
        opened = replace(opened, dataset=with_splits(opened.dataset, splits), was_cut=True)
    refuse_missing_splits(opened.dataset, ["test"], source=f"{data.name}: final runs are measured on")
    return replace(data, opened=opened, digest=digest(opened.dataset))
