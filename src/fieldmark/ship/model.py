"""An exported model in use: from pictures to answers, with onnxruntime and without torch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldmark.confidence.answers import Answer, Demands, Sight
from fieldmark.confidence.novelty import max_logits, nearest
from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.data.dataset import Box, Photo
from fieldmark.data.opening import refuse_without_boxes
from fieldmark.data.unlabelled import listed_photos
from fieldmark.errors import UserError, printable
from fieldmark.images.guard import up_to
from fieldmark.images.pictures import Held, Picture, read_picture
from fieldmark.input.views import Frame, evaluation_frame, evaluation_view
from fieldmark.predictions.prediction import Prediction, predictions_of
from fieldmark.ship.container import DIGEST, GALLERY, LARGEST, MANIFEST, opened
from fieldmark.ship.demands import demands_of
from fieldmark.ship.gallery import ModelGallery, gallery_from_text
from fieldmark.ship.heatmaps import CELL, heatmap
from fieldmark.ship.manifest import Manifest, manifest_from_json
from fieldmark.ship.reading import Views, in_batches, read_views, streamed
from fieldmark.ship.session import Compute, computing


class Neighbour(NamedTuple):
    """A training photo that looks alike: its class, the cosine of the embeddings, and a small JPEG if there is one."""

    label: str
    similarity: float
    thumbnail: bytes = b""


class Model:
    """An exported model: ``predict`` answers pictures, ``prepared`` and ``outputs`` are the steps of it.

    Args:
        path: of the file, for messages.
        manifest: what the file says of itself.
        compute: the network.
        digest: of the file.
        gallery: as the file has it.
    """

    def __init__(
        self, path: Path, manifest: Manifest, compute: Compute, *, digest: str = "", gallery: str = ""
    ) -> None:
        self.path, self.manifest, self.digest = path, manifest, digest
        self._compute, self._gallery = compute, gallery

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, in the order of the logits."""
        return self.manifest.classes

    @cached_property
    def gallery(self) -> ModelGallery | None:
        """Training photos by their embeddings; None where the file has none.

        Raises:
            UserError: it cannot be read.
        """
        if not self._gallery:
            return None
        try:
            return gallery_from_text(self._gallery, classes=len(self.classes), embedding=self.manifest.embedding)
        except UserError as error:
            raise UserError(f"{printable(str(self.path))}: {error}") from None

    def demands(
        self,
        *,
        certainty: float | None = None,
        coverage: float | None = None,
        refuse: str | float | None = None,
        groups: str | Path | None = None,
    ) -> Demands | None:
        """What ``stream`` may be asked for beyond classes, as for ``fieldmark.predict``; None for nothing.

        Raises:
            UserError: what cannot be asked of this model.
        """
        file, gallery = None if groups is None else Path(groups), None if refuse is None else self.gallery
        asked = {"certainty": certainty, "coverage": coverage}
        return demands_of(self.manifest, gallery, **asked, groups=file, refuse=refuse)

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
        count, height, width, channels = views.shape
        values = np.empty((count, channels, height, width), np.float32)
        # into its order at once: moving floats afterwards takes ten times as long
        np.subtract(views.transpose(0, 3, 1, 2), self.manifest.shift[:, None, None], out=values, dtype=np.float32)
        values *= self.manifest.scale[:, None, None]
        return values

    def outputs(self, images: np.ndarray, *names: str) -> dict[str, np.ndarray]:
        """The network's outputs by name, a row for each of ``images`` float32 (N, 3, S, S).

        Raises:
            UserError: an output that the model does not have.
        """
        if missing := [name for name in names if name not in self.manifest.outputs]:
            why = f": {self.manifest.no_maps}" if missing[0] == "maps" else ""
            raise UserError(f"{printable(str(self.path))} has no output {missing[0]!r}{why}")
        return dict(zip(names, self._compute(names, images), strict=True))

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities float64 (N, C) of logits, as those of ``fieldmark predict RUN``."""
        return np.exp(log_probabilities(logits, self.manifest.temperature))

    def answers(self, demands: Demands, outputs: Mapping[str, np.ndarray]) -> list[Answer]:
        """What was asked for beyond classes, one value for each row of the ``outputs`` that ``needed_by`` names."""
        sight, logits = None, outputs["logits"]
        if demands.refusal is not None:
            places, cosines = nearest(outputs["embedding"], demands.refusal.gallery.embeddings)
            sight = Sight(max_logits(logits), places[:, 0], cosines[:, 0])
        return demands.answers(self.probabilities(logits), sight)

    def neighbours(self, embedding: np.ndarray, count: int = 5) -> tuple[Neighbour, ...]:
        """The training photos that look most like one of embedding (E,), the nearest first; none without a gallery."""
        if self.gallery is None or count < 1:
            return ()
        places, cosines = nearest(embedding[None], self.gallery.embeddings, count=count)
        labels, pictures = self.gallery.labels, self.gallery.thumbnails
        return tuple(
            Neighbour(self.classes[labels[place]], cosine, pictures[place] if pictures else b"")
            for place, cosine in zip(places[0].tolist(), cosines[0].tolist(), strict=True)
        )

    def heatmap(self, maps: np.ndarray, label: int, *, against: int | None = None) -> np.ndarray:
        """What in one image speaks for a class, or for it rather than another: float32 (S / 4, S / 4), 1 at most.

        Args:
            maps: (C, h, w), a row of the output "maps".
            label: the class, as its place among ``classes``.
            against: the other class.
        """
        cells = self.manifest.pixels.eval_size // CELL
        return heatmap(maps, label, against=against, size=(cells, cells))

    def frame(self, size: tuple[int, int], box: Box | None = None) -> Frame:
        """Which part of an upright picture of (width, height) the network and its heatmaps see."""
        return evaluation_frame(size, self.manifest.pixels, box)

    def predict(
        self, inputs: Picture | Iterable[Picture], *, top: int = 5, demands: Demands | None = None
    ) -> list[Prediction]:
        """The likeliest classes of pictures, one value for each, in order: all of ``stream`` at once."""
        return list(self.stream(inputs, top=top, demands=demands))

    def stream(
        self, inputs: Picture | Iterable[Picture], *, top: int = 5, demands: Demands | None = None
    ) -> Iterator[Prediction]:
        """The likeliest classes of pictures, one value for each, in order, as they come.

        Args:
            inputs: as for ``fieldmark.predict``.
            top: classes per picture.
            demands: what is asked for beyond classes.

        Raises:
            UserError: nothing to predict, a ``top`` below 1, or boxes that are missing.
        """
        found = listed_photos(inputs)
        return self.answered(found, found.pictures, top=top, demands=demands)

    def answered(
        self,
        photos: Iterable[Photo],
        pictures: Sequence[Held] = (),
        *,
        top: int = 5,
        demands: Demands | None = None,
        workers: int = 0,
    ) -> Iterator[Prediction]:
        """One prediction per photo, in order, as they come; refused at the call, as by ``stream``.

        Args:
            photos: taken one by one.
            pictures: those in memory that ``row`` of a photo indexes; for them there must be no workers.
            top: the number of classes to report per photo.
            demands: what is asked for beyond classes.
            workers: processes that read photos, each with a thread that computes; 0 for neither.
        """
        if top < 1:
            raise UserError(f"--top {top}: at least 1")
        pixels = self.manifest.pixels
        if pixels.fit == "box":
            refuse_without_boxes(photos := tuple(photos))
        answer = partial(self._predicted, top=min(top, len(self.classes)), demands=demands)
        if workers:
            return chain.from_iterable(streamed(photos, pixels, answer, workers=workers))
        return chain.from_iterable(answer(batch, read_views(batch, pixels, pictures)) for batch in in_batches(photos))

    def _predicted(
        self, photos: Sequence[Photo], views: Views, *, top: int, demands: Demands | None
    ) -> list[Prediction]:
        """The predictions of photos that were read."""
        outputs = self.outputs(self.normalised(views.pixels), *needed_by(demands))
        answers = self.answers(demands, outputs) if demands else None
        names, shares = [photo.name for photo in photos], self.probabilities(outputs["logits"])
        found = predictions_of(names, shares, classes=self.classes, top=top, answers=answers, reasons=views.reasons)
        return list(found)


def needed_by(demands: Demands | None) -> tuple[str, ...]:
    """The names of the outputs that a prediction takes."""
    return ("logits", "embedding") if demands and demands.refusal else ("logits",)


def open_model(path: str | Path, *, device: str = "auto", threads: int = 0, largest: int = LARGEST) -> Model:
    """Opens what ``fieldmark export`` wrote, after a look at every byte of it.

    Args:
        path: the .onnx file.
        device: what computes: auto, cpu, cuda or cuda:N.
        threads: of the network; 0 for as many as there are cores.
        largest: bytes that the file may have.

    Raises:
        UserError: no exported model, one that takes pixels, that was changed or that this version does not read, or a
            missing library.
    """
    file = Path(path)
    container, name = opened(file, largest=largest), printable(str(file))
    manifest = manifest_from_json(container.metadata[MANIFEST], name=name)
    if manifest.takes == "pixels":
        advice = "fieldmark export RUN without --pixels writes one for Fieldmark itself"
        raise UserError(f"{name} prepares its pictures itself, for other programs;\n{advice}")
    compute = computing(container.content, manifest, name=name, device=device, threads=threads)
    metadata = container.metadata
    return Model(file, manifest, compute, digest=metadata[DIGEST], gallery=metadata.get(GALLERY, ""))
