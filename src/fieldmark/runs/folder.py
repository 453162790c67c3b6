"""The folder of a run: its files, and how it is opened."""

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from fieldmark.building import build_learner, classes_named
from fieldmark.confidence.gallery import Gallery, read_gallery
from fieldmark.confidence.held_out import HeldOut
from fieldmark.confidence.record import Confidence
from fieldmark.confidence.taxonomy import Groups, read_groups
from fieldmark.core.contract import Method
from fieldmark.core.learner import Learner
from fieldmark.core.weights import MODEL, RECIPE
from fieldmark.data.dataset import Box
from fieldmark.errors import UserError, printable
from fieldmark.files import replace_files, write_json, write_text
from fieldmark.images.guard import up_to
from fieldmark.images.pictures import Picture, read_picture
from fieldmark.input.views import evaluation_view
from fieldmark.plain import from_plain, json_text, to_plain
from fieldmark.recipe import External, Pixels, Recipe, recipe_from_json, recipe_to_json
from fieldmark.runs.checkpoint import STATE, load_model

LOG = logging.getLogger(__name__)
CLASSES, ABOUT, SCAN, START, METRICS = "classes.json", "run.json", "scan.json", "start.json", "metrics.csv"
CONFIDENCE, HELD_OUT, GALLERY = "confidence.json", "held_out.npz", "gallery.npz"
GROUPS = "groups.json"
FORMAT_VERSION = 1
T = TypeVar("T")


@dataclass(frozen=True)
class About:
    """Where a run comes from: the content of ``run.json``.

    ``data`` is the path of the photographs, ``layout`` their layout, ``annotation`` which labels were used,
    ``data_digest`` a digest of names, labels and splits; ``headline`` the figure to look at first; ``cut`` says whether
    Fieldmark made the splits, ``held_out`` is the share of training photos held out for validation, ``corrections`` the
    list of corrected labels that was named ("" for none, or the one that lies with the photos).
    """

    data: str
    annotation: str
    data_digest: str
    headline: Literal["top1", "mean_per_class"]
    cut: bool
    held_out: float = 0.0
    layout: str = ""
    fieldmark: str = ""
    torch: str = ""
    python: str = ""
    corrections: str = ""

    @property
    def list_of_corrections(self) -> Path | None:
        """The list that was named, if any."""
        return Path(self.corrections) if self.corrections else None


@dataclass(frozen=True)
class Start:
    """How good the probe is that the head of a run began as: the content of ``start.json``.

    ``right`` of the ``photos`` in ``splits`` were classified rightly out of fold; ``photos`` is 0 where no class has
    two. ``strength`` is the inverse strength of the penalty that cross-validation chose. The weights that the run began
    from were trained on ``known`` of the photos, so that the figure is too high if there are any.
    """

    splits: tuple[str, ...]
    photos: int
    right: int
    strength: float
    known: int = 0

    @property
    def share(self) -> float | None:
        """Of the photos that were classified rightly; None where there are none, or the weights knew some."""
        return self.right / self.photos if self.photos and not self.known else None


class Transform:
    """From a picture to the network's input, as in evaluation.

    Args:
        pixels: the recipe's.
        mean: (3,) of images in [0, 1].
        std: (3,).
    """

    def __init__(self, pixels: Pixels, *, mean: Tensor, std: Tensor) -> None:
        self.pixels, self.mean, self.std = pixels, mean.cpu().clone(), std.cpu().clone()

    def __call__(self, image: Picture, box: Box | None = None) -> Tensor:
        """Turns a picture into a normalised float32 tensor (3, S, S).

        Args:
            image: a path, the bytes of a file, an open file, a picture of Pillow's, or a uint8 array (H, W, 3); upright
                RGB is made of it as by ``predict``.
            box: in pixels of the upright picture; needed if ``fit`` is "box".

        Raises:
            UserError: neither a path nor a picture, one that cannot be read, or a missing box.
        """
        picture = read_picture(image, limits=up_to(self.pixels.megapixels))
        view = torch.from_numpy(evaluation_view(picture, self.pixels, box).copy())
        mean, scale = 255 * self.mean, 1 / (255 * self.std)  # in evaluation's order, so that bits are equal
        return (view.permute(2, 0, 1).float() - mean[:, None, None]) * scale[:, None, None]


class Loaded(NamedTuple):
    """A trained classifier: ``model(transform(photo)[None])`` gives logits (1, C) over ``classes``."""

    model: Method
    transform: Transform
    classes: tuple[str, ...]


class Opened(NamedTuple):
    """A run read from disk, with its learner built and loaded."""

    path: Path
    recipe: Recipe
    classes: tuple[str, ...]
    about: About
    learner: Learner
    confidence: Confidence | None = None

    @property
    def temperature(self) -> float:
        """What logits are divided by for probabilities; 1 where nothing is known."""
        return self.confidence.applied if self.confidence else 1.0

    @property
    def remarks(self) -> tuple[str, ...]:
        """A line where the run has not done all of its epochs."""
        return remarks_on(self.path, self.recipe)


def load(run: str | Path, *, external: External = ()) -> Loaded:
    """Opens a run for use in Python: model (in eval mode), transform and classes.

    Args:
        run: the run's folder.
        external: classes of your own that its recipe names.

    A run that has not done all of its epochs answers as well as it does by then; a warning is logged.

    Raises:
        UserError: not a run, one that cannot answer yet, or one whose recipe names a class that ``external`` lacks.
    """
    opened = open_run(Path(run), external=external)
    for remark in opened.remarks:
        LOG.warning(remark)
    method = opened.learner.method.eval()
    backbone = method.classifier.backbone
    return Loaded(method, Transform(opened.recipe.pixels, mean=backbone.mean, std=backbone.std), opened.classes)


def open_run(run: Path, *, external: External = ()) -> Opened:
    """Reads recipe, classes and tensors, and builds the learner in eval mode."""
    recipe, classes, about = read_run(run)
    learner = build_learner(recipe, classes=len(classes), weights="none", external=classes_named(external))
    load_model(run, learner)
    return Opened(run, recipe, classes, about, learner.eval(), read_confidence(run))


def digest_of(run: Path) -> str:
    """Tells one state of a trained network from another: the start of the SHA-256 of its tensors."""
    with (run / MODEL).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def remarks_on(run: Path, recipe: Recipe) -> tuple[str, ...]:
    """A line where a run has not done all of its epochs."""
    epochs, whole = _epochs_done(run), recipe.epochs
    if epochs is None or epochs >= whole:
        return ()
    return (f"{printable(str(run))} has done {epochs} of {whole} epochs; training it with --resume goes on",)


def _epochs_done(run: Path) -> int | None:
    """By the table of metrics, which may have gone through a spreadsheet; None where nothing tells."""
    if not (run / METRICS).is_file():
        return 0 if (run / STATE).is_file() else None
    epochs = re.findall(r"^\d+", (run / METRICS).read_text("utf-8", "replace"), re.MULTILINE)
    return int(epochs[-1]) if epochs else None


def read_run(run: Path) -> tuple[Recipe, tuple[str, ...], About]:
    """Recipe, classes and ``run.json`` of a run, without building anything.

    Raises:
        UserError: not a run, or a file that is damaged or of another format.
    """
    if not (run / RECIPE).is_file():
        raise UserError(f"{run} is not a Fieldmark run: it has no {RECIPE}")
    recipe = recipe_from_json((run / RECIPE).read_text("utf-8", "replace"))
    return recipe, _read(run / CLASSES, _Classes).classes, _read(run / ABOUT, About)


def write_run(run: Path, recipe: Recipe, *, classes: Sequence[str], about: About) -> None:
    """Writes what describes a run, before it is trained."""
    write_recipe(run, recipe)
    for file, value in ((CLASSES, _Classes(tuple(classes))), (ABOUT, about)):
        write_json(run / file, {"format_version": FORMAT_VERSION} | to_plain(value))


def classes_to_json(classes: Sequence[str]) -> str:
    """The text of ``classes.json``."""
    return json_text({"format_version": FORMAT_VERSION, "classes": classes})


def write_recipe(run: Path, recipe: Recipe) -> None:
    """Writes the recipe alone, as when the number of epochs changes."""
    write_text(run / RECIPE, recipe_to_json(recipe))


def write_start(run: Path, start: Start) -> None:
    """Writes how good the start of a run is."""
    write_json(run / START, {"format_version": FORMAT_VERSION} | to_plain(start))


def read_start(run: Path) -> Start | None:
    """How good the start of a run was; None where the head did not begin as a probe."""
    return _read(run / START, Start) if (run / START).is_file() else None


def write_confidence(run: Path, confidence: Confidence, held_out: HeldOut, gallery: Gallery | None = None) -> None:
    """Writes a run's confidence, the answers to held-out photos that it was made from, and a gallery: all, or nothing.

    Raises:
        UserError: they cannot be written.
    """
    saves = {HELD_OUT: held_out.save} | ({GALLERY: gallery.save} if gallery else {})
    replace_files(run, saves | {CONFIDENCE: lambda path: write_json(path, confidence_value(confidence))})


def confidence_value(confidence: Confidence) -> dict[str, object]:
    """The content of ``confidence.json``."""
    return {"format_version": FORMAT_VERSION} | to_plain(confidence)


def read_confidence(run: Path) -> Confidence | None:
    """How sure a run may be; None where nothing is known, or where the weights have changed since."""
    if not (run / CONFIDENCE).is_file():
        return None
    confidence = _read(run / CONFIDENCE, Confidence)
    return confidence if confidence.model == digest_of(run) else None


def gallery_of_run(run: Path) -> Gallery | None:
    """The gallery of a run's network; None where it has none, or where the weights have changed since.

    Raises:
        UserError: not a run, or a gallery that is damaged.
    """
    if not (run / GALLERY).is_file():
        return None
    gallery = read_gallery(run / GALLERY, classes=len(read_run(run)[1]))
    return gallery if gallery.model == digest_of(run) else None


def write_groups(run: Path, groups: Groups) -> None:
    """Writes the groups of a run's classes."""
    write_json(run / GROUPS, groups_value(groups))


def groups_value(groups: Groups) -> object:
    """What ``groups.json`` holds."""
    return {"format_version": FORMAT_VERSION} | to_plain(groups)


def groups_of(run: Path, file: Path | None = None) -> Groups | None:
    """The groups of a run's classes: those of a CSV, else those that the run was trained with; None without any.

    Raises:
        UserError: not a run, or groups that do not fit its classes.
    """
    classes = read_run(run)[1]
    if file is not None:
        return read_groups(file, classes)
    if not (run / GROUPS).is_file():
        return None
    groups = _read(run / GROUPS, Groups)
    if groups.classes != classes:
        raise UserError(f"{run / GROUPS} is of other classes than {run / CLASSES}; give the groups with --groups")
    return groups


@dataclass(frozen=True)
class _Classes:
    """The content of ``classes.json``."""

    classes: tuple[str, ...]


def _read(path: Path, kind: type[T]) -> T:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); is the run complete?") from error
    if not isinstance(value, dict) or value.pop("format_version", None) != FORMAT_VERSION:
        raise UserError(f"{path} is in a format that this version of Fieldmark does not read")
    try:
        return from_plain(value, kind)
    except UserError as error:
        raise UserError(f"{path}: {error}; was it edited by hand, or is the run incomplete?") from error
