"""What makes the rows of a table less than equal, or its figures less than final: facts, told by the template."""

import re
from collections.abc import Iterable
from typing import Any

from fieldmark.bench.comparing import Row, Table
from fieldmark.bench.plan import ENOUGH_SEEDS, TRAIN
from fieldmark.bench.results import DONE, Result, Session
from fieldmark.bench.tuning import told


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
