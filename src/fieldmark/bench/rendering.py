"""The report of a comparison, in Markdown: the same records make the same text, by the template beside this file."""

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fieldmark.bench.cautions import Facts, device_of, grouped, source_of
from fieldmark.bench.comparing import BETTER, UNCLEAR, UNKNOWN, WORSE, Comparison, Row, tables_of
from fieldmark.bench.plan import PLAN, read_plan
from fieldmark.bench.planned_runs import PlannedRun, runs_of
from fieldmark.bench.recipe_words import place_in_words, value_at, value_in_words
from fieldmark.bench.results import DONE, FAILED, RESULTS, Result
from fieldmark.bench.tuning import Edge, edges, scores, trial_error, winner
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.statistics import POWER, Interval
from fieldmark.training.runlog import clock

VERDICTS = {
    BETTER: "better than {}",
    WORSE: "worse than {}",
    UNCLEAR: "no clear difference",
    UNKNOWN: "unknown (one seed)",
}


def report_of(folder: Path, out: Path | None = None) -> str:
    """The report of all results in a comparison's folder.

    Args:
        folder: of the comparison.
        out: where the text will lie; it is only named in it.

    Raises:
        UserError: no folder, no results, or files that are damaged.
    """
    _refuse_folder(folder)
    plan = read_plan(folder / PLAN) if (folder / PLAN).exists() else None
    tables = tables_of(folder, plan.baseline if plan else "")
    results = [run for table in tables for run in table.results]
    planned = runs_of(plan) if plan else []
    text = (
        _environment()
        .get_template("report.md.jinja")
        .render(
            command=shlex.join(
                ["fieldmark", "bench", "report", _name(folder), *(["--out", _name(out)] if out else [])]
            ),
            titles=list(dict.fromkeys(table.title for table in tables)),
            count=len(results),
            progress=_progress(planned, results) if plan else None,
            tuned=any(run.trial is not None for run in (*planned, *results)),
            notes=plan.notes if plan else (),
            sections=[(table, Facts(table)) for table in tables],
            power=POWER,
        )
    )
    flowing = re.sub(r"\n +", " ", text)  # what the template indents goes on with the line above it
    return re.sub(r"\n{3,}", "\n\n", flowing).strip() + "\n"


def _progress(planned: Sequence[PlannedRun], results: Sequence[Result]) -> dict[str, Any]:
    """How far a plan has come; entries that lack equally many runs stand together."""
    keys, recorded = {run.key for run in planned}, {run.key for run in results}
    missing = sorted((run for run in planned if run.key not in recorded), key=lambda run: (run.data, run.entry.order))
    several = len({run.data for run in planned}) > 1
    wanted = Counter(map(_row_and_phase, planned))
    lacking: dict[str, list[str]] = {}
    for (data, entry, phase), count in Counter(map(_row_and_phase, missing)).items():
        words = f"{count} of {wanted[data, entry, phase]} {'tuning' if phase == 'tune' else 'final'}"
        lacking.setdefault(f"{entry} on {data}" if several else entry, []).append(words)
    return {
        "planned": len(keys),
        "missing": len(missing),
        "lacking": grouped((entry, " and ".join(words)) for entry, words in lacking.items()),
        "failed": sum(run.status == FAILED and run.key in keys for run in results),
        "strangers": sorted({run.entry for run in results if run.key not in keys}),
    }


def _row_and_phase(run: PlannedRun) -> tuple[str, str, str]:
    return run.data, run.entry.name, run.phase


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
    words = (cells, each, listed, source_of, device_of, clock, value_in_words, changes_of, trial_rows)
    figures = (percent, signed, shares, points, p_value, comparison_cells)
    environment.filters |= {function.__name__: function for function in (*words, *figures)}
    environment.globals |= {function.__name__: function for function in (settings_of, made_of, edges_of, trial_error)}
    return environment


def cells(words: Iterable[object]) -> str:
    """The inside of a table's row."""
    return " | ".join(str(word).replace("|", "\\|") for word in words)


def each(words: Iterable[str]) -> list[str]:
    """Without those that came before."""
    return list(dict.fromkeys(words))


def listed(words: Sequence[str]) -> str:
    """Such as "a, b and c"."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def percent(share: float) -> str:
    """A share in %, without its sign; "" where there is none."""
    return "" if math.isnan(share) else f"{100 * share:.1f}"


def signed(share: float) -> str:
    """A difference in percentage points, with its sign; "" where there is none."""
    text = f"{100 * share:+.1f}"
    return "" if math.isnan(share) else "0.0" if float(text) == 0 else text.replace("-", "−")


def shares(interval: Interval) -> str:
    """A share and its interval in %, which ends at 0 and 100, of which Student's knows nothing."""
    return _with_ends([percent(share if math.isnan(share) else min(max(share, 0.0), 1.0)) for share in interval])


def points(interval: Interval) -> str:
    """A difference and its interval in percentage points."""
    return _with_ends([signed(share) for share in interval])


def p_value(value: float) -> str:
    """A p-value in three digits after the point; "" where there is none."""
    return "" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def comparison_cells(comparison: Comparison | None) -> list[str]:
    """Baseline, difference, p, minimum detectable difference, and the verdict."""
    if comparison is None:
        return [""] * 5
    verdict = VERDICTS[comparison.verdict].format(comparison.baseline)
    difference = points(comparison.difference.interval)
    return [comparison.baseline, difference, p_value(comparison.p), percent(comparison.minimum_detectable), verdict]


def changes_in_words(changes: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """What stands at some places of a recipe."""
    return ", ".join(f"{place_in_words(place, recipe)} {value_in_words(value)}" for place, value in changes.items())


def changes_of(row: Row) -> str:
    """What the tuning of a row chose; "" for all as it was set."""
    return changes_in_words(row.winner.changes, row.finals[-1].recipe) if row.winner else ""


def settings_of(facts: Facts) -> tuple[list[str], list[tuple[str, dict[str, list[str]]]]]:
    """What trained rows follow beyond the table: settings that all share with their values, and those that differ."""
    further = {row.entry: facts.recipe_of(row).further for row in facts.trained}
    places = dict.fromkeys(place for settings in further.values() for place in settings)
    values = {place: grouped((entry, further[entry].get(place, "none")) for entry in further) for place in places}
    shared = [f"`{place}` {next(iter(entries))}" for place, entries in values.items() if len(entries) == 1]
    return shared, [(place, entries) for place, entries in values.items() if len(entries) > 1]


def trial_rows(facts: Facts) -> Iterator[Sequence[str]]:
    """A row for each trial of all entries, also of those without a final run."""
    for runs in _by_entry(facts.trials):
        tried = scores(runs)
        best, places = winner(tried), dict.fromkeys(place for trial in tried for place in trial.changes)
        for score in tried:
            own = [run for run in runs if run.trial == score.trial]
            recipe = next((run.recipe for run in own if run.recipe), {})
            as_set = {place: value_at(place, recipe) for place in places if place not in score.changes}
            set_to = changes_in_words(as_set, recipe) or "nothing varied"
            figure = "failed" if score.top1 is None else percent(score.top1)
            yield (
                own[0].entry,
                changes_in_words(score.changes, recipe) or f"as planned ({set_to})",
                f"**{figure}**" if score == best else figure,
                ", ".join(each(str(run.photos["measured"]) for run in own if run.status == DONE)),
                ", ".join(each(facts.words[run.key].epochs for run in own if run.recipe)),
                ", ".join(each(str(run.seed) for run in own)),
            )


def made_of(facts: Facts) -> dict[str, list[str]]:
    """What final runs were made from and with."""
    runs, sessions = facts.finals, facts.final_sessions
    return {
        "Data digest": each(run.data_digest[:12] for run in runs),
        "weights": each(f"{facts.words[run.key].weights} ({run.weights_digest})" for run in runs if run.weights_digest),
        "device": each(map(device_of, sessions)),
        "precision": each(session.precision for session in sessions if session.precision),
        "packages": each(f"{name} {version}" for run in runs for name, version in run.versions.items()),
    }


def edges_of(facts: Facts) -> dict[Edge, list[str]]:
    """The edges at which winners lie, and whose."""
    whose: dict[Edge, list[str]] = {}
    for runs in _by_entry(facts.trials):
        for edge in edges(runs):
            whose.setdefault(edge, []).append(runs[0].entry)
    return whose


def _by_entry(trials: Iterable[Result]) -> list[list[Result]]:
    in_order = sorted(trials, key=lambda run: (run.order, run.entry))
    return [list(runs) for _, runs in groupby(in_order, lambda run: run.entry)]


def _with_ends(words: Sequence[str]) -> str:
    mean, low, high = words
    return f"{mean} ({low} to {high})" if low else mean


def _refuse_folder(folder: Path) -> None:
    """Raises ``UserError`` for what is no folder of a comparison."""
    shown = printable(str(folder))
    if not folder.exists():
        raise UserError(f"{shown}: no such folder; name the one that fieldmark bench run --out made")
    if not folder.is_dir():
        raise UserError(f"{shown} is a file; name the folder that fieldmark bench run --out made")
    if folder.name == RESULTS and any(folder.glob("*.json")):
        raise UserError(f"{shown}: name the folder above, {printable(str(folder.parent))}")


def _name(path: Path) -> str:
    return path.name if path.is_absolute() else path.as_posix()
