"""How the rows of a table were made: from each number to its recipe, its seeds, its trials and its commit."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from fieldmark.bench.cautions import device_of, source_of
from fieldmark.bench.comparing import Row, Table
from fieldmark.bench.markdown import grid, percent
from fieldmark.bench.plan import PROBE, TRAIN
from fieldmark.bench.records import DONE, Result
from fieldmark.bench.tuning import Score, scores, winner
from fieldmark.bench.wording import (
    Recorded,
    batches_of,
    epochs_of,
    further_settings,
    method_of,
    place_in_words,
    rate_of,
    value_at,
    value_in_words,
    weights_of,
)
from fieldmark.training.runlog import clock

RUN = (
    *("method", "parts", "backbone, pixels", ">epochs", "batches", "optimiser and learning rate"),
    *("chosen by tuning", "seeds", ">time a run", "commit (digest of the source)"),
)
TUNING = ("method", "tried", ">top-1 %", ">photos held out", ">epochs", "seeds")


def what_was_run(table: Table) -> Iterator[str]:
    """The paragraphs on the final runs: a table with a row an entry, settings beyond it, photos and programs."""
    yield grid(RUN, map(_run, table.rows))
    yield from _further([row for row in table.rows if row.kind == TRAIN])
    finals = [one for row in table.rows for one in row.finals]
    devices = _each(device_of(session) for one in finals for session in one.sessions)
    versions = _each(f"{name} {version}" for one in finals for name, version in one.versions.items())
    weights = _each(f"{weights_of(one.recipe)} ({one.weights_digest})" for one in finals if one.weights_digest)
    precisions = _each(session["precision"] for one in finals for session in one.sessions if "precision" in session)
    data = _each(one.data_digest[:12] for one in finals)
    parts = (("Photos, labels, splits:", data), ("weights:", weights), ("machine:", devices))
    parts += (("precision:", precisions), ("programs:", versions))
    yield "; ".join(f"{word} {', '.join(found)}" for word, found in parts if found) + "."
    yield "Options that a part does not name are its defaults at that commit; the results' files hold whole recipes."


def tuning_table(results: Iterable[Result]) -> str:
    """The trials of all entries, also of those without a final run; "" where none is recorded."""
    tuned = [one for one in results if one.trial is not None]
    tuned.sort(key=lambda one: (one.order, one.entry))  # in the plan's order, and together for groupby
    groups = (list(runs) for _, runs in groupby(tuned, lambda one: one.entry))
    return grid(TUNING, (row for runs in groups for row in _tuning(runs))) if tuned else ""


def commands_of(table: Table) -> list[str]:
    """The commands that the final runs were made with."""
    return _each(one.command for row in table.rows for one in row.finals)


def _run(row: Row) -> Sequence[str]:
    recipe = row.finals[-1].recipe
    sources = ", ".join(_each(source_of(session) for one in row.finals for session in one.sessions))
    if row.kind == PROBE:
        parts = f"logistic regression on frozen features, penalty {value_in_words(recipe.get('penalty'))}"
        backbone = f"{recipe.get('backbone', 'unknown')}, {recipe.get('size', 'unknown')}"
        chosen = "the penalty, by cross-validation inside the training photos"
        return (row.entry, parts, backbone, "", "", "", chosen, "none needed", clock(row.seconds), sources)
    model, pixels = recipe.get("model", {}), recipe.get("pixels", {})
    shown, seen = pixels.get("size", "unknown"), pixels.get("eval_size")
    return (
        row.entry,
        method_of(recipe),
        f"{model.get('backbone', 'unknown')}, {shown}" + (f" ({seen} in test)" if seen not in (None, shown) else ""),
        epochs_of(recipe),
        batches_of(recipe),
        rate_of(recipe),
        _chosen(row.trials, recipe),
        ", ".join(str(one.seed) for one in row.finals),
        clock(row.seconds),
        sources,
    )


def _chosen(trials: Sequence[Score], recipe: Recorded) -> str:
    best = winner(trials)
    return "not tuned" if best is None else f"{_changes(best.changes, recipe) or 'as set'}, of {len(trials)} tried"


def _tuning(runs: Sequence[Result]) -> Iterator[Sequence[str]]:
    """A row for each trial of an entry."""
    found = scores(runs)
    best, places = winner(found), _each(place for trial in found for place in trial.changes)
    for score in found:
        own = [one for one in runs if one.trial == score.trial]
        recipe = next((one.recipe for one in own if one.recipe), {})
        as_set = {place: value_at(place, recipe) for place in places if place not in score.changes}
        what = _changes(score.changes, recipe) or f"as set ({_changes(as_set, recipe) or 'nothing varied'})"
        mark = "**" if best and score.trial == best.trial else ""
        yield (
            runs[0].entry,
            what,
            f"{mark}{'failed' if score.top1 is None else percent(score.top1)}{mark}",
            ", ".join(_each(str(one.photos["measured"]) for one in own if one.status == DONE)),
            ", ".join(_each(epochs_of(one.recipe) for one in own if one.recipe)),
            ", ".join(_each(str(one.seed) for one in own)),
        )


def _changes(changes: Mapping[str, Any], recipe: Recorded) -> str:
    """What stands at some places of a recipe, in words."""
    return ", ".join(f"{place_in_words(place, recipe)} {value_in_words(value)}" for place, value in changes.items())


def _further(rows: Sequence[Row]) -> Iterator[str]:
    """Settings that the table does not show: those of all rows, and in which they differ."""
    settings = {row.entry: further_settings(row.finals[-1].recipe) for row in rows}
    alike, unlike = [], []
    for place in _each(place for found in settings.values() for place in found):
        whose: dict[str, list[str]] = defaultdict(list)
        for entry, found in settings.items():
            whose[found.get(place, "none")].append(entry)
        if len(whose) == 1:
            alike.append(f"`{place}` {next(iter(whose))}")
        else:
            unlike.append(f"`{place}` " + ", ".join(f"{value} ({', '.join(names)})" for value, names in whose.items()))
    if unlike:
        yield f"**Further settings in which rows differ:** {'; '.join(unlike)}."
    if alike:
        yield f"Further settings, the same in all trained rows: {', '.join(alike)}."


def _each(words: Iterable[str]) -> list[str]:
    """Without those that came before."""
    return list(dict.fromkeys(words))
