"""``fieldmark probe``: frozen features and logistic regression.

A first answer within the hour, and the second baseline of every table.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from fieldmark.data.dataset import Dataset
from fieldmark.evaluation.inference import Inferred, infer
from fieldmark.evaluation.metrics import Metrics, measure
from fieldmark.evaluation.regression import regress
from fieldmark.input.loading import Photographs
from fieldmark.recipe import Model, Pixels, Recipe


@dataclass(frozen=True)
class Probed:
    """What frozen features are worth.

    ``strength`` is the chosen inverse penalty; ``feature_seconds`` and ``fit_seconds`` are times; ``scores`` (N, C)
    are the log-probabilities and ``labels`` (N,) the classes of ``names``, the evaluated photos that could be read;
    ``trained`` counts the photos fitted on, and ``damaged`` has a line for each photo that could not be read.
    """

    backbone: str
    metrics: Metrics
    strength: float
    feature_seconds: float
    fit_seconds: float
    names: tuple[str, ...]
    labels: np.ndarray
    scores: np.ndarray
    trained: int
    damaged: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The figures as plain data; shares between 0 and 1."""
        figures = self.metrics
        measured = {"top1": figures.top1, "mean_per_class": figures.mean_per_class, "n": figures.n}
        cost = {"feature_seconds": self.feature_seconds, "fit_seconds": self.fit_seconds, "strength": self.strength}
        return {"backbone": self.backbone} | measured | cost | {"damaged": list(self.damaged)}


def print_probed(results: Sequence[Probed], console: Console) -> None:
    """Prints a table, one row per backbone."""
    table = Table(
        Column("backbone", overflow="fold"), "top-1 %", "mean per class %", "photos", "features s", "regression s"
    )
    for result in results:
        shares = (f"{100 * share:.1f}" for share in (result.metrics.top1, result.metrics.mean_per_class))
        seconds = (f"{result.feature_seconds:.0f}", f"{result.fit_seconds:.0f}")
        table.add_row(result.backbone, *shares, str(result.metrics.n), *seconds)
    console.print(table)


def probe(
    dataset: Dataset,
    *,
    backbone: str,
    weights: str,
    train_on: Sequence[str],
    split: str,
    size: int,
    device: str,
    workers: int = 1,
    progress: Callable[[int], object] | None = None,
) -> Probed:
    """Averages the maps of a frozen backbone and fits a multinomial logistic regression to them.

    The penalty is chosen by cross-validation within the training photos, and features are standardised by their
    statistics.

    Args:
        dataset: split.
        backbone: its name.
        weights: initial weights, as for ``train``.
        train_on: splits to fit on.
        split: split to measure on.
        size: height and width of the network's input, in pixels.
        device: as ``device_of`` gives it.
        workers: the number of processes that read photos ahead.
        progress: called with the number of photos just done.

    Raises:
        UserError: none of the photos to fit on, or to measure, can be read.
    """
    from fieldmark.building import build_learner

    begun = time.perf_counter()
    model = Model(backbone=backbone, weights=weights)
    recipe = Recipe(model=model, pixels=Pixels(size=size, eval_size=size))
    method = build_learner(recipe, classes=max(2, len(dataset.classes))).method.to(device)

    def embedded(splits: Sequence[str]) -> Inferred:
        photos = Photographs(dataset.of(splits), recipe.pixels, packed=dataset.pixels)
        return infer(method.classifier.pooled, photos, method=method, workers=workers, progress=progress)

    known, new = embedded(train_on), embedded([split])
    features_done = time.perf_counter()
    fitted = regress(known.values, known.labels, classes=len(dataset.classes))
    scores = fitted.log_probabilities(new.values).astype(np.float32)
    return Probed(
        backbone,
        measure(scores, new.labels),
        fitted.strength,
        feature_seconds=features_done - begun,
        fit_seconds=time.perf_counter() - features_done,
        names=tuple(photo.name for photo in new.photos),
        labels=new.labels,
        scores=scores,
        trained=len(known.photos),
        damaged=tuple(photo.line for photo in (*known.unread, *new.unread)),
    )
