"""Several backbones to choose from: the one is taken whose frozen features tell the training photos apart best.

How good features are is the accuracy, out of fold, of a logistic regression on them (``evaluation/regression.py``).
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from rich.console import Console
from rich.table import Column, Table

from fieldmark.building import Classes, build_learner
from fieldmark.console import counted, tell
from fieldmark.core import processes
from fieldmark.core.contract import Method
from fieldmark.data.dataset import Photo
from fieldmark.data.groups import units_of
from fieldmark.data.opening import OpenedData
from fieldmark.errors import UserError
from fieldmark.evaluation.inference import BATCH, infer
from fieldmark.evaluation.regression import FOLDS, regress
from fieldmark.evaluation.statistics import share_interval
from fieldmark.input.loading import Photographs
from fieldmark.training.automatic import Draft
from fieldmark.training.runlog import clock
from fieldmark.training.settings import RecipeSettings

BUDGET = 600.0
"""Seconds that all candidates may take together; where they would take longer, they see fewer photos of each class."""


@dataclass(frozen=True)
class Candidate:
    """What a backbone's features are worth: ``right`` of ``photos`` out of fold, in ``seconds``."""

    draft: Draft
    right: int
    photos: int
    seconds: float


def candidates_of(settings: RecipeSettings) -> list[RecipeSettings]:
    """The settings once for each backbone that they name, such as "resnet50,convnext_tiny".

    ``weights`` holds one text for all, or as many as there are backbones.

    Raises:
        UserError: another number of weights, or a backbone twice.
    """
    names = [name.strip() for name in (settings.backbone or "").split(",")]
    if len(names) < 2:
        return [settings]
    weights = [text.strip() for text in settings.weights.split(",")] if settings.weights else [None]
    if len(weights) not in (1, len(names)):
        raise UserError(f"--weights: {len(weights)} for {len(names)} backbones; give one for all, or one for each")
    if processes.world()[1] > 1:
        raise UserError("several backbones are compared in one process: choose one first, then start several processes")
    if "" in names or len(set(names)) < len(names):
        raise UserError(f"--backbone {settings.backbone}: name each backbone once, with a comma between them")
    weights *= len(names) // len(weights)
    return [replace(settings, backbone=n, weights=w) for n, w in zip(names, weights, strict=True)]


def best_candidate(
    drafts: Sequence[Draft], data: OpenedData, *, device: str, external: Classes, workers: int, console: Console
) -> Draft:
    """The draft whose backbone has the best features for these photos; the table of all is printed.

    Args:
        drafts: that differ in their backbones.
        data: split; of it only training photos are seen.
        device: as ``device_of`` gives it.
        external: classes of the user's own.
        workers: the number of processes that read photos ahead.
        console: for progress and the table.

    Raises:
        UserError: weights that cannot be read, or not one photo can.
    """
    photos = data.dataset.of(drafts[0].recipe.train_on)
    methods = [_method(draft, data, device, external) for draft in drafts]
    few = photos[:: max(1, len(photos) // BATCH)][:BATCH]
    seconds = sum(_tried_seconds(m, d, few, data) for m, d in zip(methods, drafts, strict=True))
    expected = seconds / len(few) * len(photos)
    chosen = _thinned(photos, share=min(1.0, BUDGET / max(expected, 1e-9)))
    tell(console, f"{len(drafts)} backbones are tried on frozen features of {len(chosen):,} training photos")
    results = [
        _tried(draft, method, chosen, data, workers, console) for draft, method in zip(drafts, methods, strict=True)
    ]
    best = max(results, key=lambda result: (result.right, -result.seconds))
    _print(results, best, console)
    return best.draft


def _method(draft: Draft, data: OpenedData, device: str, external: Classes) -> Method:
    learner = build_learner(draft.recipe, classes=len(data.dataset.classes), external=external)
    return learner.method.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _tried_seconds(method: Method, draft: Draft, photos: Sequence[Photo], data: OpenedData) -> float:
    """How long the features of a few photos take."""
    begun = time.perf_counter()
    infer(method.classifier.pooled, _view(photos, draft, data), method=method)
    return time.perf_counter() - begun


def _view(photos: Sequence[Photo], draft: Draft, data: OpenedData) -> Photographs:
    return Photographs(photos, draft.recipe.pixels, packed=data.dataset.pixels)


def _thinned(photos: Sequence[Photo], *, share: float) -> tuple[Photo, ...]:
    """That share of each class's photos, the first ones, and as many as there are folds at least."""
    by_class: dict[int | None, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_class[photo.label].append(photo)
    return tuple(photo for own in by_class.values() for photo in own[: max(FOLDS, round(share * len(own)))])


def _tried(
    draft: Draft, method: Method, photos: Sequence[Photo], data: OpenedData, workers: int, console: Console
) -> Candidate:
    begun, backbone = time.perf_counter(), draft.recipe.model.backbone
    view = _view(photos, draft, data)
    with counted(console, f"features of {backbone}", len(photos)) as tick:
        features = infer(method.classifier.pooled, view, method=method, workers=workers, progress=tick)
    units, _ = units_of(features.photos, data.scan)
    hits = regress(features.values, features.labels, classes=len(data.dataset.classes), units=units).hits
    if hits is None:
        raise UserError(f"--backbone {backbone}, ...: no class has two photos to compare them by; name one backbone")
    return Candidate(draft, int(hits.sum()), len(hits), time.perf_counter() - begun)


def _print(results: Sequence[Candidate], best: Candidate, console: Console) -> None:
    table = Table(Column("backbone", overflow="fold"), "size", "right out of fold %", "95 % interval", "time", "")
    for result in results:
        share, low, high = share_interval(result.right, result.photos)
        model, pixels = result.draft.recipe.model, result.draft.recipe.pixels
        ends, taken = f"{100 * low:.1f} to {100 * high:.1f}", "taken" if result is best else ""
        table.add_row(model.backbone, str(pixels.eval_size), f"{100 * share:.1f}", ends, clock(result.seconds), taken)
    console.print(table)
