"""Which trial of an entry is followed in its final runs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fieldmark.bench.records import DONE, Result


class Score(NamedTuple):
    """What a trial came to: share of held-out photos that were right (None where a run failed), over so many runs."""

    trial: int
    changes: Mapping[str, Any]
    top1: float | None
    runs: int


def scores(results: Sequence[Result]) -> list[Score]:
    """A score for each trial of one entry on one data set; photos of all its tuning runs count alike.

    A trial of which a run failed has no score: what it would have come to is not known.
    """
    found = []
    for trial in sorted({result.trial for result in results if result.trial is not None}):
        runs = [result for result in results if result.trial == trial]
        photos = sum(run.photos["measured"] for run in runs if run.status == DONE)
        right = sum(run.photos["measured"] * run.metrics["top1"] for run in runs if run.status == DONE)
        complete = photos > 0 and all(run.status == DONE for run in runs)
        found.append(Score(trial, runs[0].asked["trials"][0], right / photos if complete else None, len(runs)))
    return found


def winner(found: Sequence[Score]) -> Score | None:
    """The trial that is followed: the best, of equals the first; None where none has a score."""
    known = [score for score in found if score.top1 is not None]
    return max(known, key=lambda score: (score.top1, -score.trial)) if known else None


def told(found: Sequence[Score]) -> dict[str, Any]:
    """Scores and winner as plain data, for the records of final runs."""
    best = winner(found)
    trials = [{"changes": dict(one.changes), "top1": one.top1, "runs": one.runs} for one in found]
    return {"winner": best.trial if best else None, "trials": trials}
