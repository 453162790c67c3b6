"""``fieldmark evaluate RUN --against RUN2``: the second run on the first one's photos."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldmark.data.dataset import Unread, composed
from fieldmark.data.opening import OpenedData, refuse_without_boxes
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.comparison import Comparison
from fieldmark.evaluation.evaluate import Evaluation, refuse_unlogged, relabelled
from fieldmark.evaluation.training_photos import trained_on
from fieldmark.runs.folder import read_run

SHOWN = 5
"""Class names that a refusal has of each run."""


class Pairing(NamedTuple):
    """Two runs about to answer the same photos.

    ``runs`` are their folders; ``photos`` those of the first run, in order, their labels being indices of the second
    one's classes; ``trained_on`` are the names of the photos that each run was trained on.
    """

    runs: tuple[Path, Path]
    photos: OpenedData
    trained_on: tuple[frozenset[str], frozenset[str]]


def pairing(run: Path, other: Path, chosen: OpenedData, *, split: str) -> Pairing:
    """Another run for the photos that were chosen for a run; no network is read and no photo decoded.

    Args:
        run: the first run's folder.
        other: the folder of the run that it is measured against.
        chosen: the photos, as ``split_of_run`` gives them for the first run.
        split: the name of the split.

    Raises:
        UserError: not a run, other classes, photos without the boxes that it needs, or a log that cannot be written.
    """
    recipe, classes, _ = read_run(other)
    dataset, runs = chosen.dataset, (run, other)
    _refuse_other_classes(dataset.classes, classes, runs=runs)
    if recipe.pixels.fit == "box":
        refuse_without_boxes(dataset.photos)
    refuse_unlogged(other, split)
    first, second = (trained_on(each, dataset.photos) for each in runs)
    return Pairing(runs, OpenedData(relabelled(dataset, classes), chosen.scan), (first, second))


def _refuse_other_classes(first: Sequence[str], second: Sequence[str], *, runs: tuple[Path, Path]) -> None:
    names, others = (set(map(composed, classes)) for classes in (first, second))
    if names == others:
        return
    alone = zip(runs, (names - others, others - names), strict=True)
    told = [f"{_some(sorted(own))} only in {printable(str(run))}" for run, own in alone if own]
    raise UserError(
        f"--against: the runs have different classes: {'; '.join(told)};\n"
        "only runs of the same classes can be compared photo by photo"
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(repr(printable(name)) for name in names[:SHOWN]) + more


def compared(first: Evaluation, second: Evaluation, pair: Pairing) -> Comparison:
    """What two runs say about the photos that both could read.

    Args:
        first: of the run.
        second: of the one that it is measured against, on the photos of ``pair``.
        pair: the two runs.

    Raises:
        UserError: there is no photo that both could read.
    """
    rows, others = ({name: at for at, name in enumerate(each.names)} for each in (first, second))
    common = [name for name in rows if name in others]
    if not common:
        raise UserError("--against: there is no photo that both runs can read; `fieldmark check` says what is wrong")
    index = {composed(name): label for label, name in enumerate(first.classes)}
    renumbered = np.array([index[composed(name)] for name in second.classes])
    own, other = [rows[name] for name in common], [others[name] for name in common]
    # what the first run could not read either is told as its own
    unread = [Unread(first.photos[rows[photo.name]], why) for photo, why in second.unread if photo.name in rows]
    trained = [len(names.intersection(common)) for names in pair.trained_on]
    return Comparison(
        runs=(str(pair.runs[0]), str(pair.runs[1])),
        classes=first.classes,
        photos=tuple(first.photos[at] for at in own),
        labels=first.labels[own],
        predicted=np.stack([first.logits[own].argmax(1), renumbered[second.logits[other].argmax(1)]]),
        headline=first.headline,
        left_out=(first.unread, tuple(unread)),
        trained_on=(trained[0], trained[1]),
    )
