"""Which trial of an entry is followed in its final runs, and what its trials leave open."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fieldmark.bench.recipe_words import BY_DEFAULT, place_in_words, value_at, value_in_words
from fieldmark.bench.results import DONE, Result


class Score(NamedTuple):
    """What the ``runs`` of a trial came to: the share of held-out photos that were right; None where a run failed."""

    trial: int
    changes: Mapping[str, Any]
    top1: float | None
    runs: tuple[Result, ...]

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What was followed; empty where no run came so far."""
        return next((run.recipe for run in self.runs if run.recipe), {})


def scores(results: Sequence[Result]) -> list[Score]:
    """A score for each trial of one entry on one data set; photos of all its tuning runs count alike.

    A trial of which a run failed has no score: what it would have come to is not known.
    """
    trials = sorted({run.trial for run in results if run.trial is not None})
    return [_score(trial, tuple(run for run in results if run.trial == trial)) for trial in trials]


def _score(trial: int, runs: tuple[Result, ...]) -> Score:
    photos = right = 0.0
    for run in runs:
        if run.status == DONE:
            photos += run.photos["measured"]
            right += run.photos["measured"] * run.metrics["top1"]
    known = photos and all(run.status == DONE for run in runs)
    return Score(trial, runs[0].asked.trials[0], right / photos if known else None, runs)


def winner(scores: Sequence[Score]) -> Score | None:
    """The trial that is followed: the best, of equals the first; None where none has a score."""
    known = [score for score in scores if score.top1 is not None]
    return max(known, key=lambda score: (score.top1, -score.trial), default=None)


def told(scores: Sequence[Score]) -> dict[str, Any]:
    """Scores and winner as plain data, for the records of final runs."""
    best = winner(scores)
    trials = [{"changes": dict(score.changes), "top1": score.top1, "runs": len(score.runs)} for score in scores]
    return {"winner": best.trial if best else None, "trials": trials}


def trial_error(results: Iterable[Result]) -> tuple[float, float, int, int] | None:
    """How sure the accuracy of a trial is; None where no trial is done.

    Returns:
        The standard error near the trials' mean accuracy, from photos alone; that accuracy; the numbers of held-out
        photos and of seeds. All are those of the trial with the fewest.
    """
    done = [run for run in results if run.trial is not None and run.status == DONE and run.photos["measured"]]
    if not done:
        return None
    share = sum(run.metrics["top1"] for run in done) / len(done)
    seeds = Counter((run.entry, run.trial) for run in done)
    photos: Counter[tuple[str, int | None]] = Counter()
    for run in done:
        photos[run.entry, run.trial] += run.photos["measured"]
    error = math.sqrt(share * (1 - share) / min(photos.values()))
    return error, share, min(run.photos["measured"] for run in done), min(seeds.values())


def edges(scores: Sequence[Score]) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Settings of which the winner among an entry's trials has the smallest or largest value.

    Yields:
        The setting; the winner's value; at which end of what was tried it is ("" where one of two is not known); all
        that was tried, or the other of the two.
    """
    best, tried = winner(scores), [score for score in scores if score.top1 is not None]
    if best is None:
        return
    for place in dict.fromkeys(place for score in tried for place in score.changes):
        values = [score.changes.get(place, value_at(place, score.recipe)) for score in tried]
        own = values[tried.index(best)]
        if edge := _edge(own, [value for at, value in enumerate(values) if value not in values[:at]]):
            yield (place_in_words(place, best.recipe), value_in_words(own), *edge)


def _edge(own: Any, values: Sequence[Any]) -> tuple[str, tuple[str, ...]] | None:
    """The end at which a value stands among those tried, and those; None in their middle, or for no numbers."""
    numbers = sorted(value for value in values if type(value) in (int, float))
    if BY_DEFAULT in values and numbers:  # the record does not say where that stands
        others = tuple(value_in_words(value) for value in values if value != own)
        return ("", others) if len(values) == 2 else None
    if not 1 < len(values) == len(numbers) or numbers[0] < own < numbers[-1]:
        return None
    ends = ("smaller", "larger") if len(numbers) == 2 else ("smallest", "largest")
    return ends[own == numbers[-1]], tuple(map(value_in_words, numbers))
