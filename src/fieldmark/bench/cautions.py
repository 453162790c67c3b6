"""What a reader of a table has to know before believing it, in sentences."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fieldmark.bench.comparing import Table
from fieldmark.bench.plan import TRAIN
from fieldmark.bench.records import DONE, FAILED, Result
from fieldmark.bench.tuning import told
from fieldmark.bench.wording import unlike, weights_of

FEW_SEEDS = 3
UNLIKE_SIZES = 10


def cautions_of(table: Table) -> list[str]:
    """All that makes the rows of a table less than equal, or the figures less than final."""
    return [*_tuning(table), *_sources(table), *_conditions(table), *_data(table), *_photos(table), *_runs(table)]


def _tuning(table: Table) -> Iterable[str]:
    trained = [row for row in table.rows if row.kind == TRAIN]
    counts = {row.entry: sum(score.top1 is not None for score in row.trials) for row in trained}
    runs = {row.entry: sum(score.runs for score in row.trials) for row in trained}
    if len(set(counts.values())) > 1 or len(set(runs.values())) > 1:
        each = ", ".join(f"{name} {count} (in {runs[name]} runs)" for name, count in counts.items())
        yield f"Unequal tuning: the methods had different numbers of trials, so they do not compare: {each}."
    for row in trained:
        if any(one.tuned != (told(row.trials) if row.trials else {}) for one in row.finals):
            yield f"{row.entry} was tuned again after some of its final runs; these follow an older choice."


def _sources(table: Table) -> Iterable[str]:
    """Which programs the figures come from, and which the trials that only chose settings."""
    finals = [one for row in table.rows for one in row.finals]
    trials = [one for one in table.results if one.trial is not None]
    reported, tuned = _programs(finals), _programs(trials)
    if len(reported) > 1:
        yield f"Mixed source: the final runs were made with {len(reported)} programs: {_by_whom(finals)}."
    elif len(programs := _sources_of(finals)) > 1:
        yield f"Mixed commits of the final runs, though of one and the same program: {', '.join(programs)}."
    if len(tuned) > 1 or (reported and tuned - reported):
        same = f"All final runs were made with one program, {_sources_of(finals)[0]}; " if len(reported) == 1 else ""
        count = f"{len(tuned)} programs" if len(tuned) > 1 else "another"
        yield f"{same}{'the' if same else 'The'} trials were made with {count}: {_by_whom(trials)}."


def _programs(results: Iterable[Result]) -> set[str]:
    return {session["digest"] for one in results for session in one.sessions}


def _sources_of(results: Iterable[Result]) -> list[str]:
    return sorted({source_of(session) for one in results for session in one.sessions})


def _by_whom(results: Sequence[Result]) -> str:
    """The programs, each with the rows that it had a share in."""
    whose: dict[str, dict[str, None]] = defaultdict(dict)
    for one in results:
        for session in one.sessions:
            whose[source_of(session)][one.entry] = None
    return "; ".join(f"{program} for {', '.join(names)}" for program, names in whose.items())


def _conditions(table: Table) -> Iterable[str]:
    """What else the runs were made with."""
    sessions = [session for one in table.results for session in one.sessions]
    changed = sorted({source_of(session) for session in sessions if session["dirty"]})
    if changed:
        yield f"Uncommitted changes were in the source ({', '.join(changed)}): no commit gives these runs."
    unknown = sorted({session["digest"] for session in sessions if not session["commit"]})
    if unknown:
        yield f"The commit of some source is not known, only its digest: {', '.join(unknown)}."
    if differing := [*_versions(table, sessions), *_precisions(sessions), *_code(sessions)]:
        yield f"Mixed conditions, under which accuracies may differ: {'; '.join(differing)}."
    timed = [session for row in table.rows for one in row.finals for session in one.sessions]
    devices = sorted({device_of(session) for session in timed})
    if len(devices) > 1:
        too = "; as their precisions differ, accuracies may differ too" if _precisions(timed) else ""
        yield f"Mixed devices, so training times do not compare{too}: {'; '.join(devices)}."


# Sessions of older records say nothing of versions, precision and code; what is not known differs from nothing.


def _versions(table: Table, sessions: Sequence[Mapping[str, Any]]) -> list[str]:
    known = [*(one.versions for one in table.results), *(session.get("versions", {}) for session in sessions)]
    names = sorted({name for found in known for name in found} - {"fieldmark"})
    seen = {name: sorted({found[name] or "unknown" for found in known if name in found}) for name in names}
    return [f"{name} {', '.join(found)}" for name, found in seen.items() if len(found) > 1]


def _precisions(sessions: Sequence[Mapping[str, Any]]) -> list[str]:
    seen = sorted({session["precision"] for session in sessions if "precision" in session})
    return [f"precision {', '.join(seen)}"] if len(seen) > 1 else []


def _code(sessions: Sequence[Mapping[str, Any]]) -> list[str]:
    known = [session.get("code", {}) for session in sessions]
    seen = {name: sorted({found[name][:8] for found in known if name in found}) for found in known for name in found}
    return [f"code of {name} {', '.join(found)}" for name, found in sorted(seen.items()) if len(found) > 1]


def _data(table: Table) -> Iterable[str]:
    digests = sorted({one.data_digest[:12] for one in table.results})
    if len(digests) > 1:
        yield f"Mixed data: photos, labels or splits differ between runs (digests {', '.join(digests)})."
    finals = [one for row in table.rows for one in row.finals]
    counts = ((one.entry, f"{one.photos['trained']:,}" if "trained" in one.photos else "unknown") for one in finals)
    yield from _differing("different numbers of photos", counts)
    splits = ((one.entry, "+".join(one.recipe.get("train_on", ("unknown",)))) for one in finals)
    yield from _differing("different splits", splits)
    files: dict[str, set[str]] = defaultdict(set)
    for one in table.results:
        if one.status == DONE:
            files[weights_of(one.recipe)].add(one.weights_digest or "no file")
    for name, found in sorted(files.items()):
        if len(found) > 1:
            yield f"Files called {name} with different contents were trained from ({', '.join(sorted(found))})."


def _photos(table: Table) -> Iterable[str]:
    """What is wrong with the photos that figures are over."""
    finals = [one for row in table.rows for one in row.finals]
    for key in table.odd:
        yield f"Mixed photos: {key} shares no photo's name with any other run, so nothing is held against it."
    if {one.photos["measured"] for one in finals if one.key not in table.odd} - {table.photos}:
        yield (
            "Not all runs were measured on the same photos; each difference is over those that all runs of its two "
            f"rows share ({_each_count(table)})."
        )
    for key, count in table.unsure.items():
        yield f"{key} has logits that are not finite for {count} photos: what it answers there means nothing."
    if table.class_sizes and max(table.class_sizes) >= UNLIKE_SIZES * min(table.class_sizes):
        sizes = f"from {min(table.class_sizes)} to {max(table.class_sizes):,} test photos"
        yield f"The classes have {sizes}: top-1 and all verdicts are mostly of the large ones; see *per class*, too."


def _each_count(table: Table) -> str:
    each = (f"{row.entry} and {one.baseline} {one.photos}" for row in table.rows for one in row.comparisons)
    return ", ".join(each) or f"all of them {table.photos}"


def _differing(what: str, found: Iterable[tuple[str, str]]) -> Iterable[str]:
    """A line if rows were trained on unlike things; ``found`` are entries and what they were trained on."""
    whose: dict[str, dict[str, None]] = defaultdict(dict)
    for entry, value in found:
        whose[value][entry] = None
    if len(whose) > 1:
        each = "; ".join(f"{value} by {', '.join(names)}" for value, names in whose.items())
        yield f"The rows were trained on {what}, so they do not compare: {each}."


def _runs(table: Table) -> Iterable[str]:
    failed = [one for one in table.results if one.status == FAILED]
    for one in failed:
        yield f"{one.key} failed: {one.reason}"
    for row in table.rows:
        if len({_without_seed(one) for one in row.finals}) > 1:
            yield f"{row.entry}: its seeds did not follow the same recipe."
        if row.kind == TRAIN and len(row.finals) < 2:
            yield f"{row.entry} has one seed: nothing is known of how far another would be from it."
        if len(named := dict.fromkeys(one.baseline for one in row.finals)) > 1:
            yield f"{row.entry}: its runs name different baselines ({', '.join(named)}); {row.baseline} is taken."
        if opened := [one.key for one in row.finals if one.test_openings > 1]:
            yield f"The test photos were opened more than once (a stop while measuring) by {', '.join(opened)}."
    trained = [row for row in table.rows if row.kind == TRAIN]
    if few := [f"{row.entry} {len(row.finals)}" for row in trained if 1 < len(row.finals) < FEW_SEEDS]:
        yield f"Fewer than {FEW_SEEDS} seeds, so all that is said of other seeds is rough: {', '.join(few)}."
    names = {row.entry for row in table.rows}
    for name in sorted({row.baseline for row in table.rows} - names):
        yield f"The baseline {name} has no final run yet, so nothing is held against it."
    waiting = sorted({one.entry for one in table.results if one.status == DONE} - names)
    if waiting:
        yield f"No final run yet: {', '.join(waiting)}."
    recipes = {row.entry: row.finals[-1].recipe for row in table.rows}
    for row in table.rows:
        if row.baseline in recipes and (found := unlike(recipes[row.entry], recipes[row.baseline])):
            what = "; ".join(f"other {name}: {mine} and {theirs}" for name, (mine, theirs) in found.items())
            yield f"{row.entry} is held against {row.baseline}, which has {what}."
    for row in table.rows:
        if row.comparison and row.kind == TRAIN and len(row.comparison.seeds) < len(row.finals):
            seeds = ", ".join(map(str, row.comparison.seeds))
            yield f"{row.entry} and {row.comparison.baseline} share the seeds {seeds} alone; the others are left out."


def source_of(session: Mapping[str, Any]) -> str:
    """The program of a session in a few letters: commit, "+" where files were changed since, digest."""
    return f"{session['commit'][:10] or 'no commit'}{'+' if session['dirty'] else ''} ({session['digest'][:8]})"


def device_of(session: Mapping[str, Any]) -> str:
    """The device of a session; earlier records say "1 threads"."""
    return re.sub(r"\b1 threads$", "1 thread", session["device"])


def _without_seed(result: Result) -> str:
    return repr(sorted((key, repr(value)) for key, value in result.recipe.items() if key != "seed"))
