"""Which trial of an entry is followed in its final runs, and what its trials leave open."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fieldmark.bench.recipe_words import BY_DEFAULT, place_in_words, value_at, value_in_words
from fieldmark.bench.results import DONE, Result


class Score(NamedTuple):
    """What a trial came to: share of held-out photos that were right (None where a run failed), over so many runs."""

    trial: int
    changes: Mapping[str, Any]
    top1: float | None
    runs: int


class TrialError(NamedTuple):
    """The standard ``error`` of a trial's accuracy near ``top1``, from its held-out ``photos`` and ``seeds`` alone."""

    error: float
    top1: float
    photos: int
    seeds: int


class Edge(NamedTuple):
    """A winner's ``value`` of a ``setting`` at the ``end`` of what was ``tried``; "" where one of two is not known."""

    setting: str
    value: str
    end: str
    tried: tuple[str, ...]


def scores(results: Iterable[Result]) -> list[Score]:
    """A score for each trial of one entry on one data set; photos of all its tuning runs count alike.

    A trial of which a run failed has no score: what it would have come to is not known.
    """
    runs: dict[int, list[Result]] = {}
    for result in results:
        if result.trial is not None:
            runs.setdefault(result.trial, []).append(result)
    return [_score(trial, runs[trial]) for trial in sorted(runs)]


def winner(scores: Sequence[Score]) -> Score | None:
    """The trial that is followed: the best, of equals the first; None where none has a score."""
    known = [score for score in scores if score.top1 is not None]
    return max(known, key=lambda score: (score.top1, -score.trial)) if known else None


def told(scores: Sequence[Score]) -> dict[str, Any]:
    """Scores and winner as plain data, for the records of final runs."""
    best = winner(scores)
    trials = [{"changes": dict(score.changes), "top1": score.top1, "runs": score.runs} for score in scores]
    return {"winner": best.trial if best else None, "trials": trials}


def trial_error(trials: Iterable[Result]) -> TrialError | None:
    """How sure the accuracy of a trial is; None where no trial is done."""
    photos: dict[tuple[str, int | None], list[int]] = {}
    shares = []
    for run in trials:
        if run.status == DONE and run.photos["measured"]:
            photos.setdefault((run.entry, run.trial), []).append(run.photos["measured"])
            shares.append(run.metrics["top1"])
    if not shares:
        return None
    share = sum(shares) / len(shares)
    error = math.sqrt(share * (1 - share) / min(map(sum, photos.values())))
    return TrialError(error, share, min(map(min, photos.values())), min(map(len, photos.values())))


def edges(runs: Sequence[Result]) -> Iterator[Edge]:
    """For each setting of which the winner among an entry's trials has the smallest or largest value: which it is."""
    tried = scores(runs)
    best = winner(tried)
    if best is None:
        return
    recipes = {run.trial: run.recipe for run in runs if run.status == DONE}
    values = [(score.changes, recipes[score.trial]) for score in tried if score.top1 is not None]
    for place in dict.fromkeys(place for changes, _ in values for place in changes):
        all_tried = [changes.get(place, value_at(place, recipe)) for changes, recipe in values]
        own = best.changes.get(place, value_at(place, recipes[best.trial]))
        if edge := _edge(own, [value for at, value in enumerate(all_tried) if value not in all_tried[:at]]):
            yield Edge(place_in_words(place, recipes[best.trial]), value_in_words(own), *edge)


def _score(trial: int, runs: Sequence[Result]) -> Score:
    done = [run for run in runs if run.status == DONE]
    photos = sum(run.photos["measured"] for run in done)
    right = sum(run.photos["measured"] * run.metrics["top1"] for run in done)
    top1 = right / photos if photos and len(done) == len(runs) else None
    return Score(trial, runs[0].asked.trials[0], top1, len(runs))


def _edge(own: Any, values: Sequence[Any]) -> tuple[str, tuple[str, ...]] | None:
    """The end at which a value stands among those tried, and those; None in their middle, or for no numbers."""
    numbers = sorted(value for value in values if type(value) in (int, float))
    if len(values) < 2 or not numbers:
        return None
    if BY_DEFAULT in values:  # the record does not say where that stands
        others = tuple(value_in_words(value) for value in values if value != own)
        return ("", others) if len(values) == 2 else None
    if len(numbers) < len(values) or numbers[0] < own < numbers[-1]:
        return None
    ends = ("smaller", "larger") if len(numbers) == 2 else ("smallest", "largest")
    return ends[own == numbers[-1]], tuple(map(value_in_words, numbers))
