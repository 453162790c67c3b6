"""``fieldmark predict``: the classes of photographs, in order, with a reason for each one that cannot be read."""

from collections.abc import Iterator, Sequence

import numpy as np

from fieldmark.confidence.answers import Demands, Sight
from fieldmark.confidence.novelty import max_logits
from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.data.dataset import Photo
from fieldmark.data.opening import refuse_without_boxes
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.inference import in_eval_mode, stream, with_neighbours
from fieldmark.images.pictures import Held
from fieldmark.input.loading import Photographs
from fieldmark.predictions.prediction import Prediction, predictions_of
from fieldmark.runs.folder import Opened


def predict(
    opened: Opened,
    photos: Sequence[Photo],
    *,
    pictures: Sequence[Held] = (),
    top: int = 5,
    workers: int = 0,
    demands: Demands | None = None,
) -> Iterator[Prediction]:
    """One prediction per photo, in order, as soon as it is made.

    Args:
        opened: the run, its learner on the device to use.
        photos: to predict.
        pictures: those in memory that ``row`` of a photo indexes.
        top: the number of classes to report per photo.
        workers: the number of processes that read photos ahead.
        demands: what is asked for beyond classes.

    Raises:
        UserError: a run with ``--fit box`` and a photo without a box, or a ``top`` below 1; at the call.
    """
    if top < 1:
        raise UserError(f"--top {top}: at least 1")
    if opened.recipe.pixels.fit == "box":
        refuse_without_boxes(photos)
    views = Photographs(photos, opened.recipe.pixels, packed=pictures)
    return _predictions(opened, views, top=min(top, len(opened.classes)), workers=workers, demands=demands)


def _predictions(
    opened: Opened, views: Photographs, *, top: int, workers: int, demands: Demands | None
) -> Iterator[Prediction]:
    method = opened.learner.method
    with in_eval_mode(method):
        start = 0
        refusal = demands.refusal if demands else None
        function = with_neighbours(method, refusal.gallery) if refusal else method
        for part in stream(function, views, method=method, workers=workers):
            logits = part.values[:, : len(opened.classes)]
            places, cosines = part.values[:, -2], part.values[:, -1]
            sight = Sight(max_logits(logits), places.astype(np.int64), cosines) if refusal else None
            probabilities = np.exp(log_probabilities(logits, opened.temperature))
            answers = demands.answers(probabilities, sight) if demands else None
            names = [photo.name for photo in views.photos[start : start + len(logits)]]
            lines = {at - start: line for at, line in part.damaged.items()}
            reasons = {row: line.removeprefix(f"{printable(names[row])}: ") for row, line in lines.items()}
            yield from predictions_of(
                names, probabilities, classes=opened.classes, top=top, answers=answers, reasons=reasons
            )
            start += len(names)
