"""The validation photos of a run: measured after each epoch, and at the end what tells how sure the run may be."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from fieldmark.confidence.gallery import Gallery, gallery_of
from fieldmark.confidence.held_out import HeldOut
from fieldmark.confidence.novelty import nearest
from fieldmark.confidence.record import Confidence, confidence_of
from fieldmark.confidence.refusal import USUAL, photos_for
from fieldmark.core import processes
from fieldmark.data.dataset import Photo
from fieldmark.evaluation.familiar import embedded, gallery_photos
from fieldmark.evaluation.inference import Inferred, infer, with_embeddings
from fieldmark.evaluation.metrics import measure
from fieldmark.input.loading import Photographs
from fieldmark.runs.checkpoint import load_model
from fieldmark.runs.folder import digest_of, write_confidence
from fieldmark.training.loop import Loop
from fieldmark.training.preparing import Prepared


def validation_photos(prepared: Prepared) -> tuple[Photo, ...]:
    """The photos measured after each epoch: the validation split, unless it is trained on."""
    return () if "val" in prepared.recipe.train_on else prepared.dataset.of(["val"])


def photos_of_gallery(prepared: Prepared) -> tuple[Photo, ...]:
    """Training photos that "none of these" is told by; none where validation photos are too few for it."""
    is_enough = len(validation_photos(prepared)) >= photos_for(USUAL)
    return gallery_photos(prepared.dataset.of(prepared.recipe.train_on)) if is_enough else ()


def photos_at_the_end(prepared: Prepared, *, knows_features: bool, picks: bool) -> int:
    """How many photos are looked at after the last epoch, at most.

    Args:
        prepared: data and recipe.
        knows_features: whether the head begins as a probe in this session; where it also ends as one, the features of
            training photos are known.
        picks: whether the weights that are kept may be those of an earlier epoch, to measure again.
    """
    known = knows_features and not prepared.recipe.stages
    gallery = 0 if known else len(photos_of_gallery(prepared))
    return gallery + (len(validation_photos(prepared)) if picks else 0)


class Validation:
    """Measures validation photos with the weights that a loop has in place.

    ``features`` are those of training photos that the saved weights give, where they are known.

    Args:
        prepared: data and recipe.
        loop: that trains.
        workers: the number of processes that read photos ahead.
        start: how they start, as for ``loader_of``.
    """

    def __init__(self, prepared: Prepared, loop: Loop, *, workers: int, start: str | None) -> None:
        photos = validation_photos(prepared)
        assert photos, "there is nothing to measure"
        pixels, packed = prepared.recipe.pixels, prepared.dataset.pixels
        self.photos = Photographs(photos, pixels, packed=packed)
        self.known = Photographs(photos_of_gallery(prepared), pixels, packed=packed)
        self.loop, self.workers, self.start = loop, workers, start
        self.features: Inferred | None = None
        self.latest: HeldOut | None = None
        self._embeddings: np.ndarray | None = None
        self._told: set[str] = set()

    def __call__(self) -> Mapping[str, float]:
        """The figures of an epoch; the answers stay in ``latest``."""
        self.latest = self._answers()
        metrics = measure(self.latest.logits, self.latest.labels)
        return {"val_top1": metrics.top1, "val_per_class": metrics.mean_per_class}

    def _answers(self) -> HeldOut:
        """The answers; embeddings stay, too, where there will be a gallery to hold them against."""
        method = self.loop.learner.method
        function = with_embeddings(method) if len(self.known) else method
        read = infer(function, self.photos, method=method, workers=self.workers, start=self.start)
        for line in (photo.line for photo in read.unread if photo.line not in self._told):
            self._told.add(line)
            self.loop.log.note(f"became unreadable, left out of validation: {line}")
        logits, self._embeddings = np.split(read.values, [method.classifier.classes], axis=1)
        return HeldOut(tuple(photo.name for photo in read.photos), read.labels, logits)

    def conclude(self, run: Path) -> Confidence:
        """Writes how sure the trained run may be, by its answers to these photos; nothing is trained after that."""
        held_out, model = self.latest, digest_of(run)
        is_kept = held_out is not None and self.loop.has_kept()
        if len(self.known) or not is_kept:
            load_model(run, self.loop.learner)
        if held_out is None or not is_kept:  # the saved weights are those of another epoch
            held_out = self._answers()
        gallery = self._gallery(model) if len(self.known) else None
        if gallery is not None and self._embeddings is not None:
            _, cosines = nearest(self._embeddings, gallery.embeddings)
            held_out = replace(held_out, similarities=cosines[:, 0].astype(np.float32))
        confidence = confidence_of(held_out, model=model, source="validation", splits=("val",))
        if processes.is_first():
            write_confidence(run, confidence, held_out, gallery)
        return confidence

    def _gallery(self, model: str) -> Gallery:
        """What training photos look like to the saved weights."""
        if self.features is None:
            method, console = self.loop.learner.method, self.loop.log.console
            read = embedded(method, self.known, workers=self.workers, start=self.start, console=console)
            return gallery_of(model, [photo.name for photo in read.photos], read.labels, read.values)
        chosen = {photo.name for photo in self.known.photos}
        rows = [at for at, photo in enumerate(self.features.photos) if photo.name in chosen]
        names = [self.features.photos[at].name for at in rows]
        return gallery_of(model, names, self.features.labels[rows], self.features.values[rows])
