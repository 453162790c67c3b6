"""The one way in to photographs, for ``check``, ``probe``, ``train``, ``evaluate`` and ``bench`` alike.

``read_dataset`` reads names; the checks here refuse what is wrong with the names alone; ``open_photos`` scans the files
once and leaves out the damaged ones; ``OpenedData.split`` splits unsplit data. Only then is a photo trained on or
measured.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from fieldmark.data.dataset import SPLITS, Dataset, Photo, Unread
from fieldmark.data.scan import Progress, Scan, scan_photos
from fieldmark.data.split import cut
from fieldmark.errors import UserError, printable
from fieldmark.images.guard import ABOVE_LIMIT, up_to

_LARGER = "train --set pixels.megapixels=N and check --max-megapixels N allow larger photographs"


@dataclass(frozen=True)
class OpenedData:
    """Photographs after the first pass.

    ``dataset`` holds the sound photos and those that were not opened; ``scan`` the facts about the opened ones;
    ``unread`` the photos that were left out; ``was_cut`` says whether Fieldmark made the splits.
    """

    dataset: Dataset
    scan: Scan
    unread: tuple[Unread, ...] = ()
    was_cut: bool = False

    @property
    def damaged(self) -> tuple[str, ...]:
        """A line with name and reason for each photo that was left out."""
        return tuple(photo.line for photo in self.unread)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Lines for the user: photos that were left out, and the notes of the reader and the cut."""
        larger = [_LARGER] if any(ABOVE_LIMIT in line for line in self.damaged) else []
        return (*(f"left out: {line}" for line in self.damaged), *larger, *self.dataset.notes)

    def refuse_damage(self, *, strict: bool = False) -> None:
        """Raises ``UserError`` where no opened photo is sound; with ``strict``, where any is damaged."""
        lost, count = len(self.unread), len(self.scan.facts)
        if lost and (strict or lost == count):
            raise unreadable(self.unread, of=count)

    def split(
        self, *, seed: int, pinned: Mapping[str, str] | None = None, mend: bool = False, hold_out: float = 0.0
    ) -> "OpenedData":
        """The same photos with splits: official ones stay, unsplit data are cut 80/10/10.

        Args:
            seed: of the cut and of the photos held out.
            pinned: name to split of an earlier cut; photos of unsplit data stay in those splits.
            mend: photos that belong together, and that the earlier cut separated, are cut anew.
            hold_out: share of the official training photos that becomes val, where there is no val.
        """
        previous = None if self.dataset.is_split else pinned
        dataset = cut(self.dataset, self.scan, seed=seed, val_fraction=hold_out, previous=previous, mend=mend)
        return replace(self, dataset=dataset, was_cut=self.was_cut or not self.dataset.is_split)


def open_photos(
    dataset: Dataset,
    *,
    splits: Collection[str] = (*SPLITS, ""),
    known: Scan | None = None,
    megapixels: float = 64.0,
    progress: Progress | None = None,
) -> OpenedData:
    """Scans photos once and leaves out those that cannot be used.

    Args:
        dataset: as ``read_dataset`` returned it.
        splits: of split data, only photos of these are opened; of unsplit data, all photos are.
        known: an earlier scan; photos whose files have not changed since are not opened.
        megapixels: larger photos count as damaged and are not decoded.
        progress: called with the number of photos just done, and of all photos.
    """
    photos = dataset.of(splits) if dataset.is_split else dataset.photos
    limits = up_to(megapixels)
    scan = scan_photos(photos, pixels=dataset.pixels, known=known, limits=limits, progress=progress)
    return without_damaged(dataset, scan)


def without_damaged(dataset: Dataset, scan: Scan) -> OpenedData:
    """The dataset without the photos that ``scan`` found damaged."""
    reasons = {facts.name: facts.damage for facts in scan.damaged}
    lost = tuple(Unread(photo, reasons[photo.name]) for photo in dataset.photos if photo.name in reasons)
    sound = dataset.with_photos(photo for photo in dataset.photos if photo.name not in reasons)
    return OpenedData(sound, scan, lost)


def unreadable(unread: Sequence[Unread], *, of: int) -> UserError:
    """The error that names some of the photos that cannot be read, out of ``of`` photos."""
    more = f"; and {len(unread) - 5:,} more" if len(unread) > 5 else ""
    return UserError(
        f"{len(unread):,} of {of:,} photos cannot be read: {'; '.join(photo.line for photo in unread[:5])}{more}.\n"
        "Replace or remove them; `fieldmark check` lists them all."
    )


def refuse_missing_splits(dataset: Dataset, wanted: Sequence[str], *, source: str) -> None:
    """Raises ``UserError`` for the first of ``wanted`` without photos; ``source`` is the option that named it.

    Unsplit data will be cut, so they have the three splits.
    """
    names = sorted({photo.split for photo in dataset.photos} - {""}) or list(SPLITS)
    if unknown := [name for name in wanted if name not in names]:
        place = printable(str(dataset.root))
        raise UserError(f"{source} {printable(unknown[0])!r}: {place} has no such split; it has {', '.join(names)}")


def refuse_unknown_names(dataset: Dataset, splits: Mapping[str, str], *, source: str, advice: str) -> None:
    """Raises ``UserError`` where ``splits`` (name to split) and the photos have no name, or few names, in common.

    Photos may have come or gone since: few is less than half of the shorter list.

    Args:
        dataset: as ``read_dataset`` returned it.
        splits: of a run or a file, by ``split.for_photos``.
        source: where the splits come from.
        advice: what the user can do.
    """
    strange = [photo.name for photo in dataset.photos if photo.name not in splits]
    count = len(dataset.photos)
    common = count - len(strange)
    if common and 2 * common >= min(len(splits), count):
        return
    names = {photo.name for photo in dataset.photos}
    split_name = next((name for name in splits if name not in names), "")
    photo_name = next(iter(strange), "")
    raise UserError(
        f"{source} names {common or 'none'} of the {count:,} photos in {printable(str(dataset.root))}: "
        f"it has names such as {printable(split_name)}, the photos such as {printable(photo_name)};\n{advice}"
    )


def refuse_without_boxes(photos: Sequence[Photo]) -> None:
    """Raises ``UserError`` where photos are to be cropped to boxes and one has no box."""
    without = [photo.name for photo in photos if photo.box is None]
    if without:
        raise UserError(
            f"--fit box: {len(without):,} of {len(photos):,} photos have no box, such as {printable(without[0])};\n"
            "give a table (CSV) with a box in the columns x, y, width, height"
        )


def refuse_boxless(photos: Sequence[Photo]) -> None:
    """Raises ``UserError`` where the object's place is to be measured and not one photo has a box."""
    if all(photo.box is None for photo in photos):
        raise UserError(
            f"--localization needs boxes around the objects, and none of these {len(photos):,} photos has one;\n"
            "give a table (CSV) with a box in the columns x, y, width, height, or a benchmark with its boxes"
        )
