"""``fieldmark add-class``: a network that answers with a further class, from a few photos, without training.

The backbone, all layers and the old classes' rows stay as they are, to the bit. Every layer that scores classes gets a
row more, which is fitted to what that layer is given for photos of the new class and of the old ones (``fitting.py``).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fieldmark.building import Classes
from fieldmark.core.contract import Method
from fieldmark.core.device import moved
from fieldmark.core.learner import Learner
from fieldmark.errors import UserError
from fieldmark.evaluation.inference import in_eval_mode, scored
from fieldmark.input.loading import Batch, Photographs
from fieldmark.new_classes.fitting import Rest, Row, fitted, regressed, threshold
from fieldmark.new_classes.photos import views
from fieldmark.new_classes.widening import scorers_of, with_one_more
from fieldmark.recipe import Recipe
from fieldmark.runs.folder import Opened

VIEWS = 8
"""Random views of each photo of the new class, beside evaluation's; fewer of many photos, at most ``MOST`` in all."""
MOST = 160
FOLDS = 5
"""Parts of the new class's photos that are left out in turn, to see whether they are answered rightly."""


class Widened(NamedTuple):
    """What comes of it: recipe and network, and tensors of the old network that have no place in it.

    Of the new class's photos, ``recalled`` were answered with it when left out, None for a single one; of ``known``
    photos of the old classes that were answered rightly, each in a random view, ``taken`` are answered with it.
    """

    recipe: Recipe
    learner: Learner
    left: dict[str, Tensor]
    recalled: int | None
    known: int
    taken: int


def widen(
    opened: Opened,
    own: Photographs,
    old: Photographs,
    *,
    external: Classes,
    progress: Callable[[int], object] | None = None,
) -> Widened:
    """Adds a class, the last one.

    Args:
        opened: the run, its learner on the device to use.
        own: photos of the new class, all of them readable.
        old: photos of the old classes.
        external: classes of the user's own that the run's recipe names.
        progress: called with the number of old photos just looked at.

    Raises:
        UserError: a network that cannot be widened, or photos that cannot be read.
    """
    classes = len(opened.classes)
    recipe, learner, left = with_one_more(opened.learner, opened.recipe, classes=classes, external=external)
    method = learner.method.to(opened.learner.method.classifier.backbone.mean.device)
    *first, last = method.scorers()
    for group in first:
        _fit(method, group, own, old, progress=progress)
    new, rest, row = _fit(method, last, own, old, progress=progress)
    taken = int(((rest.inputs @ row.weight + row.bias > rest.best) & rest.right).sum())
    return Widened(recipe, learner, left, left_out(new, rest), int(rest.right.sum()), taken)


def _fit(
    method: Method,
    group: Sequence[nn.Linear],
    own: Photographs,
    old: Photographs,
    *,
    progress: Callable[[int], object] | None,
) -> tuple[np.ndarray, Rest, Row]:
    """Fits the rows of a group; returns what the last of its layers is given, and its row.

    What it is given for the new class's views is (n, V, E).
    """
    given = Given(method, group)
    # random views: the network knows these photos too well as they are, and has not seen those that will come
    seen = embedded(given, views(old, [0], workers=int(len(old) > 200)), progress=progress)
    inputs = np.split(seen.values, given.cuts, axis=1)
    new = np.split(views_of(given, own), given.cuts, axis=2)
    rests = [Rest(each, seen.labels, *_rows(layer)) for layer, each in zip(group, inputs, strict=True)]
    rows = [fitted(*pair) for pair in zip(new, rests, strict=True)]
    for layer, row in zip(group, rows, strict=True):
        _fill(layer, row)
    return new[-1], rests[-1], rows[-1]


def left_out(views: np.ndarray, rest: Rest) -> int | None:
    """How many photos are answered with the new class by a row that was fitted without them; None for a single one.

    Args:
        views: (n, V, E) of the new class's photos, evaluation's view first.
        rest: the old classes.
    """
    if len(views) < 2:
        return None
    fold, margin = np.arange(len(views)) % min(len(views), FOLDS), threshold(views, rest)
    right = 0
    for number in range(fold.max() + 1):
        row = regressed(views[fold != number], rest)
        shown = views[fold == number, 0]
        right += int((shown @ row.weight + row.bias - margin > rest.best_of(shown)).sum())
    return right


class Given:
    """What layers that score classes are given for images (B, 3, S, S), side by side, in float32.

    Of a layer that scores several parts of an image, it is what that is given for the first.
    ``cuts`` are where one layer's ends and the next one's begins.
    """

    def __init__(self, method: Method, layers: Sequence[nn.Linear]) -> None:
        self.method, self.layers, self.last = method, layers, scorers_of(method)[-1]
        self.cuts = np.cumsum([layer.in_features for layer in layers])[:-1]

    def __call__(self, images: Tensor) -> Tensor:
        seen: list[tuple[nn.Module, Tensor, Tensor]] = []

        def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen.append((layer, inputs[0], output))

        hooks = [layer.register_forward_hook(keep) for layer in self.layers]
        try:
            logits = scored(self.method, images)[:, : self.method.classifier.classes]
        finally:
            for hook in hooks:
                hook.remove()
        given = {id(layer): inputs for layer, inputs, _ in seen}
        outputs = {id(layer): output for layer, _, output in seen}
        whole = len(given) == len(seen) == len(self.layers) and all(len(each) == len(images) for each in given.values())
        last = outputs.get(id(self.last), logits)
        if not whole or last.shape != logits.shape or not torch.allclose(last, logits, rtol=1e-3, atol=1e-3):
            raise UserError(
                f"{type(self.method).__name__} does not score classes by a linear layer once per image, whose outputs "
                "are its logits;\nsuch a method gets no further class without training: train anew with all classes"
            )
        rows = [given[id(layer)].float() for layer in self.layers]
        return torch.cat([row[:, 0] if row.ndim == 3 else row for row in rows], 1)


class Embedded(NamedTuple):
    """What is given for views of photos, float64 (N, E), and the photos' labels, int64 (N,)."""

    values: np.ndarray
    labels: np.ndarray


def embedded(given: Given, batches: Iterable[Batch], *, progress: Callable[[int], object] | None = None) -> Embedded:
    """What layers are given for the photos of batches; ``progress`` gets the number of photos just done."""
    backbone, values, labels = given.method.classifier.backbone, [], []
    with in_eval_mode(given.method), torch.inference_mode():
        for batch in batches:
            images = backbone.normalise(moved(batch.pixels, backbone.mean.device))
            values.append(given(images).cpu().numpy().astype(np.float64))
            labels.append(batch.labels.numpy())
            if progress:
                progress(len(images))
    return Embedded(np.concatenate(values), np.concatenate(labels))


def views_of(given: Given, photos: Photographs) -> np.ndarray:
    """What layers are given for evaluation's view of each photo, the first, and for random ones: (n, V, E)."""
    count = int(np.clip(MOST // len(photos), 1, VIEWS))
    values = embedded(given, views(photos, range(-1, count))).values
    return np.stack(np.split(values, count + 1), 1)


def _rows(layer: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    """Weight (C, E) and bias (C,) of the old classes, which are all but the last."""
    weight, bias = (tensor.detach().float().cpu().numpy()[:-1] for tensor in (layer.weight, layer.bias))
    return weight.astype(np.float64), bias.astype(np.float64)


@torch.no_grad()
def _fill(layer: nn.Linear, row: Row) -> None:
    """Makes the row that of the last class."""
    layer.weight[-1].copy_(torch.from_numpy(row.weight))
    layer.bias[-1].fill_(row.bias)
