"""The training photos that a network finds most like another photo."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fieldmark.data.dataset import Dataset, Photo
from fieldmark.evaluation.inference import Inferred, infer
from fieldmark.explanations.explaining import shown_photo
from fieldmark.input.loading import Photographs
from fieldmark.runs.folder import Opened


class Neighbour(NamedTuple):
    """The training photo of a class that is nearest to another photo.

    ``similarity`` is the cosine of the two embeddings; ``picture`` uint8 (S, S, 3).
    """

    photo: str
    name: str
    similarity: float
    picture: np.ndarray


def neighbours(
    opened: Opened, photos: Photographs, training: Dataset, labels: Sequence[int]
) -> list[tuple[Neighbour, ...]]:
    """For each photo, of each class the nearest training photo that is not the photo itself.

    Args:
        opened: the run, its learner on the device to use.
        photos: that can be read.
        training: labelled with the run's classes.
        labels: of the classes; one without another photo has no neighbour.
    """
    own = _embedded(opened, photos).values
    near: list[tuple[Neighbour, ...]] = [()] * len(photos)
    for label in labels:
        of_class = [photo for photo in training.photos if photo.label == label]
        if not of_class:
            continue
        others = _embedded(opened, Photographs(of_class, opened.recipe.pixels, packed=training.pixels))
        similar = own @ others.values.T
        for row, photo in enumerate(photos.photos):
            different = [at for at, other in enumerate(others.photos) if not _is_same(other, photo)]
            if different:
                best = max(different, key=lambda at: similar[row, at])
                views = Photographs([others.photos[best]], opened.recipe.pixels, packed=training.pixels)
                found = Neighbour(
                    others.photos[best].name,
                    opened.classes[label],
                    float(similar[row, best]),
                    shown_photo(views, 0).picture,
                )
                near[row] = (*near[row], found)
    return near


def _is_same(first: Photo, second: Photo) -> bool:
    if first.row >= 0 or second.row >= 0:
        return first == replace(second, split=first.split)
    return first.path.resolve() == second.path.resolve()


def _embedded(opened: Opened, photos: Photographs) -> Inferred:
    """Embeddings of length 1, (N, E), of those photos that can be read."""
    method = opened.learner.method
    read = infer(lambda images: method.classifier.features(images).embedding, photos, method=method)
    lengths = np.linalg.norm(read.values, axis=1, keepdims=True)
    return read._replace(values=read.values / np.maximum(lengths, 1e-12))
