"""A paper's picture as a value, and what all of them are made of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fieldmark.core.classifier import Features
from fieldmark.core.evidence import Evidence
from fieldmark.data.dataset import Photo
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.inference import in_eval_mode
from fieldmark.explanations.drawing import Panel, draw_panels
from fieldmark.explanations.explaining import Shown, shown_photo
from fieldmark.explanations.explanation import save_arrays
from fieldmark.files import replace_files
from fieldmark.images.pictures import Held
from fieldmark.input.loading import Photographs
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
    """

    name: str
    title: str
    rows: Sequence[Sequence[Panel]]
    runs: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> Path:
        """Writes NAME.png, NAME.npz (the heatmaps, by row and column) and NAME.json; all or none.

        Raises:
            UserError: they cannot be written.
        """
        places = [(down, across, panel) for down, row in enumerate(self.rows, 1) for across, panel in enumerate(row, 1)]
        arrays = {f"row_{y}_column_{x}": panel.heatmap for y, x, panel in places if panel.heatmap is not None}
        titles = [[panel.title for panel in row] for row in self.rows]
        said = {"format_version": FORMAT_VERSION, "figure": self.name, "title": self.title, "runs": dict(self.runs)}
        words = json.dumps(said | {"panels": titles, "facts": dict(self.facts)}, indent=2, ensure_ascii=False) + "\n"
        contents = {
            f"{self.name}.png": partial(draw_panels, rows=self.rows, title=self.title),
            f"{self.name}.npz": partial(save_arrays, arrays=arrays),
            f"{self.name}.json": lambda draft: draft.write_text(words, "utf-8", "backslashreplace"),
        }
        replace_files(folder, contents)
        return folder / f"{self.name}.png"


class Studied(NamedTuple):
    """A run and a few photos: normalised ``images`` (B, 3, H, W), and how the photos look to people."""

    opened: Opened
    photos: tuple[Photo, ...]
    images: Tensor
    pictures: tuple[Shown, ...]

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

    def answers(self, evidence: Evidence) -> list[str]:
        """The class of each photo, with its probability."""
        shares, best = evidence.logits.softmax(1).max(1)
        names = [self.opened.classes[label] for label in best.tolist()]
        return [f"{name}  {share:.0%}" for name, share in zip(names, shares.tolist(), strict=True)]

    def photo_panels(self) -> list[Panel]:
        """Each photo, under its file's name and the run's answer."""
        answers = self.answers(self.evidence())
        return [
            Panel(look.picture, None, f"{Path(photo.name).name}\n{answer}")
            for look, photo, answer in zip(self.pictures, self.photos, answers, strict=True)
        ]


def study(opened: Opened, photos: Sequence[Photo], *, pictures: Sequence[Held] = ()) -> Studied:
    """Reads a few photos for figures of a run.

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
    return Studied(opened, tuple(photos), images, tuple(shown_photo(views, index) for index in range(len(views))))


def runs_of(own: Opened, beside: Opened | None) -> dict[str, str]:
    """Their digests, by name."""
    both = (own,) if beside is None else (own, beside)
    return {printable(str(opened.path)): digest_of(opened.path) for opened in both}


def heat(maps: Tensor) -> np.ndarray:
    """Maps (..., h, w) as shares of each one's maximum, float32; what is below 0 is 0."""
    above = maps.detach().float().clamp_min(0)
    most = above.amax((-2, -1), keepdim=True)
    return (above / torch.where(most > 0, most, 1)).cpu().numpy()
