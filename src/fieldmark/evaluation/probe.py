"""``fieldmark probe``: frozen features and logistic regression.

A first answer within the hour, and the second baseline of every table.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from fieldmark.data.dataset import Dataset
from fieldmark.evaluation.inference import Inferred, infer
from fieldmark.evaluation.metrics import Metrics, measure
from fieldmark.input.loading import Photographs
from fieldmark.recipe import Model, Pixels, Recipe

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Inverse strengths of the penalty that cross-validation within the training photos tries."""


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
    table = Table("backbone", "top-1 %", "mean per class %", "photos", "features s", "regression s")
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
        size: of the images, in pixels.
        device: as ``device_of`` gives it.
        workers: processes that read photos ahead.
        progress: called with the number of photos just done.

    Raises:
        UserError: none of the photos to fit on, or to measure, can be read.
    """
    from fieldmark.building import build_learner

    begun = time.perf_counter()
    model = Model(backbone=backbone, weights=weights)
    recipe = Recipe(model=model, pixels=Pixels(size=size, eval_size=size))
    method = build_learner(recipe, classes=max(2, len(dataset.classes))).method.to(device)

    def embed(images: torch.Tensor) -> torch.Tensor:
        return method.classifier.features(images).embedding

    def embedded(splits: Sequence[str]) -> Inferred:
        photos = Photographs(dataset.of(splits), recipe.pixels, packed=dataset.pixels)
        return infer(embed, photos, method=method, workers=workers, progress=progress)

    known, new = embedded(train_on), embedded([split])
    features_done = time.perf_counter()
    scores, strength = _regress(known.values, known.labels, new.values, classes=len(dataset.classes))
    return Probed(
        backbone,
        measure(scores, new.labels),
        strength,
        feature_seconds=features_done - begun,
        fit_seconds=time.perf_counter() - features_done,
        names=tuple(photo.name for photo in new.photos),
        labels=new.labels,
        scores=scores,
        trained=len(known.photos),
        damaged=tuple(photo.line for photo in (*known.unread, *new.unread)),
    )


def _regress(x: np.ndarray, y: np.ndarray, x_new: np.ndarray, *, classes: int) -> tuple[np.ndarray, float]:
    """Log-probabilities float32 (N, C) of new rows, and the strength that cross-validation chose."""
    x, x_new = x.astype(np.float64), x_new.astype(np.float64)
    scaler = StandardScaler().fit(x)
    x, x_new = np.asarray(scaler.transform(x)), np.asarray(scaler.transform(x_new))
    strength, folds = STRENGTHS[1], min(3, int(np.unique(y, return_counts=True)[1].min()))
    if folds >= 2:  # no class with a single photo
        cuts = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(x, y))
        hits = [sum(np.sum(_fit(x[a], y[a], c).predict(x[b]) == y[b]) for a, b in cuts) for c in STRENGTHS]
        strength = STRENGTHS[int(np.argmax(hits))]
    fitted = _fit(x, y, strength)
    scores = np.full((len(x_new), classes), -np.inf)
    scores[:, fitted.classes_] = fitted.predict_log_proba(x_new)
    return scores.astype(np.float32), strength


def _fit(x: np.ndarray, y: np.ndarray, strength: float) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 200 iterations are enough for a probe
        return LogisticRegression(C=strength, max_iter=200).fit(x, y)
