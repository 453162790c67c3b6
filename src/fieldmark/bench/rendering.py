"""The report of a comparison, in Markdown: the same records make the same text, by the template beside this file."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fieldmark.bench import place_of
from fieldmark.bench.comparing import Row, Table, tables_of
from fieldmark.bench.plan import ENOUGH_SEEDS, PLAN, TRAIN, PlannedRun, read_plan, runs_of
from fieldmark.bench.recipe_words import changes_in_words, value_at, value_in_words
from fieldmark.bench.results import DONE, FAILED, Result, Session
from fieldmark.bench.tuning import Score, edges, told, trial_error, winner
from fieldmark.errors import printable
from fieldmark.evaluation.statistics import POWER, Interval
from fieldmark.training.runlog import clock


def report_of(folder: Path, out: Path | None = None) -> str:
    """The report of all results in a comparison's folder; ``out``, where it will lie, is only named in it.

    Raises:
        UserError: no folder, no results, or files that are damaged.
    """
    plan = read_plan(folder / PLAN) if (folder / PLAN).exists() else None
    tables = tables_of(folder, plan.baseline if plan else "")
    results = [run for table in tables for run in table.results]
    planned = runs_of(plan) if plan else []
    words = ["fieldmark", "bench", "report", place_of(folder), *(["--out", place_of(out)] if out else [])]
    text = (
        _environment()
        .get_template("report.md.jinja")
        .render(
            command=shlex.join(words),
            results=results,
            progress=_progress(planned, results) if plan else None,
            tuned=any(run.trial is not None for run in (*planned, *results)),
            notes=plan.notes if plan else (),
            tables=tables,
            power=POWER,
        )
    )
    flowing = re.sub(r"\n +", " ", text)  # what the template indents goes on with the line above it
    return re.sub(r"\n{3,}", "\n\n", flowing).strip() + "\n"


def _progress(planned: Sequence[PlannedRun], results: Sequence[Result]) -> dict[str, Any]:
    """How far a plan has come; entries that lack equally many runs stand together."""
    keys, recorded = {run.key for run in planned}, {run.key for run in results}
    several = len({run.data for run in planned}) > 1

    def counted(runs: Iterable[PlannedRun]) -> Counter[tuple[str, str]]:
        in_order = sorted(runs, key=lambda run: (run.data, run.entry.order))
        names = (f"{run.entry.name} on {run.data}" if several else run.entry.name for run in in_order)
        return Counter(zip(names, ("tuning" if run.phase == "tune" else "final" for run in in_order), strict=True))

    wanted, lacking = counted(planned), dict[str, list[str]]()
    for (name, kind), count in counted(run for run in planned if run.key not in recorded).items():
        lacking.setdefault(name, []).append(f"{count} of {wanted[name, kind]} {kind}")
    return {
        "planned": len(keys),
        "missing": len(keys - recorded),
        "lacking": grouped((name, " and ".join(words)) for name, words in lacking.items()),
        "failed": sum(run.status == FAILED and run.key in keys for run in results),
        "strangers": sorted({run.entry for run in results if run.key not in keys}),
    }


def _environment() -> Environment:
    """The template's functions; what it shows is escaped to one line, as names and reasons come from anywhere."""
    environment = Environment(
        loader=PackageLoader("fieldmark.bench", ""),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        autoescape=False,
        finalize=lambda value: value if isinstance(value, Markup) else printable(str(value)),
    )
    filters = (cells, each, clock, value_in_words, changes_in_words, trial_in_words, winner)
    filters = (*filters, sessions_of, source_of, device_of)
    facts = (settings_of, made_of, edges_of, trial_error, programs, efforts, retuned, conditions, trained_on)
    facts = (*facts, levels_of, level_words, unlike_weights, few_seeds, recipes_differ, unlike_baseline)
    environment.filters |= {function.__name__: function for function in filters}
    environment.globals["facts"] = {function.__name__: function for function in facts}
    return environment


def cells(words: Iterable[object]) -> str:
    """The inside of a table's row."""
    return " | ".join(str(word).replace("|", "\\|") for word in words)


def each(words: Iterable[Any]) -> list[Any]:
    """Without those that came before."""
    return list(dict.fromkeys(words))


def trial_in_words(trial: Score, tried: Sequence[Score]) -> str:
    """What a trial changed or, where that is nothing, how what other trials changed stands in it."""
    places = dict.fromkeys(place for other in tried for place in other.changes)
    as_set = changes_in_words({place: value_at(place, trial.recipe) for place in places}, trial.recipe)
    return changes_in_words(trial.changes, trial.recipe) or f"as planned ({as_set or 'nothing varied'})"


def settings_of(table: Table) -> tuple[list[str], list[tuple[str, dict[str, list[str]]]]]:
    """What trained rows follow beyond the table: settings that all share with their values, and those that differ."""
    trained = [row for row in table.rows if row.kind == TRAIN]
    further = {row.entry: table.followed(row.finals)[-1].further for row in trained}
    places = dict.fromkeys(place for settings in further.values() for place in settings)
    values = {place: grouped((entry, further[entry].get(place, "none")) for entry in further) for place in places}
    shared = [f"`{place}` {next(iter(entries))}" for place, entries in values.items() if len(entries) == 1]
    return shared, [(place, entries) for place, entries in values.items() if len(entries) > 1]


def levels_of(table: Table) -> list[str]:
    """The levels of groups at which rows are measured, the finest first."""
    return each(name for row in table.rows for name in row.levels)


def level_words(row: Row, levels: Iterable[str]) -> list[str]:
    """A row's accuracies at levels, in %, with their intervals where there are any."""
    return [row.entry, *(share_in_words(row.levels[name]) if name in row.levels else "" for name in levels)]


def share_in_words(share: Interval) -> str:
    """A share in %, and the ends of its interval, which lie between 0 and 100 %."""
    mean, low, high = (100 * min(max(value, 0.0), 1.0) if value == value else value for value in share)
    return f"{mean:.1f}" if low != low else f"{mean:.1f} ({low:.1f} to {high:.1f})"


def made_of(table: Table) -> dict[str, list[str]]:
    """What final runs were made from and with."""
    runs, sessions = table.finals, sessions_of(table.finals)
    return {
        "Data digest": each(run.data_digest[:12] for run in runs),
        "weights": each(f"{table.words[run.key].weights} ({run.weights_digest})" for run in runs if run.weights_digest),
        "device": each(map(device_of, sessions)),
        "precision": each(session.precision for session in sessions if session.precision),
        "packages": each(f"{name} {version}" for run in runs for name, version in run.versions.items()),
    }


def edges_of(table: Table) -> Mapping[Any, list[str]]:
    """The edges at which winners lie, and whose."""
    return grouped((entry, edge) for entry, tried in table.tried.items() for edge in edges(tried))


def grouped(pairs: Iterable[tuple[str, Any]]) -> dict[Any, list[str]]:
    """Names by what they have in common, both in order: pairs of a name and of what it has, each once."""
    names: dict[Any, dict[str, None]] = {}
    for name, value in pairs:
        names.setdefault(value, {})[name] = None
    return {value: list(those) for value, those in names.items()}


def source_of(session: Session) -> str:
    """The program of a session in a few letters: commit, "+" where files were changed since, digest."""
    return f"{session.commit[:10] or 'no commit'}{'+' if session.dirty else ''} ({session.digest[:8]})"


def device_of(session: Session) -> str:
    """The device of a session; earlier records say "1 threads"."""
    return re.sub(r"\b1 threads$", "1 thread", session.device)


def sessions_of(runs: Iterable[Result]) -> list[Session]:
    """Those that had a share in some runs."""
    return [session for run in runs for session in run.sessions]


def programs(runs: Iterable[Result]) -> dict[str, list[str]]:
    """The entries of some runs, by the programs that had a share in them."""
    return grouped((run.entry, source_of(session)) for run in runs for session in run.sessions)


def efforts(table: Table) -> dict[str, tuple[int, int]]:
    """Of trained rows, trials with a score and runs of tuning; nothing where all have equally many."""
    efforts = {
        row.entry: (sum(trial.top1 is not None for trial in row.trials), sum(len(trial.runs) for trial in row.trials))
        for row in table.rows
        if row.kind == TRAIN
    }
    return efforts if len(set(efforts.values())) > 1 else {}


def retuned(row: Row) -> bool:
    """Whether a final run of a trained row followed other trials than are recorded now."""
    now = told(row.trials) if row.trials else {}
    return row.kind == TRAIN and any(run.tuned != now for run in row.finals)


def conditions(table: Table) -> list[str]:
    """Versions, precisions and code from elsewhere that differ between runs, as far as they are known."""
    sessions = sessions_of(table.results)
    known = [*(run.versions for run in table.results), *(session.versions for session in sessions)]
    packages = (pair for versions in known for pair in versions.items() if pair[0] != "fieldmark")
    precisions = (("precision", session.precision) for session in sessions if session.precision)
    code = ((f"code of {name}", digest[:8]) for session in sessions for name, digest in session.code.items())
    differing: list[str] = []
    for pairs in (packages, precisions, code):
        values = grouped((value or "unknown", name) for name, value in pairs)
        differing += [f"{name} {', '.join(sorted(each))}" for name, each in sorted(values.items()) if len(each) > 1]
    return differing


def trained_on(table: Table) -> dict[str, dict[str, list[str]]]:
    """Rows by how many photos, and by which splits, they were trained on."""
    counts = ((run.entry, f"{run.photos['trained']:,}") for run in table.finals if "trained" in run.photos)
    splits = ((run.entry, table.words[run.key].train_on) for run in table.finals)
    return {"numbers of photos": grouped(counts), "splits": grouped(splits)}


def unlike_weights(table: Table) -> dict[str, list[str]]:
    """Contents, as digests, of files of weights that share a name and nothing else, by the name."""
    done = (run for run in table.results if run.status == DONE)
    files = grouped((run.weights_digest or "no file", table.words[run.key].weights) for run in done)
    return {name: sorted(digests) for name, digests in sorted(files.items()) if len(digests) > 1}


def few_seeds(table: Table) -> dict[str, list[str]]:
    """Trained rows with several seeds, and yet fewer than are advised, by how many they have."""
    seeds = ((row.entry, len(row.finals)) for row in table.rows if row.kind == TRAIN)
    return grouped((entry, str(count)) for entry, count in seeds if 1 < count < ENOUGH_SEEDS)


def recipes_differ(row: Row) -> bool:
    """Whether the final runs of a row followed different recipes, seeds aside."""
    first, *others = ({**run.recipe, "seed": 0} for run in row.finals)
    return any(recipe != first for recipe in others)


def unlike_baseline(table: Table, row: Row) -> dict[str, tuple[str, str]]:
    """In what a row differs from its baseline."""
    words = {other.entry: table.followed(other.finals)[-1] for other in table.rows}
    return words[row.entry].unlike(words[row.baseline]) if row.baseline in words else {}
