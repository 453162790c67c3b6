"""Looks at the labels of photos by a network's features: what ``fieldmark check --labels`` does beyond ``check``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from fieldmark.console import counted, working
from fieldmark.core.contract import Method
from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.groups import units_of
from fieldmark.data.opening import OpenedData
from fieldmark.errors import UserError
from fieldmark.evaluation.inference import Inferred, infer
from fieldmark.input.loading import Photographs
from fieldmark.label_audit.doubts import Pair, confusable, doubted
from fieldmark.label_audit.growth import Curve, Growth, growth_of
from fieldmark.label_audit.likeness import likeness_of, unlike_their_class
from fieldmark.label_audit.out_of_fold import Predicted, cuts_of, fits_of, predict_out_of_fold, standardised
from fieldmark.recipe import Pixels


class Network(NamedTuple):
    """What looks at the photos: a method on its device, its pixels, and its name for the user."""

    method: Method
    pixels: Pixels
    name: str


class Suspect(NamedTuple):
    """A photo whose label a person should look at.

    ``row`` is the photo's position in the audit; ``suggested`` the likelier class, None where there is none;
    ``credible`` the probability of the given class out of fold, nan where it could not be judged; ``why`` in words.
    """

    row: int
    suggested: int | None
    credible: float
    why: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """What features say of labels.

    ``photos`` are the N photos that were looked at and ``labels`` (N,) theirs; ``predicted`` is out of fold; ``doubts``
    are positions of likely label errors, the least credible first, ``unlike`` of photos unlike their class, the
    farthest first; ``copies`` are clusters of positions; ``pairs`` of classes are taken for each other; ``growth``
    says what more photos of each class would do, by ``curve``; ``unread`` has a line for each photo that could not be
    read.
    """

    dataset: Dataset
    network: str
    photos: tuple[Photo, ...]
    labels: np.ndarray
    predicted: Predicted
    doubts: np.ndarray
    unlike: np.ndarray
    copies: tuple[tuple[int, ...], ...]
    pairs: tuple[Pair, ...]
    curve: Curve | None
    growth: tuple[Growth, ...]
    unread: tuple[str, ...]

    def class_of(self, row: int) -> str:
        """The class that the data give a photo."""
        return self.dataset.classes[int(self.labels[row])]

    def credible(self, row: int) -> float:
        """The probability of the given class out of fold; nan where it could not be judged."""
        judged = self.predicted.judged[row]
        return float(self.predicted.probabilities[row, self.labels[row]]) if judged else float("nan")

    @property
    def copies_of_two_classes(self) -> list[tuple[int, ...]]:
        """The clusters of copies that have more than one label."""
        return [cluster for cluster in self.copies if len(set(self.labels[list(cluster)].tolist())) > 1]

    @property
    def copies_across_splits(self) -> list[tuple[int, ...]]:
        """The clusters of one label that several splits share."""
        several = (cluster for cluster in self.copies if cluster not in self.copies_of_two_classes)
        return [cluster for cluster in several if len({self.photos[at].split for at in cluster} - {""}) > 1]

    @property
    def other_copies(self) -> list[tuple[int, ...]]:
        """The clusters of one label in one split."""
        told = {*self.copies_of_two_classes, *self.copies_across_splits}
        return [cluster for cluster in self.copies if cluster not in told]

    @cached_property
    def suspects(self) -> tuple[Suspect, ...]:
        """The photos to look at, each once: likely errors, copies under two labels, photos unlike their class."""
        reasons: dict[int, list[str]] = {}
        for row, why in self._reasons():
            reasons.setdefault(row, []).append(why)
        likeliest, wrong = self.predicted.labels, set(self.doubts.tolist())
        return tuple(
            Suspect(row, int(likeliest[row]) if row in wrong else None, self.credible(row), tuple(why))
            for row, why in reasons.items()
        )

    def _reasons(self) -> Iterator[tuple[int, str]]:
        for row in self.doubts.tolist():
            yield row, "looks like the suggested class"
        for cluster in self.copies_of_two_classes:
            for row in cluster:
                other = next(at for at in cluster if self.labels[at] != self.labels[row])
                yield row, f"like {self.photos[other].name}, which is {self.class_of(other)}"
        for row in self.unlike.tolist():
            yield row, "unlike the other photos of its class"

    def typical(self, label: int) -> int | None:
        """The photo of a class that is most surely of it, no suspect; None where there is none."""
        sure = np.where(self.predicted.judged & (self.labels == label), self.predicted.probabilities[:, label], -1.0)
        sure[[suspect.row for suspect in self.suspects]] = -1.0
        best = int(sure.argmax())
        return best if sure[best] >= 0 else None

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data; shares between 0 and 1."""
        names, classes = [photo.name for photo in self.photos], self.dataset.classes
        return {
            "features": self.network,
            "photos": len(names),
            "out_of_fold_top1": float(self.predicted.hits[-1].mean()),
            "suspects": [
                {
                    "file": names[suspect.row],
                    "split": self.photos[suspect.row].split,
                    "given": self.class_of(suspect.row),
                    "suggested": None if suspect.suggested is None else classes[suspect.suggested],
                    "credible": None if np.isnan(suspect.credible) else suspect.credible,
                    "why": list(suspect.why),
                }
                for suspect in self.suspects
            ],
            "copies": [[names[at] for at in cluster] for cluster in self.copies],
            "confusable": [
                pair._asdict() | {"first": classes[pair.first], "second": classes[pair.second]} for pair in self.pairs
            ],
            "curve": None
            if self.curve is None
            else {"mistakes": list(self.curve.mistakes), "exponent": self.curve.exponent._asdict()},
            "classes": [
                each._asdict() | {"label": classes[each.label], "gain": each.gain and each.gain._asdict()}
                for each in self.growth
            ],
            "unread": list(self.unread),
        }


def audit(
    opened: OpenedData, network: Network, *, splits: Sequence[str] = (), workers: int = 1, console: Console
) -> Audit:
    """Looks at the labels of photos, by a network that has not been trained on them, if the figures are to be right.

    Args:
        opened: the photos.
        network: of which the pooled maps are the features.
        splits: whose photos are looked at; none for all.
        workers: the number of processes that read photos ahead.
        console: for progress.

    Raises:
        UserError: not one photo can be read, or there are no two classes with two photos that do not belong together.
    """
    dataset = opened.dataset
    photos = [photo for photo in dataset.photos if photo.label is not None and (not splits or photo.split in splits)]
    _refuse_few([photo.label for photo in photos])
    views = Photographs(photos, network.pixels, packed=dataset.pixels)
    with counted(console, "features", len(photos)) as tick:
        method = network.method
        read = infer(method.classifier.pooled, views, method=method, workers=workers, progress=tick)
    _refuse_few(read.labels.tolist())
    with working(console, "looking for copies"):
        units, _ = units_of(read.photos, opened.scan)
    return audit_features(dataset, read, units, network=network.name, console=console)


def audit_features(dataset: Dataset, read: Inferred, units: np.ndarray, *, network: str, console: Console) -> Audit:
    """The same of features (N, E) that are there; photos of one of the ``units`` (N,) share a fold."""
    labels, features = read.labels, standardised(read.values)
    cuts = cuts_of(labels, units)
    if not cuts:
        raise UserError(
            "labels can be doubted only where two classes have two photos each that do not belong together;\n"
            "add photos, or leave out --labels"
        )
    with counted(console, "regressions", fits_of(cuts)) as tick:
        predicted = predict_out_of_fold(features, labels, cuts, classes=len(dataset.classes), progress=tick)
    with working(console, "looking at labels"):
        doubts = doubted(predicted, labels)
        likeness = likeness_of(features, labels, units)
        unlike = unlike_their_class(likeness, labels)
    # with doubted photos: all are mistakes of the fit to all photos, so the curve would fall too steeply without them
    judged = predicted.judged
    curve, growth = growth_of(predicted.hits[:, judged], labels[judged], classes=len(dataset.classes))
    return Audit(
        dataset=dataset,
        network=network,
        photos=read.photos,
        labels=labels,
        predicted=predicted,
        doubts=doubts,
        unlike=unlike,
        copies=tuple(likeness.copies),
        pairs=tuple(confusable(predicted, labels, doubts)),
        curve=curve,
        growth=tuple(growth),
        unread=tuple(photo.line for photo in read.unread),
    )


def _refuse_few(labels: Sequence[int | None]) -> None:
    if len(set(labels)) < 2:
        raise UserError("labels can be doubted only where there are photos of at least two classes")
