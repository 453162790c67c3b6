"""An exported model in use: from pictures to answers, with onnxruntime and without torch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from fieldmark.confidence.answers import Demands
from fieldmark.data.dataset import Box, Photo
from fieldmark.data.unlabelled import photos_of
from fieldmark.errors import UnreadableImage, UserError, printable
from fieldmark.images.decode import read_image
from fieldmark.images.guard import up_to
from fieldmark.images.pictures import Held, Picture, picture_of, read_picture
from fieldmark.input.views import evaluation_view
from fieldmark.predictions.prediction import Prediction, predictions_of
from fieldmark.ship.container import LARGEST, MANIFEST, opened
from fieldmark.ship.manifest import Manifest, manifest_from_json

BATCH = 16
Compute = Callable[[Sequence[str], np.ndarray], list[np.ndarray]]
"""From names of outputs and images (N, 3, S, S) to the outputs, each with a row per image."""


class Model:
    """An exported model: ``predict`` answers pictures, ``prepared`` and ``outputs`` are the steps of it.

    Args:
        path: of the file, for messages.
        manifest: what the file says of itself.
        compute: the network.
    """

    def __init__(self, path: Path, manifest: Manifest, compute: Compute) -> None:
        self.path, self.manifest, self._compute = path, manifest, compute

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, in the order of the logits."""
        return self.manifest.classes

    def prepared(self, picture: Picture, box: Box | None = None) -> np.ndarray:
        """The network's input: float32 (3, S, S), bit for bit what evaluation makes of the picture.

        Args:
            picture: a path, the bytes of a file, an open file, a picture of Pillow's or a uint8 array.
            box: in pixels of the upright picture; needed if the model was trained with boxes.

        Raises:
            UserError: no picture, or a missing box.
        """
        image = read_picture(picture, limits=up_to(self.manifest.pixels.megapixels))
        return self.normalised(evaluation_view(image, self.manifest.pixels, box)[None])[0]

    def normalised(self, views: np.ndarray) -> np.ndarray:
        """Views uint8 (N, S, S, 3) as the network takes them: float32 (N, 3, S, S)."""
        values = views.astype(np.float32)
        values -= self.manifest.shift
        values *= self.manifest.scale
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))

    def outputs(self, images: np.ndarray, *names: str) -> dict[str, np.ndarray]:
        """The network's outputs by name, a row for each of ``images`` float32 (N, 3, S, S).

        Raises:
            UserError: an output that the model does not have.
        """
        if missing := [name for name in names if name not in self.manifest.outputs]:
            why = f": {self.manifest.no_maps}" if missing[0] == "maps" else ""
            raise UserError(f"{printable(str(self.path))} has no output {missing[0]!r}{why}")
        return dict(zip(names, self._compute(names, images), strict=True))

    def predict(self, inputs: Picture | Iterable[Picture], *, top: int = 5) -> list[Prediction]:
        """The likeliest classes of pictures, one value for each, in order: all of ``stream`` at once."""
        return list(self.stream(inputs, top=top))

    def stream(
        self, inputs: Picture | Iterable[Picture], *, top: int = 5, demands: Demands | None = None
    ) -> Iterator[Prediction]:
        """The likeliest classes of pictures, one value for each, in order, as they come.

        Args:
            inputs: as for ``fieldmark.predict``.
            top: classes per picture.
            demands: what is asked for beyond classes.

        Raises:
            UserError: nothing to predict, or a ``top`` below 1.
        """
        if top < 1:
            raise UserError(f"--top {top}: at least 1")
        photos, pictures, _ = photos_of(inputs)
        return self._predictions(photos, pictures, min(top, len(self.classes)), demands)

    def _predictions(
        self, photos: Sequence[Photo], pictures: Sequence[Held], top: int, demands: Demands | None
    ) -> Iterator[Prediction]:
        waiting = iter(photos)
        while batch := list(islice(waiting, BATCH)):
            views, reasons = self._views(batch, pictures)
            probabilities = self.outputs(self.normalised(views), "probabilities")["probabilities"].astype(np.float64)
            answers = demands.answers(probabilities) if demands else None
            names = [photo.name for photo in batch]
            yield from predictions_of(
                names, probabilities, classes=self.classes, top=top, answers=answers, reasons=reasons
            )

    def _views(self, photos: Sequence[Photo], pictures: Sequence[Held]) -> tuple[np.ndarray, dict[int, str]]:
        """Evaluation's views of photos, and why those that could not be read are grey."""
        side = self.manifest.pixels.eval_size
        views, reasons = np.full((len(photos), side, side, 3), 128, np.uint8), {}
        limits = up_to(self.manifest.pixels.megapixels)
        for row, photo in enumerate(photos):
            try:
                held = pictures[photo.row] if photo.row >= 0 else None
                image = (
                    read_image(photo.path, name=photo.name, limits=limits)
                    if held is None
                    else picture_of(held, name=photo.name, limits=limits)
                )
                views[row] = evaluation_view(image, self.manifest.pixels, photo.box)
            except UnreadableImage as error:
                reasons[row] = error.reason
        return views, reasons


def open_model(path: str | Path, *, device: str = "auto", threads: int = 0, largest: int = LARGEST) -> Model:
    """Opens what ``fieldmark export`` wrote, after a look at every byte of it.

    Args:
        path: the .onnx file.
        device: what computes: auto, cpu, cuda or cuda:N.
        threads: of the network; 0 for as many as there are cores.
        largest: bytes that the file may have.

    Raises:
        UserError: no exported model, one that was changed or that this version does not read, or a missing library.
    """
    file = Path(path)
    container = opened(file, largest=largest)
    manifest = manifest_from_json(container.metadata[MANIFEST], name=printable(str(file)))
    from fieldmark.ship.session import computing

    return Model(file, manifest, computing(container.content, device=device, threads=threads))
