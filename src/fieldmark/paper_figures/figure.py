"""A paper's picture as a value, and what all of them are made of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.core.classifier import Features
from fieldmark.core.evidence import Evidence
from fieldmark.core.recording import MAPS
from fieldmark.data.dataset import Photo
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.inference import in_eval_mode
from fieldmark.explanations.drawing import Panel, panels_writer
from fieldmark.explanations.explaining import Shown, shown_photo
from fieldmark.explanations.explanation import save_arrays
from fieldmark.explanations.heatmaps import look
from fieldmark.files import replace_files
from fieldmark.input.loading import Packed, Photographs
from fieldmark.runs.folder import Opened, digest_of

FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class PaperFigure:
    """A paper's picture, made with runs and photos of one's own.

    Args:
        name: such as "api-net-figure-3"; of the files.
        title: what it shows.
        rows: of panels.
        runs: the digest of each run by what it is called in the picture.
        facts: numbers that the picture shows, as plain data.
        lines: what is said of it in words.
        names: of classes and runs that may be above panels, and be shortened there.
        files: names of photos' files that may be above panels.
    """

    name: str
    title: str
    rows: Sequence[Sequence[Panel]]
    runs: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    lines: Sequence[str] = ()
    names: Sequence[str] = ()
    files: Sequence[str] = ()

    def save(self, folder: Path, *, lacking: set[str] | None = None) -> Path:
        """Writes NAME.png, NAME.npz (the heatmaps, by row and column) and NAME.json; all or none.

        ``lacking`` takes up the letters that no font on this machine has.

        Raises:
            UserError: they cannot be written.
        """
        places = [(down, across, panel) for down, row in enumerate(self.rows, 1) for across, panel in enumerate(row, 1)]
        arrays = {f"row_{y}_column_{x}": panel.heatmap for y, x, panel in places if panel.heatmap is not None}
        titles = [[panel.title for panel in row] for row in self.rows]
        said = {"format_version": FORMAT_VERSION, "figure": self.name, "title": self.title, "runs": dict(self.runs)}
        words = json.dumps(said | {"panels": titles, "facts": dict(self.facts)}, indent=2, ensure_ascii=False) + "\n"
        contents = {
            f"{self.name}.png": panels_writer(
                self.rows, title=self.title, names=self.names, files=self.files, lacking=lacking
            ),
            f"{self.name}.npz": partial(save_arrays, arrays=arrays),
            f"{self.name}.json": lambda draft: draft.write_text(words, "utf-8", "backslashreplace"),
        }
        replace_files(folder, contents)
        return folder / f"{self.name}.png"


class Studied(NamedTuple):
    """A run and a few photos: normalised ``images`` (B, 3, H, W), and how the photos look to people.

    ``name`` is what the run is called in pictures; ``classes`` are those that labels of photos index, which may be
    another run's.
    """

    opened: Opened
    photos: tuple[Photo, ...]
    images: Tensor
    pictures: tuple[Shown, ...]
    name: str
    classes: Sequence[str]

    def features(self) -> Features:
        """Of the images, without a graph, refined maps included."""
        method = self.opened.learner.method
        with in_eval_mode(method), torch.no_grad():
            return method.classifier.features_of(method.classifier.backbone(self.images))

    def evidence(self) -> Evidence:
        """The method's own, without a graph."""
        method = self.opened.learner.method
        with in_eval_mode(method), torch.no_grad():
            return method.evidence(self.images)

    def probabilities(self, evidence: Evidence) -> np.ndarray:
        """Of the classes, (B, C), at the run's temperature, as ``predict`` gives them."""
        return np.exp(log_probabilities(evidence.logits.float().cpu().numpy(), self.opened.temperature))

    def answers(self, evidence: Evidence) -> list[str]:
        """The class of each photo, with its probability."""
        shares = self.probabilities(evidence)
        return [f"{self.opened.classes[row.argmax()]}  {row.max():.0%}" for row in shares]

    def photo_panels(self) -> list[Panel]:
        """Each photo, under its file's name, the run's answer and, where that is known, its true class."""
        answers = self.answers(self.evidence())
        truths = ["" if photo.label is None else f"\nin truth {self.classes[photo.label]}" for photo in self.photos]
        return [
            Panel(shown.picture, None, f"{Path(photo.name).name}\n{answer}{truth}")
            for shown, photo, answer, truth in zip(self.pictures, self.photos, answers, truths, strict=True)
        ]

    def grad_cam_panels(self) -> list[Panel]:
        """Where each photo's class is seen: Grad-CAM of the class that is predicted, on the last maps."""
        looked = look(self.opened.learner.method.eval(), self.images, layer=MAPS)
        shown = zip(self.pictures, heat(looked.heatmaps[0]), self.answers(looked.evidence), strict=True)
        return [Panel(photo.picture, each, f"{self.name}\n{answer}") for photo, each, answer in shown]


def study(
    opened: Opened, photos: Sequence[Photo], *, name: str, classes: Sequence[str], pictures: Packed = ()
) -> Studied:
    """Reads a few photos for figures of a run, which pictures call ``name``; their labels index ``classes``.

    Raises:
        UserError: one of them cannot be read.
    """
    views = Photographs(photos, opened.recipe.pixels, packed=pictures)
    batch = views.__getitems__([(-1, index) for index in range(len(views))])
    for index, reason in batch.damaged:
        name = printable(photos[index].name)
        raise UserError(f"{name} cannot be read: {reason.removeprefix(f'{name}: ')}")
    backbone = opened.learner.method.classifier.backbone
    images = backbone.normalise(batch.pixels.to(backbone.mean.device))
    shown = tuple(shown_photo(views, index) for index in range(len(views)))
    return Studied(opened, tuple(photos), images, shown, name, classes)


def names_of_runs(paths: Sequence[Path]) -> list[str]:
    """What runs are called in pictures: as many last parts of their folders' names as tell them apart.

    Raises:
        UserError: one of them is named twice.
    """
    parts = [path.resolve().parts for path in paths]
    if twice := next((path for at, path in enumerate(paths) if parts[at] in parts[:at]), None):
        raise UserError(f"{printable(str(twice))} is named twice; name other runs with --beside")
    length = next(length for length in count(1) if len({part[-length:] for part in parts}) == len(parts))
    return [printable("/".join(part[-length:])) for part in parts]


def runs_of(*studied: Studied) -> dict[str, str]:
    """Their digests, by what they are called."""
    return {each.name: digest_of(each.opened.path) for each in studied}


def heat(maps: Tensor, *, together: tuple[int, ...] = (-2, -1)) -> np.ndarray:
    """Maps (..., h, w) as shares of their maximum over the axes ``together``, float32; what is below 0 is 0."""
    above = maps.detach().float().clamp_min(0)
    most = above.amax(together, keepdim=True)
    return (above / torch.where(most > 0, most, 1)).cpu().numpy()
