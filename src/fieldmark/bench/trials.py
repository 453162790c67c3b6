"""What the trials leave open, in sentences: how sure their figures are, and where a better value may lie beyond."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fieldmark.bench.records import DONE, Result
from fieldmark.bench.tuning import scores, winner
from fieldmark.bench.wording import BY_DEFAULT, place_in_words, value_at, value_in_words


def accuracy_error(results: Sequence[Result]) -> str:
    """One sentence with the standard error of a trial's accuracy; "" where no trial is done."""
    done = [one for one in results if one.trial is not None and one.status == DONE and one.photos["measured"]]
    if not done:
        return ""
    runs = {(one.entry, one.trial): [] for one in done}
    for one in done:
        runs[one.entry, one.trial].append(one.photos["measured"])
    photos, seeds = min(map(min, runs.values())), min(map(len, runs.values()))
    share = sum(one.metrics["top1"] for one in done) / len(done)
    error = 100 * math.sqrt(share * (1 - share) / min(map(sum, runs.values())))
    over = f"{photos} photos held out and {'one seed' if seeds == 1 else f'{seeds} seeds'}"
    return (
        f"An accuracy over {over} has a standard error of {'at least ' if seeds > 1 else ''}{error:.1f} points (near "
        f"{100 * share:.0f} %) from the photos alone, and what another seed would change comes on top: trials that are "
        "closer than that are hardly told from each other."
    )


def at_the_edge(results: Sequence[Result]) -> list[str]:
    """For each setting of which a winner has the smallest or largest value that was tried: which, and whose."""
    whose: dict[str, list[str]] = defaultdict(list)
    tuned = [one for one in results if one.trial is not None]
    for entry in dict.fromkeys(one.entry for one in sorted(tuned, key=lambda one: one.order)):
        for line in _edges([one for one in tuned if one.entry == entry]):
            whose[line].append(entry)
    return [f"{line}: {', '.join(entries)}" for line, entries in whose.items()]


def _edges(runs: Sequence[Result]) -> Iterator[str]:
    """Of one entry."""
    found = scores(runs)
    best = winner(found)
    if best is None:
        return
    recipes = {one.trial: one.recipe for one in runs if one.status == DONE}
    tried = [(score.changes, recipes[score.trial]) for score in found if score.top1 is not None]
    for place in dict.fromkeys(place for changes, _ in tried for place in changes):
        values = [_value(place, *one) for one in tried]
        own = _value(place, best.changes, recipes[best.trial])
        if phrase := _extreme(own, [one for at, one in enumerate(values) if one not in values[:at]]):
            yield f"{place_in_words(place, recipes[best.trial])} {phrase}"


def _value(place: str, changes: Mapping[str, Any], recipe: Mapping[str, Any]) -> Any:
    return changes[place] if place in changes else value_at(place, recipe)


def _extreme(own: Any, values: Sequence[Any]) -> str:
    """The winner's value and, if it is the smallest or largest of those tried, that it is; "" if it is neither."""
    rest = [one for one in values if one != own]
    numbers = sorted(one for one in values if type(one) in (int, float))
    if not rest or not numbers:
        return ""
    if BY_DEFAULT in values:  # the record does not say where that stands
        mine, other = value_in_words(own), value_in_words(rest[0])
        return f"{mine}, one of only two that were tried (the other: {other})" if len(values) == 2 else ""
    if len(numbers) < len(values) or numbers[0] < own < numbers[-1]:
        return ""
    ends = ("smaller", "larger") if len(numbers) == 2 else ("smallest", "largest")
    *most, last = map(value_in_words, numbers)
    return f"{value_in_words(own)}, the {ends[own == numbers[-1]]} of {', '.join(most)} and {last}"
