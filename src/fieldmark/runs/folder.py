"""The folder of a run: what it holds and how it is opened again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from fieldmark.building import build_learner, classes_named
from fieldmark.core.contract import Method
from fieldmark.core.learner import Learner
from fieldmark.data.dataset import Box
from fieldmark.errors import UserError
from fieldmark.files import write_json, write_text
from fieldmark.images.decode import opened_image, read_image
from fieldmark.images.guard import up_to
from fieldmark.input.views import evaluation_view
from fieldmark.recipe import Pixels, Recipe, recipe_from_json, recipe_to_json
from fieldmark.runs.checkpoint import load_model

RECIPE, CLASSES, ABOUT, SCAN = "recipe.json", "classes.json", "run.json", "scan.json"
ABOUT_KEYS = ("data", "annotation", "data_digest", "headline", "cut")
FORMAT_VERSION = 1


class Transform:
    """From a picture to the network's input, as evaluation sees it.

    Args:
        pixels: the recipe's.
        mean: (3,) of images in [0, 1].
        std: (3,).
    """

    def __init__(self, pixels: Pixels, *, mean: Tensor, std: Tensor) -> None:
        self.pixels, self.mean, self.std = pixels, mean.cpu().clone(), std.cpu().clone()

    def __call__(self, image: Image.Image | str | Path, box: Box | None = None) -> Tensor:
        """A photo's file, or a picture that Pillow opened, to a normalised float32 tensor (3, S, S).

        Both are made upright RGB as ``predict`` makes them; ``box``, in pixels of the upright picture, is needed where
        ``fit`` is "box".

        Raises:
            UserError: a file that cannot be read, or no box.
        """
        if isinstance(image, Image.Image):
            picture = opened_image(image)
        else:
            picture = read_image(Path(image), limits=up_to(self.pixels.megapixels))
        view = torch.from_numpy(evaluation_view(picture, self.pixels, box).copy())
        mean, scale = 255 * self.mean, 1 / (255 * self.std)  # in this order, as evaluation computes it, bit for bit
        return (view.permute(2, 0, 1).float() - mean[:, None, None]) * scale[:, None, None]


class Loaded(NamedTuple):
    """A trained classifier: ``model(transform(photo)[None])`` gives logits (1, C) over ``classes``."""

    model: Method
    transform: Transform
    classes: tuple[str, ...]


class Opened(NamedTuple):
    """A run as it lies on disk, with its learner built and filled."""

    path: Path
    recipe: Recipe
    classes: tuple[str, ...]
    about: dict[str, Any]
    learner: Learner


def load(run: str | Path, *, external: Sequence[str | type] = ()) -> Loaded:
    """Opens a run for use in Python: model (in eval mode), transform and classes.

    Args:
        run: the run's folder.
        external: classes from elsewhere that its recipe names.

    Raises:
        UserError: no run, an unfinished one, or one that names other classes from elsewhere.
    """
    opened = open_run(Path(run), external=external)
    method = opened.learner.method.eval()
    backbone = method.classifier.backbone
    return Loaded(method, Transform(opened.recipe.pixels, mean=backbone.mean, std=backbone.std), opened.classes)


def open_run(run: Path, *, external: Sequence[str | type] = ()) -> Opened:
    """Reads recipe, classes and tensors, and builds the learner in eval mode."""
    recipe, classes, about = read_run(run)
    learner = build_learner(recipe, classes=len(classes), weights="none", external=classes_named(external))
    load_model(run, learner)
    return Opened(run, recipe, classes, about, learner.eval())


def read_run(run: Path) -> tuple[Recipe, tuple[str, ...], dict[str, Any]]:
    """Recipe, classes and ``run.json`` of a run, without building anything."""
    if not (run / RECIPE).is_file():
        raise UserError(f"{run} is no run of Fieldmark: it holds no {RECIPE}")
    recipe = recipe_from_json((run / RECIPE).read_text("utf-8", "replace"))
    return recipe, tuple(_json(run / CLASSES, "classes")["classes"]), _json(run / ABOUT, *ABOUT_KEYS)


def write_run(run: Path, recipe: Recipe, *, classes: Sequence[str], about: dict[str, Any]) -> None:
    """Writes what a run is before it is trained, each file all or nothing."""
    write_text(run / RECIPE, recipe_to_json(recipe))
    write_json(run / CLASSES, {"format_version": FORMAT_VERSION, "classes": list(classes)})
    write_json(run / ABOUT, {"format_version": FORMAT_VERSION} | about)


def _json(path: Path, *keys: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); is the run complete?") from error
    if not isinstance(value, dict) or value.get("format_version") != FORMAT_VERSION:
        raise UserError(f"{path} has another format than this Fieldmark reads")
    if missing := [key for key in keys if key not in value]:
        raise UserError(f"{path} lacks {missing[0]!r}: it was changed by hand, or the run is not complete")
    return value
