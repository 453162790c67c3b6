"""``check`` and what belongs to it as Python functions: labels by a network's features, and decisions on them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fieldmark.console import QUIET, counted, tell
from fieldmark.data.check import Report, check_dataset
from fieldmark.data.corrections import Applied, apply_decisions, refuse_second_list
from fieldmark.data.dataset import Dataset
from fieldmark.data.opening import OpenedData, open_photos, refuse_missing_splits
from fieldmark.data.reading import corrections_place, read_as_given, read_dataset
from fieldmark.errors import UserError
from fieldmark.on_device import opened_run
from fieldmark.plain import several
from fieldmark.recipe import External

if TYPE_CHECKING:
    from fieldmark.label_audit.audit import Audit, Network
    from fieldmark.label_audit.report import LabelReport
    from fieldmark.label_audit.small_pictures import Pictures


def check(
    data: str | Path,
    *,
    annotation: str = "variant",
    max_megapixels: float = 64.0,
    corrections: str | Path | None = None,
    console: Console = QUIET,
) -> Report:
    """Reads every photo of a dataset and reports damage, duplicates and class sizes, and what to do about each.

    Photos above ``max_megapixels`` are refused unread, as by ``pixels.megapixels`` in training. ``corrections`` is a
    list of corrected labels that does not lie with the photos.
    """
    dataset, opened = _looked_through(data, annotation, max_megapixels, corrections, console)
    return check_dataset(dataset, opened.scan)


def _looked_through(
    data: str | Path, annotation: str, max_megapixels: float, corrections: str | Path | None, console: Console
) -> tuple[Dataset, OpenedData]:
    if not 0 < max_megapixels < math.inf:
        raise UserError(f"--max-megapixels {max_megapixels}: it must be above 0")
    dataset = read_dataset(data, annotation=annotation, corrections=corrections)
    with counted(console, "scanning photos") as tick:
        return dataset, open_photos(dataset, megapixels=max_megapixels, progress=tick)


def check_labels(
    data: str | Path,
    *,
    run: str | Path | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    size: int = 224,
    splits: str | Sequence[str] = "all",
    annotation: str = "variant",
    max_megapixels: float = 64.0,
    corrections: str | Path | None = None,
    device: str = "auto",
    external: External = (),
    console: Console = QUIET,
) -> "LabelReport":
    """``check``, and by a network's features likely wrong labels, look-alike classes, copies, what more photos do.

    Its ``save(folder)`` writes suspects.csv, for the decisions of a person, and suspects.html, to look through.

    Args:
        data: the photographs.
        run: whose network looks at them; one that was trained on them is replaced by the one that it began from.
        backbone: whose pretrained features are taken, without a run; by default the one that ``train`` would choose.
        weights: of the backbone, as for ``train``.
        size: of the images, in pixels; a run has its own.
        splits: whose photos are looked at; several are a list, or joined by "+".
        annotation: which labels to use of a dataset that has several.
        max_megapixels: larger photos are refused unread.
        corrections: a list of corrected labels that does not lie with the photos.
        device: auto, cpu, cuda, cuda:N or mps.
        external: classes of your own that the run's recipe names, or their names.
        console: for progress.

    Raises:
        UserError: a mistake that the user can correct, or cleanlab is not installed.
    """
    from fieldmark.core.device import device_of
    from fieldmark.label_audit.audit import audit
    from fieldmark.label_audit.doubts import refuse_without_cleanlab
    from fieldmark.label_audit.network import known_labels, of_run, pretrained
    from fieldmark.label_audit.report import joined

    refuse_without_cleanlab()
    if size < 1:
        raise UserError(f"--size {size}: it must be at least 1")
    device = device_of(device)
    dataset = read_dataset(data, annotation=annotation, corrections=corrections)
    wanted = _wanted(dataset, splits)
    photos = dataset.of(wanted) if wanted else dataset.photos
    if run is None:
        network = pretrained(backbone, weights, size=size, device=device)
        tell(console, *known_labels(weights, photos))
    else:
        opened_network = opened_run(run, device=device, external=external, console=console)
        network, notes = of_run(opened_network, photos, device=device)
        tell(console, *notes)
    dataset, opened = _looked_through(data, annotation, max_megapixels, corrections, console)
    opened.refuse_damage()
    found = audit(opened, network, splits=wanted, console=console)
    return joined(check_dataset(dataset, opened.scan), found, _drawn(found, network, console))


def _drawn(found: "Audit", network: "Network", console: Console) -> "Pictures":
    """The photos of the sheet."""
    from fieldmark.label_audit.small_pictures import pictures_of, wanted_rows

    rows = wanted_rows(found)
    with counted(console, "drawing the sheet", len(rows)) as tick:
        return pictures_of(found.photos, rows, network.pixels, packed=found.dataset.pixels, progress=tick)


def _wanted(dataset: Dataset, splits: str | Sequence[str]) -> tuple[str, ...]:
    """The splits that are named, () for all; raises ``UserError`` for one that is not there."""
    wanted = tuple("+".join(several(splits)).split("+"))
    if wanted == ("all",):
        return ()
    if not dataset.is_split:
        raise UserError(f"--label-splits {'+'.join(wanted)}: the data have no splits; leave it out")
    refuse_missing_splits(dataset, wanted, source="--label-splits")
    return wanted


def apply_labels(
    data: str | Path,
    decided: str | Path,
    *,
    corrections: str | Path | None = None,
    test: bool = False,
    annotation: str = "variant",
) -> Applied:
    """Turns a person's decisions on labels into the list that every command reads with these photos.

    No photo is touched, and all is as before once the list, ``Applied.place``, is removed.

    Args:
        data: the photographs.
        decided: a suspects.csv with decisions.
        corrections: where the list goes; by default with the photos.
        test: also decide on official test photos, whose labels are left alone otherwise.
        annotation: which labels to use of a dataset that has several.

    Raises:
        UserError: decisions on other photos or labels, unknown or contradictory ones, or none.
    """
    dataset = read_as_given(data, annotation=annotation)
    place = corrections_place(data, dataset, annotation=annotation)
    named = Path(corrections) if corrections else None
    if named:
        refuse_second_list(place, named)
    option = "--corrections" if named else ""
    return apply_decisions(dataset, Path(decided), named or place, option=option, test=test)
