"""How sure a run with a class more or less may be: what the run before knew, carried over.

The logits of the old classes and all embeddings stay as they are (some of S3N's logits aside, which hardly differ). A
class that is added takes next to none of the old classes' photos (``fitting.SHARE``), so it gets a column of logits as
if it took none of those kept out of training; ``fieldmark calibrate`` measures them. The class's own photos join the
gallery, so that others like them look familiar.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from fieldmark.confidence.gallery import Gallery, chosen_for_gallery, gallery_of
from fieldmark.confidence.held_out import HeldOut, read_held_out
from fieldmark.confidence.record import Confidence, confidence_of
from fieldmark.core.contract import Method
from fieldmark.evaluation.familiar import embedded
from fieldmark.input.loading import Photographs
from fieldmark.new_classes.widening import NEVER
from fieldmark.runs.folder import HELD_OUT, gallery_of_run, read_confidence, read_run


@dataclass(frozen=True)
class Certainty:
    """What a run's folder holds of its certainty."""

    confidence: Confidence
    held_out: HeldOut
    gallery: Gallery | None

    def of(self, model: str) -> "Certainty":
        """The same of other weights, as ``runs.folder.digest_of`` names them."""
        gallery = self.gallery and replace(self.gallery, model=model)
        return Certainty(replace(self.confidence, model=model), self.held_out, gallery)


def certainty_of(run: Path) -> Certainty | None:
    """That of a run; None where nothing is known.

    Raises:
        UserError: not a run, or a damaged file.
    """
    if (confidence := read_confidence(run)) is None:
        return None
    held_out = read_held_out(run / HELD_OUT, classes=len(read_run(run)[1]))
    return Certainty(confidence, held_out, gallery_of_run(run))


def with_class(known: Certainty, method: Method, own: Photographs, *, console: Console) -> Certainty:
    """That of a run with a further class, the last one.

    Args:
        known: that of the run before.
        method: whose embeddings are those of the run before.
        own: photos of the new class, all of them readable.
        console: for progress.
    """
    held_out, gallery = known.held_out, known.gallery
    count, classes = held_out.logits.shape
    logits = np.hstack([held_out.logits, np.full((count, 1), NEVER, np.float32)])
    if gallery is not None:
        chosen = [own.photos[at] for at in chosen_for_gallery(np.zeros(len(own), np.int64))]
        read = embedded(method, Photographs(chosen, own.pixels, packed=own.packed), console=console)
        names, labels = [photo.name for photo in read.photos], np.full(len(read.photos), classes, np.int64)
        gallery = gallery.joined(gallery_of(gallery.model, names, labels, read.values))
    return Certainty(known.confidence, replace(held_out, logits=logits), gallery)


def without_class(known: Certainty, label: int) -> Certainty | None:
    """That of a run without a class; None where no held-out photo is left."""
    said, held_out = known.confidence, known.held_out.without(label)
    if not held_out.names:
        return None
    found = confidence_of(held_out, model=said.model, source=said.source, splits=said.splits, folds=said.folds)
    return Certainty(found, held_out, known.gallery and known.gallery.without(label))
