"""What makes the rows of a table less than equal, or its figures less than final: facts; the report has the words."""

import re
from collections import defaultdict
from collections.abc import Iterable

from fieldmark.bench.comparing import Row, Table
from fieldmark.bench.plan import TRAIN
from fieldmark.bench.recipe_words import RecipeWords, in_words
from fieldmark.bench.results import DONE, Result, Session
from fieldmark.bench.tuning import told

FEW_SEEDS = 3
UNLIKE_SIZES = 10


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
    """A table's runs: ``finals`` of rows, ``trained`` rows, ``trials``, and recipes in ``words`` by a run's key."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.finals = [run for row in table.rows for run in row.finals]
        self.trials = [run for run in table.results if run.trial is not None]
        self.trained = [row for row in table.rows if row.kind == TRAIN]
        followed = (run for run in table.results if run.recipe or run.status == DONE)
        self.words: dict[str, RecipeWords] = {run.key: in_words(run.recipe, key=run.key) for run in followed}

    def recipe_of(self, row: Row) -> RecipeWords:
        """What a row's last final run followed."""
        return self.words[row.finals[-1].key]

    @property
    def efforts(self) -> dict[str, tuple[int, int]]:
        """Of trained rows, trials with a score and runs of tuning; nothing where all have equally many."""
        efforts = {
            row.entry: (sum(score.top1 is not None for score in row.trials), sum(score.runs for score in row.trials))
            for row in self.trained
        }
        return efforts if len(set(efforts.values())) > 1 else {}

    @property
    def retuned(self) -> list[str]:
        """Trained rows of which a final run followed other trials than are recorded now."""
        now = {row.entry: told(row.trials) if row.trials else {} for row in self.trained}
        return [row.entry for row in self.trained if any(run.tuned != now[row.entry] for run in row.finals)]

    def digests(self, runs: Iterable[Result]) -> set[str]:
        """Those of the programs that had a share in some runs."""
        return {session.digest for run in runs for session in run.sessions}

    def programs(self, runs: Iterable[Result]) -> dict[str, list[str]]:
        """The entries of some runs, by the programs that had a share in them."""
        return grouped((run.entry, source_of(session)) for run in runs for session in run.sessions)

    @property
    def conditions(self) -> list[str]:
        """Versions, precisions and code from elsewhere that differ between runs, as far as they are known."""
        sessions = self._sessions(self.table.results)
        known = [*(run.versions for run in self.table.results), *(session.versions for session in sessions)]
        packages = (pair for versions in known for pair in versions.items() if pair[0] != "fieldmark")
        precisions = (("precision", session.precision) for session in sessions if session.precision)
        code = ((f"code of {name}", digest[:8]) for session in sessions for name, digest in session.code.items())
        differing: list[str] = []
        for facts in (packages, precisions, code):
            values: dict[str, set[str]] = defaultdict(set)
            for name, value in facts:
                values[name].add(value or "unknown")
            differing += [f"{name} {', '.join(sorted(each))}" for name, each in sorted(values.items()) if len(each) > 1]
        return differing

    @property
    def unclean(self) -> list[str]:
        """The programs with uncommitted changes."""
        return sorted({source_of(session) for session in self._sessions(self.table.results) if session.dirty})

    @property
    def commitless(self) -> list[str]:
        """The digests of programs whose commit is not known."""
        return sorted({session.digest for session in self._sessions(self.table.results) if not session.commit})

    @property
    def devices(self) -> list[str]:
        """What final runs were worked on."""
        return list(dict.fromkeys(map(device_of, self._sessions(self.finals))))

    @property
    def precisions(self) -> list[str]:
        """What final runs were computed in, as far as it is known."""
        return list(dict.fromkeys(session.precision for session in self._sessions(self.finals) if session.precision))

    @property
    def data_digests(self) -> list[str]:
        """Those of the photos, labels and splits of all runs, shortened."""
        return sorted({run.data_digest[:12] for run in self.table.results})

    @property
    def data_of_finals(self) -> list[str]:
        """Those of final runs, in their order."""
        return list(dict.fromkeys(run.data_digest[:12] for run in self.finals))

    @property
    def weights(self) -> list[str]:
        """The files that final runs began with, each with its digest."""
        runs = (run for run in self.finals if run.weights_digest)
        return list(dict.fromkeys(f"{self.words[run.key].weights} ({run.weights_digest})" for run in runs))

    @property
    def packages(self) -> list[str]:
        """The versions that final runs were made with."""
        return list(dict.fromkeys(f"{name} {version}" for run in self.finals for name, version in run.versions.items()))

    @property
    def photos_trained(self) -> dict[str, list[str]]:
        """Rows by how many photos they were trained on."""
        counts = (
            (run.entry, f"{run.photos['trained']:,}" if "trained" in run.photos else "unknown") for run in self.finals
        )
        return grouped(counts)

    @property
    def splits_trained(self) -> dict[str, list[str]]:
        """Rows by the splits that they were trained on."""
        return grouped((run.entry, self.words[run.key].train_on) for run in self.finals)

    @property
    def unlike_weights(self) -> dict[str, list[str]]:
        """Contents, as digests, of files of weights that share a name and nothing else, by the name."""
        digests: dict[str, set[str]] = defaultdict(set)
        for run in self.table.results:
            if run.status == DONE:
                digests[self.words[run.key].weights].add(run.weights_digest or "no file")
        return {name: sorted(those) for name, those in sorted(digests.items()) if len(those) > 1}

    @property
    def measured_differ(self) -> bool:
        """Whether some final run was measured on other photos than all runs share."""
        runs = (run for run in self.finals if run.key not in self.table.odd)
        return bool({run.photos["measured"] for run in runs} - {self.table.photos})

    @property
    def unlike_sizes(self) -> bool:
        """Whether a class has many times the photos of another."""
        sizes = self.table.class_sizes
        return bool(sizes) and max(sizes) >= UNLIKE_SIZES * min(sizes)

    def recipes_differ(self, row: Row) -> bool:
        """Whether the final runs of a row followed different recipes, seeds aside."""
        recipes = [{key: value for key, value in run.recipe.items() if key != "seed"} for run in row.finals]
        return any(recipe != recipes[0] for recipe in recipes)

    @property
    def few_seeds(self) -> dict[str, int]:
        """Trained rows with more than one seed, and yet few; of each, how many."""
        return {row.entry: len(row.finals) for row in self.trained if 1 < len(row.finals) < FEW_SEEDS}

    @property
    def absent_baselines(self) -> list[str]:
        """Baselines without a row."""
        return sorted({row.baseline for row in self.table.rows} - {row.entry for row in self.table.rows})

    @property
    def waiting(self) -> list[str]:
        """Entries that have been run and have no row."""
        done = {run.entry for run in self.table.results if run.status == DONE}
        return sorted(done - {row.entry for row in self.table.rows})

    def unlike_baseline(self, row: Row) -> dict[str, tuple[str, str]]:
        """In what a row is unlike the one that it is held against."""
        rows = {other.entry: other for other in self.table.rows}
        return self.recipe_of(row).unlike(self.recipe_of(rows[row.baseline])) if row.baseline in rows else {}

    def _sessions(self, runs: Iterable[Result]) -> list[Session]:
        return [session for run in runs for session in run.sessions]
