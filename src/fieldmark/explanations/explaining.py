"""``fieldmark explain``: why a run answers as it does, photo by photo, as they come."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.core.device import moved
from fieldmark.data.dataset import Box, Photo, Unread
from fieldmark.data.opening import refuse_without_boxes
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.inference import in_eval_mode
from fieldmark.explanations.explanation import Answer, Explanation, Reason
from fieldmark.explanations.heatmaps import AUTO, GAMMA, Looked, Question, answer_and_rival, look
from fieldmark.explanations.maps import peak
from fieldmark.explanations.regions import boxes_of
from fieldmark.images.pictures import Held
from fieldmark.input.loading import Photographs, batches_of, in_order, loader_of, open_photo
from fieldmark.input.views import Frame, draw, evaluation_frame
from fieldmark.plain import nearest, shown
from fieldmark.runs.folder import Opened, digest_of

BATCH, TOP = 16, 5
SIDE = 448
"""Pixels a side of the pictures that heatmaps are drawn over."""


@dataclass(frozen=True)
class Asked:
    """What to explain of every photo.

    Args:
        of: a class; "" for the likeliest.
        against: another; "" for the likeliest of the rest.
        layer: that the heatmaps come from (``heatmaps.look``).
        gamma: share of the other class's logit.
    """

    of: str = ""
    against: str = ""
    layer: str = AUTO
    gamma: float = GAMMA


class Shown(NamedTuple):
    """A photo as drawn for people, the part of it that is shown, and its width and height."""

    picture: np.ndarray
    frame: Frame
    size: tuple[int, int]


def explain(
    opened: Opened,
    photos: Sequence[Photo],
    *,
    asked: Asked | None = None,
    pictures: Sequence[Held] = (),
    workers: int = 0,
) -> Iterator[Explanation | Unread]:
    """Why each photo gets its answer, and not the next likely one, in order; or why a photo cannot be read.

    Args:
        opened: the run, its learner on the device to use.
        photos: to explain.
        asked: which classes and layer, if not those chosen for every photo.
        pictures: those in memory that ``row`` of a photo indexes.
        workers: the number of processes that read photos ahead.

    Raises:
        UserError: a class or layer that the run does not have, or a run with ``--fit box`` and a photo without a box.
    """
    asked = asked or Asked()
    if opened.recipe.pixels.fit == "box":
        refuse_without_boxes(photos)
    of, against = (label_of(name, opened.classes) if name else None for name in (asked.of, asked.against))
    if of is not None and of == against:
        raise UserError(f"{printable(asked.of)} cannot be told from itself: name two classes")
    return _explanations(opened, Photographs(photos, opened.recipe.pixels, packed=pictures), asked, workers)


def label_of(name: str, classes: Sequence[str]) -> int:
    """The index of a class that the user names.

    Raises:
        UserError: there is none of that name.
    """
    if name in classes:
        return classes.index(name)
    similar = nearest(name, classes)
    advice = f"did you mean {' or '.join(map(shown, similar))}?" if similar else "see classes.json of the run"
    raise UserError(f"the run has no class {shown(name)}; {advice}")


def _explanations(opened: Opened, photos: Photographs, asked: Asked, workers: int) -> Iterator[Explanation | Unread]:
    labels = [label_of(name, opened.classes) if name else None for name in (asked.of, asked.against)]
    return explanations_of(opened, photos, lambda logits: questions(logits, *labels), asked=asked, workers=workers)


def explanations_of(
    opened: Opened,
    photos: Photographs,
    ask: Callable[[Tensor], Sequence[Question]],
    *,
    asked: Asked,
    workers: int = 0,
) -> Iterator[Explanation | Unread]:
    """The same with questions of one's own, as for ``heatmaps.look``; ``asked`` says which layer."""
    method, run = opened.learner.method, digest_of(opened.path)
    backbone, device = method.classifier.backbone, method.classifier.backbone.mean.device
    with in_eval_mode(method):
        for batch in batches_of(loader_of(photos, in_order(len(photos), BATCH), workers=workers)):
            images = backbone.normalise(moved(batch.pixels, device))
            looked = look(method, images, ask, gamma=asked.gamma, layer=asked.layer)
            damaged = dict(batch.damaged)
            for row, index in enumerate(batch.indices.tolist()):
                photo = photos.photos[index]
                if index in damaged:
                    yield Unread(photo, damaged[index].removeprefix(f"{printable(photo.name)}: "))
                else:
                    large = shown_photo(photos, index)
                    yield _explanation(opened, photo, looked, row, large, run=run, asked=asked)


def questions(logits: Tensor, of: int | None, against: int | None) -> list[Question]:
    """Why class ``of``, and why it rather than ``against``: of logits (B, C); None is the likeliest of the rest."""
    if of is None and against is None:
        return answer_and_rival(logits)
    rest = logits.clone()
    if against is not None:
        rest[:, against] = -torch.inf
    first = rest.argmax(1) if of is None else torch.full_like(logits[:, 0], of, dtype=torch.long)
    rest.scatter_(1, first[:, None], -torch.inf)
    second = rest.argmax(1) if against is None else torch.full_like(first, against)
    return [Question(first), Question(first, second)]


def shown_photo(photos: Photographs, index: int) -> Shown:
    """A photo that can be read, as people see it."""
    photo, pixels = photos.photos[index], replace(photos.pixels, eval_size=SIDE)
    image = open_photo(photo, packed=photos.packed, limits=photos.limits)
    frame = evaluation_frame(image.size, pixels, photo.box)
    return Shown(draw(image, frame, SIDE), frame, image.size)


def _explanation(
    opened: Opened, photo: Photo, looked: Looked, row: int, large: Shown, *, run: str, asked: Asked
) -> Explanation:
    logits = looked.evidence.logits[row : row + 1].float().cpu().numpy()
    probabilities = np.exp(log_probabilities(logits, opened.temperature))[0]
    best = np.argsort(-probabilities, kind="stable")[:TOP]
    return Explanation(
        photo=photo.name,
        run=run,
        layer=asked.layer,
        gamma=asked.gamma,
        answers=tuple(Answer(opened.classes[label], float(probabilities[label])) for label in best),
        reasons=tuple(_reason(opened.classes, looked, number, row, large) for number in range(len(looked.questions))),
        picture=large.picture,
        frame=large.frame,
    )


def _reason(classes: Sequence[str], looked: Looked, number: int, row: int, large: Shown) -> Reason:
    """The answer to one question about one image, in words and in pixels of the photo."""
    question, heatmap = looked.questions[number], looked.heatmaps[number][row].float().cpu()
    frame, point = large.frame, peak(heatmap[None])[0].tolist()
    corners = boxes_of(heatmap[None].numpy()).reshape(2, 2) * (frame.width, frame.height) + (frame.left, frame.top)
    (left, top), (right, bottom) = np.clip(corners, 0, large.size).tolist()
    return Reason(
        name=classes[int(question.classes[row])],
        against="" if question.against is None else classes[int(question.against[row])],
        heatmap=heatmap.numpy(),
        point=(frame.left + point[0] * frame.width, frame.top + point[1] * frame.height),
        box=Box(left, top, right - left, bottom - top) if right > left and bottom > top else None,
        strength=float(looked.strengths[number][row]),
    )
