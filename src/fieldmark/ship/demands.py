"""What an exported model is asked for beyond classes, made ready from what its file holds."""

from pathlib import Path

import numpy as np

from fieldmark.confidence.answers import Demands, asks_beyond_classes
from fieldmark.confidence.conformal import Thresholds, thresholds
from fieldmark.confidence.refusal import Refusal, refusal_of, refuse_share, refuse_taken, share_of
from fieldmark.confidence.taxonomy import Groups, read_groups
from fieldmark.errors import UserError
from fieldmark.ship.gallery import ModelGallery
from fieldmark.ship.manifest import HeldOutScores, Manifest


def demands_of(
    manifest: Manifest,
    gallery: ModelGallery | None,
    *,
    certainty: float | None = None,
    coverage: float | None = None,
    groups: Path | None = None,
    refuse: str | float | None = None,
) -> Demands | None:
    """What is asked of a model's predictions; None where that is nothing but classes.

    Args:
        manifest: what the file says of itself.
        gallery: that it holds.
        certainty: of answers, which are classes or groups of these.
        coverage: of sets of answers.
        groups: a CSV of groups; by default those that the file has, if any.
        refuse: the share of photos of the classes that may be answered with "none of these", such as 0.05 or "5%".

    Raises:
        UserError: a certainty, coverage or share that is none, groups that do not fit, too few held-out photos, no
            gallery.
    """
    if not asks_beyond_classes(certainty=certainty, coverage=coverage, groups=groups, refuse=refuse):
        return None
    tree = Groups(manifest.classes)
    if certainty is not None:
        tree = read_groups(groups, manifest.classes) if groups else manifest.groups or tree
    limits = None if coverage is None else _limits(manifest, coverage)
    refusal = None if refuse is None else _refusal(manifest, gallery, tree, share_of(refuse))
    return Demands(tree, certainty, limits, refusal)


def _limits(manifest: Manifest, coverage: float) -> Thresholds:
    held_out = _held_out(manifest, "--coverage")
    doubts, labels = np.array(held_out.doubts, np.float64), np.array(held_out.labels, np.int64)
    return thresholds(doubts, labels, classes=len(manifest.classes), coverage=coverage)


def _refusal(manifest: Manifest, gallery: ModelGallery | None, tree: Groups, share: float) -> Refusal:
    refuse_taken(tree, "the model")
    held_out = _held_out(manifest, "--refuse")
    refuse_share(share, photos=len(held_out.labels))
    if gallery is None or not held_out.cosines:
        raise UserError("--refuse: the model has no gallery of training photos; export it with one")
    return refusal_of(np.array(held_out.logits), np.array(held_out.cosines), gallery, share=share)


def _held_out(manifest: Manifest, option: str) -> HeldOutScores:
    if manifest.held_out is None:
        advice = "fieldmark calibrate RUN finds out, and then export it again"
        raise UserError(f"{option}: nothing is known of how sure the model may be; {advice}")
    return manifest.held_out
