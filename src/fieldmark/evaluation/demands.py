"""What ``predict`` is asked for beyond classes, made ready from a run's folder."""

from pathlib import Path

import numpy as np

from fieldmark.confidence.answers import Demands, asks_beyond_classes
from fieldmark.confidence.conformal import scores_of, thresholds, true_scores
from fieldmark.confidence.held_out import HeldOut, read_held_out
from fieldmark.confidence.novelty import max_logits
from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.confidence.record import Confidence
from fieldmark.confidence.refusal import Refusal, refusal_of, refuse_share, refuse_taken, share_of
from fieldmark.confidence.taxonomy import Groups
from fieldmark.errors import UserError, shell_word
from fieldmark.runs.folder import HELD_OUT, gallery_of_run, groups_of, read_confidence, read_run


def demands_of(
    run: Path,
    *,
    certainty: float | None = None,
    coverage: float | None = None,
    groups: Path | None = None,
    refuse: str | float | None = None,
) -> Demands | None:
    """What is asked of a run's predictions; None where that is nothing but classes.

    Args:
        run: the run's folder, of which the network is not read.
        certainty: of answers, which are classes or groups of these.
        coverage: of sets of answers.
        groups: a CSV of groups; by default those that the run has, if any.
        refuse: the share of photos of the classes that may be answered with "none of these", such as 0.05 or "5%".

    Raises:
        UserError: a certainty, coverage or share that is none, groups that do not fit, too few held-out photos, no
            gallery.
    """
    if not asks_beyond_classes(certainty=certainty, coverage=coverage, groups=groups, refuse=refuse):
        return None
    classes = read_run(run)[1]
    tree, limits, refusal = Groups(classes), None, None
    if certainty is not None:
        tree = groups_of(run, groups) or tree
    if coverage is not None:
        confidence, held_out = _kept_out(run, "--coverage")
        scores = scores_of(np.exp(log_probabilities(held_out.logits, confidence.applied)))
        true = true_scores(scores, held_out.labels)
        limits = thresholds(true, held_out.labels, classes=len(classes), coverage=coverage)
    if refuse is not None:
        refusal = _refusal(run, tree, share_of(refuse))
    return Demands(tree, certainty, limits, refusal)


def _kept_out(run: Path, option: str) -> tuple[Confidence, HeldOut]:
    """How sure a run may be, and the answers that say so."""
    if (confidence := read_confidence(run)) is None:
        advice = f"fieldmark calibrate {shell_word(run)} finds out"
        raise UserError(f"{option}: nothing is known of how sure the run may be; {advice}")
    return confidence, read_held_out(run / HELD_OUT, classes=len(read_run(run)[1]))


def _refusal(run: Path, tree: Groups, share: float) -> Refusal:
    refuse_taken(tree, str(run))
    _, held_out = _kept_out(run, "--refuse")
    gallery = gallery_of_run(run)
    if gallery is None or held_out.similarities is None:
        advice = f"fieldmark calibrate {shell_word(run)} makes one"
        raise UserError(f"--refuse: the run has no gallery of training photos; {advice}")
    refuse_share(share, photos=len(held_out.labels))
    return refusal_of(max_logits(held_out.logits), held_out.similarities, gallery, share=share)
