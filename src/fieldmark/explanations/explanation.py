"""What is said about one photo, as a frozen value that knows where it comes from and can be kept."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fieldmark.data.dataset import Box
from fieldmark.errors import printable
from fieldmark.explanations.drawing import Panel, panels_writer
from fieldmark.files import replace_files
from fieldmark.input.views import Frame

FORMAT_VERSION = 1


class Answer(NamedTuple):
    """A class and its probability."""

    name: str
    probability: float


@dataclass(frozen=True, eq=False)
class Reason:
    """Where in a photo a class is seen, or what there speaks for it rather than for another.

    Args:
        name: the name of the class.
        against: of the other class; "" for none.
        heatmap: float32 (h, w) in [0, 1], over the part of the photo that the network saw.
        point: x and y of its maximum, in pixels of the upright photo; outside of it where ``fit`` "pad" shows grey.
        box: around its largest region above half of the maximum, as far as it lies in the photo, in the same pixels;
            None where the heatmap is 0 throughout, or the region beside the photo.
        strength: what 1 in the heatmap stands for, in no unit: comparable where classes are told from each other.
    """

    name: str
    against: str
    heatmap: np.ndarray
    point: tuple[float, float]
    box: Box | None
    strength: float

    @property
    def title(self) -> str:
        """In words."""
        return f"why {self.name}" + (f", not {self.against}" if self.against else "")


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a run answers as it does for one photo.

    Args:
        photo: its name.
        run: the run's digest (``runs.folder.digest_of``).
        layer: that the heatmaps come from, or "auto".
        gamma: share of the other class's logit in "rather than".
        answers: the likeliest classes, most likely first.
        reasons: why.
        picture: uint8 (S, S, 3), what the network saw, at a size for people.
        frame: the part of the upright photo that it shows.
    """

    photo: str
    run: str
    layer: str
    gamma: float
    answers: tuple[Answer, ...]
    reasons: tuple[Reason, ...]
    picture: np.ndarray
    frame: Frame

    def to_json(self) -> dict[str, Any]:
        """All but the arrays, as plain data."""
        return {
            "format_version": FORMAT_VERSION,
            "photo": printable(self.photo),
            "run": self.run,
            "layer": self.layer,
            "gamma": self.gamma,
            "answers": [answer._asdict() for answer in self.answers],
            "frame": asdict(self.frame),
            "reasons": [
                {
                    "class": reason.name,
                    "against": reason.against or None,
                    "point": list(reason.point),
                    "box": None if reason.box is None else list(reason.box),
                    "strength": reason.strength,
                }
                for reason in self.reasons
            ],
        }

    def panels(self) -> Sequence[Panel]:
        """The photo, and each reason drawn over it."""
        said = "\n".join(f"{answer.name}  {answer.probability:.0%}" for answer in self.answers[:3])
        photo = Panel(self.picture, None, f"{Path(self.photo).name}\n{said}")
        return [photo, *(Panel(self.picture, reason.heatmap, reason.title) for reason in self.reasons)]

    @property
    def names(self) -> list[str]:
        """Of the classes above the panels."""
        return [answer.name for answer in self.answers] + [
            name for reason in self.reasons for name in (reason.name, reason.against)
        ]

    def save(self, folder: Path, name: str, *, lacking: set[str] | None = None) -> Path:
        """Writes NAME.png, NAME.npz (a heatmap per reason, and the picture) and NAME.json, all or none.

        Args:
            folder: for the files.
            name: theirs, without a suffix.
            lacking: takes up the letters that no font on this machine has.

        Returns:
            The path of the picture.

        Raises:
            UserError: they cannot be written.
        """
        arrays = {f"heatmap_{number}": reason.heatmap for number, reason in enumerate(self.reasons, 1)}
        words = json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"
        replace_files(
            folder,
            {
                f"{name}.png": panels_writer(
                    [self.panels()], names=self.names, files=[Path(self.photo).name], lacking=lacking
                ),
                f"{name}.npz": partial(save_arrays, arrays=arrays | {"picture": self.picture}),
                f"{name}.json": lambda draft: draft.write_text(words, "utf-8", "backslashreplace"),
            },
        )
        return folder / f"{name}.png"


def save_arrays(path: Path, *, arrays: dict[str, np.ndarray]) -> None:
    """Writes a compressed .npz."""
    np.savez_compressed(path, **arrays)  # pyright: ignore[reportArgumentType]
