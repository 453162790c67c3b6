"""What makes the rows of a table less than equal, or its figures less than final: facts, told by the template."""

import re
from collections import defaultdict
from collections.abc import Iterable

from fieldmark.bench.comparing import Row, Table
from fieldmark.bench.plan import ENOUGH_SEEDS, TRAIN
from fieldmark.bench.recipe_words import RecipeWords, in_words
from fieldmark.bench.results import DONE, Result, Session
from fieldmark.bench.tuning import told


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Names by what they have in common, both in order: pairs of a name and of what it has, each once."""
    names: dict[str, dict[str, None]] = defaultdict(dict)
    for name, value in pairs:
        names[value][name] = None
    return {value: list(those) for value, those in names.items()}


def source_of(session: Session) -> str:
    """The program of a session in a few letters: commit, "+" where files were changed since, digest."""
    return f"{session.commit[:10] or 'no commit'}{'+' if session.dirty else ''} ({session.digest[:8]})"


def device_of(session: Session) -> str:
    """The device of a session; earlier records say "1 threads"."""
    return re.sub(r"\b1 threads$", "1 thread", session.device)


class Facts:
    """A table's runs: ``finals`` of its rows, ``trials``, sessions; rows ``trained``; recipes in ``words`` by key."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.finals = [run for row in table.rows for run in row.finals]
        self.trials = [run for run in table.results if run.trial is not None]
        self.sessions = [session for run in table.results for session in run.sessions]
        self.final_sessions = [session for run in self.finals for session in run.sessions]
        self.trained = [row for row in table.rows if row.kind == TRAIN]
        followed = (run for run in table.results if run.recipe or run.status == DONE)
        self.words: dict[str, RecipeWords] = {run.key: in_words(run.recipe, key=run.key) for run in followed}

    def recipe_of(self, row: Row) -> RecipeWords:
        """What a row's last final run followed."""
        return self.words[row.finals[-1].key]

    def unread(self) -> list[str]:
        """A line for each photo that a run could not read."""
        return list(dict.fromkeys(line for run in self.table.results for line in run.damaged))

    def efforts(self) -> dict[str, tuple[int, int]]:
        """Of trained rows, trials with a score and runs of tuning; nothing where all have equally many."""
        efforts = {
            row.entry: (sum(score.top1 is not None for score in row.trials), sum(score.runs for score in row.trials))
            for row in self.trained
        }
        return efforts if len(set(efforts.values())) > 1 else {}

    def retuned(self) -> list[str]:
        """Trained rows of which a final run followed other trials than are recorded now."""
        now = {row.entry: told(row.trials) if row.trials else {} for row in self.trained}
        return [row.entry for row in self.trained if any(run.tuned != now[row.entry] for run in row.finals)]

    def programs(self, runs: Iterable[Result]) -> dict[str, list[str]]:
        """The entries of some runs, by the programs that had a share in them."""
        return grouped((run.entry, source_of(session)) for run in runs for session in run.sessions)

    def conditions(self) -> list[str]:
        """Versions, precisions and code from elsewhere that differ between runs, as far as they are known."""
        known = [*(run.versions for run in self.table.results), *(session.versions for session in self.sessions)]
        packages = (pair for versions in known for pair in versions.items() if pair[0] != "fieldmark")
        precisions = (("precision", session.precision) for session in self.sessions if session.precision)
        code = ((f"code of {name}", digest[:8]) for session in self.sessions for name, digest in session.code.items())
        differing: list[str] = []
        for pairs in (packages, precisions, code):
            values = grouped((value or "unknown", name) for name, value in pairs)
            differing += [f"{name} {', '.join(sorted(each))}" for name, each in sorted(values.items()) if len(each) > 1]
        return differing

    def trained_on(self) -> dict[str, dict[str, list[str]]]:
        """Rows by how many photos, and by which splits, they were trained on."""
        known = (run for run in self.finals if "trained" in run.photos)
        counts = ((run.entry, f"{run.photos['trained']:,}") for run in known)
        splits = ((run.entry, self.words[run.key].train_on) for run in self.finals)
        return {"numbers of photos": grouped(counts), "splits": grouped(splits)}

    def unlike_weights(self) -> dict[str, list[str]]:
        """Contents, as digests, of files of weights that share a name and nothing else, by the name."""
        done = (run for run in self.table.results if run.status == DONE)
        files = grouped((run.weights_digest or "no file", self.words[run.key].weights) for run in done)
        return {name: sorted(digests) for name, digests in sorted(files.items()) if len(digests) > 1}

    def few_seeds(self) -> dict[str, list[str]]:
        """Trained rows with several seeds, and yet fewer than are advised, by how many they have."""
        return grouped((row.entry, str(len(row.finals))) for row in self.trained if 1 < len(row.finals) < ENOUGH_SEEDS)

    def recipes_differ(self, row: Row) -> bool:
        """Whether the final runs of a row followed different recipes, seeds aside."""
        recipes = [{key: value for key, value in run.recipe.items() if key != "seed"} for run in row.finals]
        return any(recipe != recipes[0] for recipe in recipes)

    def unlike_baseline(self, row: Row) -> dict[str, tuple[str, str]]:
        """In what a row differs from its baseline."""
        rows = {other.entry: other for other in self.table.rows}
        return self.recipe_of(row).unlike(self.recipe_of(rows[row.baseline])) if row.baseline in rows else {}
