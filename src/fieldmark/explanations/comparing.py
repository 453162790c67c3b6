"""``fieldmark compare``: two photos, or two classes: what tells them apart, and what each photo resembles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fieldmark.data.dataset import Dataset, Photo, Unread
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.evaluate import split_of_run
from fieldmark.evaluation.inference import infer
from fieldmark.explanations.explaining import Asked, explanations_of, label_of
from fieldmark.explanations.explanation import Explanation
from fieldmark.explanations.heatmaps import Question
from fieldmark.explanations.neighbours import neighbours
from fieldmark.explanations.side_by_side import Compared, SideBySide
from fieldmark.images.pictures import Held
from fieldmark.input.loading import Photographs
from fieldmark.runs.folder import Opened

EACH = 2
"""Typical photos of a class, and hardest ones."""


def compare_photos(
    opened: Opened,
    photos: Sequence[Photo],
    *,
    training: Dataset | None,
    pictures: Sequence[Held] = (),
    asked: Asked | None = None,
) -> SideBySide:
    """Two photos: what in each tells the class of the one from that of the other, by the run's answers.

    Where both get one class, the other is the likeliest of the rest over both photos.

    Args:
        opened: the run, its learner on the device to use.
        photos: two.
        training: the run's training photos, for neighbours; None if they are not here.
        pictures: those in memory that ``row`` of a photo indexes.
        asked: classes, if not those of the answers, and the layer.

    Raises:
        UserError: one of them cannot be read, or a class or layer that the run does not have.
    """
    asked = asked or Asked()
    named = [label_of(name, opened.classes) if name else None for name in (asked.of, asked.against)]
    chosen: list[int] = []

    def ask(logits: Tensor) -> list[Question]:
        chosen[:] = _pair(logits, named)
        return questions_of_pair(logits, *chosen)

    explained = list(
        explanations_of(opened, Photographs(photos, opened.recipe.pixels, packed=pictures), ask, asked=asked)
    )
    if unread := next((value for value in explained if isinstance(value, Unread)), None):
        raise UserError(f"{printable(unread.photo.name)} cannot be read: {unread.reason}")
    return _beside(opened, explained, photos, chosen, training=training, pictures=pictures)


def _pair(logits: Tensor, named: Sequence[int | None]) -> list[int]:
    """The two classes: those that are named, else the answers to both photos, logits (2, C)."""
    first, second = (
        name if name is not None else int(best) for name, best in zip(named, logits.argmax(1), strict=True)
    )
    if first != second:
        return [first, second]
    rest = logits.log_softmax(1).sum(0)
    rest[first] = -torch.inf
    other = int(rest.argmax())
    return [other, second] if named[1] is not None else [first, other]


def questions_of_pair(logits: Tensor, first: int, second: int) -> list[Question]:
    """Why the first class and not the second, and the other way round, for each image of logits (B, C)."""
    one, other = (torch.full((len(logits),), label, device=logits.device) for label in (first, second))
    return [Question(one, other), Question(other, one)]


def compare_classes(
    opened: Opened,
    names: tuple[str, str],
    *,
    photos: Dataset,
    training: Dataset | None,
    layer: str,
) -> SideBySide:
    """Two classes: typical photos of each and the hardest ones, and what in them tells the two apart.

    Args:
        opened: the run, its learner on the device to use.
        names: of the classes.
        photos: to choose from, labelled with the run's classes.
        training: the run's training photos, for neighbours; None if they are not here.
        layer: that the heatmaps come from.

    Raises:
        UserError: a class or layer that the run does not have, one class twice, or one without a photo.
    """
    labels = [label_of(name, opened.classes) for name in names]
    if labels[0] == labels[1]:
        raise UserError(f"{printable(names[0])} cannot be told from itself: name two classes")
    asked = Asked(of=names[0], against=names[1], layer=layer)
    chosen = [photo for label, other in (labels, labels[::-1]) for photo in _telling(opened, photos, label, other)]
    views = Photographs(chosen, opened.recipe.pixels, packed=photos.pixels)
    explained = list(explanations_of(opened, views, lambda logits: questions_of_pair(logits, *labels), asked=asked))
    return _beside(opened, explained, chosen, labels, training=training, pictures=photos.pixels)


def _telling(opened: Opened, photos: Dataset, label: int, other: int) -> list[Photo]:
    """The photos of class ``label`` that are surest of it against ``other``, and those that are least."""
    own = [photo for photo in photos.photos if photo.label == label]
    if not own:
        raise UserError(f"there is no photo of {printable(opened.classes[label])} here; name others with --data")
    method = opened.learner.method
    read = infer(method, Photographs(own, opened.recipe.pixels, packed=photos.pixels), method=method)
    order = np.argsort(-(read.values[:, label] - read.values[:, other]), kind="stable").tolist()
    places = order if len(order) <= 2 * EACH else [*order[:EACH], *order[-EACH:]]
    return [read.photos[place] for place in places]


def _beside(
    opened: Opened,
    explained: Sequence[Explanation | Unread],
    photos: Sequence[Photo],
    labels: Sequence[int],
    *,
    training: Dataset | None,
    pictures: Sequence[Held] | np.ndarray | None,
) -> SideBySide:
    names = (opened.classes[labels[0]], opened.classes[labels[1]])
    read = [(value, photo) for value, photo in zip(explained, photos, strict=True) if isinstance(value, Explanation)]
    near = [()] * len(read)
    if training:
        views = Photographs([photo for _, photo in read], opened.recipe.pixels, packed=pictures)
        near = neighbours(opened, views, training, labels)
    notes = () if training else ("the training photos are not here, so no neighbours are shown",)
    rows = tuple(Compared(value, own) for (value, _), own in zip(read, near, strict=True))
    return SideBySide(names, rows, notes)


def photos_for(opened: Opened, data: Path | None, split: str) -> Dataset | None:
    """The photos of a split; None where they are not here."""
    try:
        return split_of_run(opened.path, data, split).dataset
    except UserError:
        return None


def photos_of_classes(opened: Opened, data: Path | None, split: str | None, names: tuple[str, str]) -> Dataset:
    """Photos that have both classes: of a split, or by default of val if it has both, else of train."""
    labels = {label_of(name, opened.classes) for name in names}
    held_out = photos_for(opened, data, "val") if split is None else None
    if held_out and labels <= {photo.label for photo in held_out.photos}:
        return held_out
    return split_of_run(opened.path, data, split or "train").dataset
