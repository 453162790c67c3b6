"""The validation photos of a run: measured after each epoch, and at the end what tells how sure the run may be."""

from collections.abc import Mapping
from pathlib import Path

from fieldmark.confidence.held_out import HeldOut
from fieldmark.confidence.record import Confidence, confidence_of
from fieldmark.core import processes
from fieldmark.data.dataset import Photo
from fieldmark.evaluation.inference import infer
from fieldmark.evaluation.metrics import measure
from fieldmark.input.loading import Photographs
from fieldmark.runs.checkpoint import load_model
from fieldmark.runs.folder import digest_of, write_confidence
from fieldmark.training.loop import Loop
from fieldmark.training.preparing import Prepared


def validation_photos(prepared: Prepared) -> tuple[Photo, ...]:
    """The photos measured after each epoch: the validation split, unless it is trained on."""
    return () if "val" in prepared.recipe.train_on else prepared.dataset.of(["val"])


class Validation:
    """Measures validation photos with the weights that a loop has in place.

    Args:
        prepared: data and recipe.
        loop: that trains.
        workers: processes that read photos ahead.
        start: how they start, as for ``loader_of``.
    """

    def __init__(self, prepared: Prepared, loop: Loop, *, workers: int, start: str | None) -> None:
        photos = validation_photos(prepared)
        assert photos, "there is nothing to measure"
        self.photos = Photographs(photos, prepared.recipe.pixels, packed=prepared.dataset.pixels)
        self.loop, self.workers, self.start = loop, workers, start
        self.latest: HeldOut | None = None
        self._told: set[str] = set()

    def __call__(self) -> Mapping[str, float]:
        """The figures of an epoch; the answers stay in ``latest``."""
        self.latest = self._answers()
        metrics = measure(self.latest.logits, self.latest.labels)
        return {"val_top1": metrics.top1, "val_per_class": metrics.mean_per_class}

    def _answers(self) -> HeldOut:
        method = self.loop.learner.method
        read = infer(method, self.photos, method=method, workers=self.workers, start=self.start)
        for line in (photo.line for photo in read.unread if photo.line not in self._told):
            self._told.add(line)
            self.loop.log.note(f"became unreadable, left out of validation: {line}")
        return HeldOut(tuple(photo.name for photo in read.photos), read.labels, read.values)

    def conclude(self, run: Path) -> Confidence:
        """Writes how sure the trained run may be, by its answers to these photos; nothing is trained after that."""
        held_out = self.latest
        if held_out is None or not self.loop.has_kept():  # the saved weights are those of another epoch
            load_model(run, self.loop.learner)
            held_out = self._answers()
        confidence = confidence_of(held_out, model=digest_of(run), source="validation", splits=("val",))
        if processes.is_first():
            write_confidence(run, confidence, held_out)
        return confidence
