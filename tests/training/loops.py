"""A training loop on few photos, in one session or in several, and methods that misbehave."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

import small_runs
from fieldmark.batches import Shuffled
from fieldmark.building import build_learner, classes_named
from fieldmark.core.classifier import Classifier
from fieldmark.core.contract import Encoded, Method, TrainOutput
from fieldmark.core.criterion import Criterion
from fieldmark.core.draws import Draws
from fieldmark.data.reading import read_dataset
from fieldmark.errors import Interrupted
from fieldmark.input.loading import Photographs
from fieldmark.papers.plain import Plain
from fieldmark.recipe import Cosine, Model, Part, Pixels, Recipe, Sgd, Stage, external_name
from fieldmark.runs.checkpoint import load_state
from fieldmark.training.loop import Loop
from fieldmark.training.runlog import RunLog
from fieldmark.training.session import fabric_of

MODEL = Model(backbone=small_runs.BACKBONE, weights="none")
STAGE = Stage(2, Sgd(lr=0.05), Cosine())
RECIPE = Recipe(MODEL, Pixels(32, 32), Shuffled(8), (STAGE,), ema=0.9, precision="fp32", seed=3)
"""Of the 30 photos three batches make an epoch: six steps."""


class Noisy(Method):
    """Drops parts of the embedding by torch's own generator, as layers inside a backbone do."""

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(images)

    def encode(self, images: Tensor, draws: Draws) -> Encoded:
        features = self.classifier.features(images)
        logits = self.classifier.head(F.dropout(features.embedding, 0.5, self.training))
        return Encoded(features, logits, {})

    def objective(self, encoded: Encoded, labels: Tensor, draws: Draws) -> TrainOutput:
        loss = {"cross_entropy": self.criterion(encoded.logits, labels)}
        return TrainOutput(loss, encoded.logits, labels, encoded.features, {})


class Poisoned(Method):
    """Plain, but for a second loss that is NaN, or that has a NaN gradient, at some steps."""

    def __init__(self, classifier: Classifier, criterion: Criterion, at: Sequence[int], gradient: bool = False) -> None:
        super().__init__(classifier, criterion)
        self.at, self.gradient = tuple(at), gradient

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(images)

    def encode(self, images: Tensor, draws: Draws) -> Encoded:
        features = self.classifier.features(images)
        return Encoded(features, features.logits, {})

    def objective(self, encoded: Encoded, labels: Tensor, draws: Draws) -> TrainOutput:
        losses = {"cross_entropy": self.criterion(encoded.logits, labels), "poison": 0 * encoded.logits.sum()}
        if draws.step in self.at:
            bad = (0 * encoded.logits.sum()).sqrt() if self.gradient else torch.full((), float("nan"))
            losses["poison"] = losses["poison"] + bad
        return TrainOutput(losses, encoded.logits, labels, encoded.features, {})


class Telling(Plain):
    """Plain, with a figure to log: 3, or infinity."""

    def __init__(self, classifier: Classifier, criterion: Criterion, finite: bool = True) -> None:
        super().__init__(classifier, criterion)
        self.figure = 3.0 if finite else float("inf")

    def objective(self, encoded: Encoded, labels: Tensor, draws: Draws) -> TrainOutput:
        output = super().objective(encoded, labels, draws)
        return output._replace(figures={"told": torch.full((), self.figure)})


OWN = classes_named([Noisy, Poisoned, Telling])


class Recorder(RunLog):
    """Keeps what the loop is after each step, and all notes."""

    def __init__(self, run: Path) -> None:
        super().__init__(run, console=Console(quiet=True))
        self.notes: list[str] = []
        self.states: list[dict[str, Any]] = []
        self.loop: Loop | None = None

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, images: int, step: int, seconds: float) -> None:
        super().step(images, step, seconds)
        if self.loop is not None:
            self.states.append(copy.deepcopy(self.loop.state()))


def with_method(kind: type[Method], recipe: Recipe = RECIPE, **options: object) -> Recipe:
    return replace(recipe, model=replace(recipe.model, method=Part(external_name(kind), options)))


def make_loop(data: Path, run: Path, recipe: Recipe = RECIPE, log: RunLog | None = None) -> Loop:
    """A loop over all photos of a folder, on the processor."""
    run.mkdir(parents=True, exist_ok=True)
    dataset = read_dataset(data)
    photos = Photographs(dataset.photos, recipe.pixels, seed=recipe.seed)
    learner = build_learner(recipe, classes=len(dataset.classes), external=OWN)
    learner.method.classifier.backbone.freeze(stages=recipe.frozen_stages, norms=recipe.frozen_norms)
    return Loop(learner, recipe, fabric=fabric_of(recipe, "cpu"), photos=photos, run=run, log=log or Recorder(run))


def session(
    data: Path, run: Path, recipe: Recipe = RECIPE, *, workers: int = 0, start: str | None = None
) -> Loop | None:
    """Goes on from the state in ``run``, if there is one; None where the session was interrupted."""
    loop = make_loop(data, run, recipe)
    if (state := load_state(run)) is not None:
        loop.restore(state)
    loop.log.begin(steps=recipe.epochs * loop.plan.per_epoch, per_epoch=loop.plan.per_epoch, done=loop.position.step)
    try:
        loop.train(workers=workers, start=start, validate=lambda: {"val_top1": 0.5})
    except Interrupted:
        return None
    return loop


def tensors(value: Any, name: str = "") -> dict[str, Tensor]:
    """All tensors of a nested value by their place in it; what depends on the clock is left out."""
    if isinstance(value, Tensor):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    return {key: found for inner, one in items for key, found in tensors(one, f"{name}/{inner}").items()}


def differing(one: Any, other: Any) -> list[str]:
    """The tensors of two nested values that are not equal, bit for bit."""
    a, b = tensors(one), tensors(other)
    assert a.keys() == b.keys()
    return [name for name, value in a.items() if not torch.equal(value, b[name])]
