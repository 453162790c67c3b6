"""What ``predict`` is asked for beyond classes, made ready from a run's folder."""

from pathlib import Path

import numpy as np

from fieldmark.confidence.answers import Demands
from fieldmark.confidence.back_off import refuse_certainty
from fieldmark.confidence.conformal import refuse_coverage, scores_of, thresholds
from fieldmark.confidence.held_out import read_held_out
from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.confidence.taxonomy import Groups
from fieldmark.errors import UserError, printable
from fieldmark.runs.folder import HELD_OUT, groups_of, read_confidence, read_run


def demands_of(
    run: Path, *, certainty: float | None = None, coverage: float | None = None, groups: Path | None = None
) -> Demands | None:
    """What is asked of a run's predictions; None where that is nothing but classes.

    Args:
        run: the run's folder, of which the network is not read.
        certainty: of answers, which are classes or groups of these.
        coverage: of sets of answers.
        groups: a CSV of groups; by default those that the run has, if any.

    Raises:
        UserError: a certainty or coverage that is none, groups that do not fit, or too few held-out photos.
    """
    if groups is not None and certainty is None:
        raise UserError("--groups needs --certainty, which says when an answer is a group and not a class")
    if certainty is None and coverage is None:
        return None
    classes = read_run(run)[1]
    tree, limits = Groups(classes), None
    if certainty is not None:
        refuse_certainty(certainty)
        tree = groups_of(run, groups) or tree
    if coverage is not None:
        refuse_coverage(coverage)
        if (confidence := read_confidence(run)) is None:
            advice = f"fieldmark calibrate {printable(str(run))} finds out"
            raise UserError(f"--coverage: nothing is known of how sure the run may be; {advice}")
        held_out = read_held_out(run / HELD_OUT, classes=len(classes))
        scores = scores_of(np.exp(log_probabilities(held_out.logits, confidence.applied)))
        limits = thresholds(scores, held_out.labels, coverage=coverage)
    return Demands(tree, certainty, limits)
