"""How a run begins: its head as a logistic regression on the pretrained features, below which training does not start.

From a zero head at a large rate, fine-tuning first spoils good features (Kumar et al., ICLR 2022, arXiv:2202.10054).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console

from fieldmark.console import counted, working
from fieldmark.core import processes
from fieldmark.core.contract import Method
from fieldmark.data.dataset import SPLITS, Dataset
from fieldmark.data.groups import units_of
from fieldmark.data.opening import OpenedData
from fieldmark.evaluation.inference import Inferred, infer
from fieldmark.evaluation.regression import Regression, regress
from fieldmark.evaluation.statistics import share_interval
from fieldmark.evaluation.training_photos import known_to
from fieldmark.input.loading import Photographs
from fieldmark.recipe import Recipe
from fieldmark.runs.folder import Start

FEW = 50
"""Photos per class below which the photos that a cut leaves for measuring decide little."""


class Begun(NamedTuple):
    """How good the probe is, and the ``features`` (N, E) of the photos that were looked at.

    ``share`` is that of the training photos alone, by which the length may be chosen: None where it cannot be told.
    """

    start: Start
    features: Inferred
    share: float | None


def begin_as_probe(method: Method, data: OpenedData, recipe: Recipe, *, workers: int, console: Console) -> Begun:
    """Fits a regression to the training photos and makes the method answer as it does; says how good it is.

    The accuracy is out of fold, over the training photos; where Fieldmark cut the data and photos are few, over all of
    them, in all splits.

    Args:
        method: new, on its device.
        data: split.
        recipe: of the run.
        workers: the number of processes that read photos ahead.
        console: for progress.

    Raises:
        UserError: a neck or head that cannot begin so, or not one photo can be read.
    """
    dataset, classes = data.dataset, len(data.dataset.classes)
    measured = splits_of_start(data, recipe)
    photos = Photographs(dataset.of(measured), recipe.pixels, packed=dataset.pixels)
    with counted(console, "features", len(photos)) as tick:
        features = infer(method.classifier.pooled, photos, method=method, workers=workers, progress=tick)
    trained = np.array([photo.split in recipe.train_on for photo in features.photos])

    def fit() -> tuple[Regression, Start, float | None]:
        units, _ = units_of(features.photos, data.scan)
        fitted = _fitted(features, units, trained, classes)
        whole = fitted if trained.all() else _fitted(features, units, np.ones_like(trained), classes)
        hits = whole.hits if whole.hits is not None else np.zeros(0, dtype=bool)
        logits = features.values[trained] @ fitted.weight.T + fitted.bias
        # a class without photos gets a logit that is nowhere the largest, and that training can raise
        fitted.bias[np.isneginf(fitted.bias)] = logits[np.isfinite(logits)].min()
        known = len(known_to(recipe.model.weights, features.photos))
        start = Start(measured, len(hits), int(hits.sum()), fitted.strength, known)
        share = None if fitted.hits is None or known else float(fitted.hits.mean())
        return fitted, start, share

    with working(console, "fitting the head to them"):
        fitted, start, share = processes.from_first(fit)
    device = method.classifier.backbone.mean.device
    method.adopt(*(torch.from_numpy(value).float().to(device) for value in (fitted.weight, fitted.bias)))
    return Begun(start, features, share)


def splits_of_start(data: OpenedData, recipe: Recipe) -> tuple[str, ...]:
    """The splits whose photos are looked at before training: all, where Fieldmark cut the data and photos are few."""
    dataset = data.dataset
    is_few = data.was_cut and len(dataset.of(recipe.train_on)) < FEW * len(dataset.classes)
    return tuple(split for split in SPLITS if dataset.of(split)) if is_few else tuple(recipe.train_on)


def _fitted(features: Inferred, units: np.ndarray, chosen: np.ndarray, classes: int) -> Regression:
    return regress(features.values[chosen], features.labels[chosen], classes=classes, units=units[chosen])


def start_lines(start: Start, dataset: Dataset) -> Iterator[str]:
    """What the probe shows, for the user."""
    if not start.photos:
        yield "the head starts as a probe; how good that is cannot be told, as no class has two photos"
        return
    if start.known:
        seen = f"the weights were trained on {start.known:,} of the {start.photos:,} photos"
        yield f"the head starts as a probe; how good that is cannot be told, as {seen}"
        return
    share, low, high = share_interval(start.right, start.photos)
    splits = " + ".join(start.splits)
    yield f"the head starts as a probe, out of fold right on {share:.1%} of {start.photos:,} photos of {splits}"
    fewest = min(len(dataset.of(split)) for split in ("val", "test"))
    if len(start.splits) == len(SPLITS) and fewest:
        few = share_interval(round(share * fewest), fewest)
        half = 100 * (few.high - few.low) / 2
        interval = f"95 % interval: {low:.1%} to {high:.1%}"
        yield f"trust that figure ({interval}): {fewest:,} photos alone tell it to ± {half:.0f} points"
