"""``fieldmark bench tables``: each table of the five papers, row by row, with ours beside the paper's figures."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from fieldmark.bench.recipe_words import changes_in_words
from fieldmark.bench.results import DONE, Asked, Result, read_results
from fieldmark.data.dataset import labels_of
from fieldmark.data.reading import read_dataset
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.statistics import seed_interval
from fieldmark.plain import did_you_mean
from fieldmark.recipes import ROWS
from fieldmark.recipes.composition import Row
from fieldmark.recipes.naming import rows_of
from fieldmark.recipes.other_figures import OTHER_FIGURES, REPEATED, OtherFigure
from fieldmark.recipes.quoted import quoted_beside

Kind = Literal["own", "quoted"]


@dataclass(frozen=True)
class TableRow:
    """A figure of a paper's table, and what there is of ours.

    ``kind`` is "own" where the authors ran it and "quoted" otherwise; ``recipe`` the name for ``--recipe``, if any;
    ``ours`` our figure with what it is of, or why there is none.
    """

    paper: str
    table: str
    data: str
    system: str
    figure: str
    unit: str
    kind: Kind
    recipe: str = ""
    ours: str = ""


def tables_of_papers(
    paper: str | None = None,
    *,
    results: Iterable[Path] = (),
    data: Mapping[str, Path] | None = None,
    times: Mapping[str, float] | None = None,
) -> list[TableRow]:
    """All figures of the papers' tables, by paper and table.

    Args:
        paper: a single paper, by its name for ``--method``; None for all.
        results: folders of comparisons whose entries follow rows by their names; what they change is said.
        data: where data sets lie, by the names that the tables have for them, to count their photos.
        times: milliseconds a photo, by the names of rows.

    Raises:
        UserError: no such paper, no comparison in a folder, or data that cannot be read or that no table has.
    """
    rows = rows_of(paper)
    papers = list(dict.fromkeys(name.partition("/")[0] for name in rows))
    measured = _by_recipe(read for folder in results for read in read_results(folder))
    counts = {name: _counted(name, path) for name, path in (data or {}).items()}
    found = [
        *_own(rows, measured),
        *_repeated(rows, measured),
        *(_other(figure, counts, times or {}) for figure in OTHER_FIGURES if figure.paper in papers),
        *(
            TableRow(q.paper, q.table, q.data, q.system, printed(q.figure), "% top-1", "quoted", ours="quoted there")
            for q in quoted_beside(rows)
        ),
    ]
    return sorted(found, key=lambda row: (papers.index(row.paper), _place(row.table)))


def printed(figure: float) -> str:
    """With one decimal, or two where the second is no zero."""
    return f"{figure:.2f}".removesuffix("0")


def _own(rows: Mapping[str, Row], measured: Mapping[str, list[Result]]) -> Iterator[TableRow]:
    for name, row in rows.items():
        paper, _, system = name.partition("/")
        figure = "-" if row.paper is None else printed(row.paper)
        yield TableRow(paper, row.table, row.data, system, figure, "% top-1", "own", name, _ours(name, row, measured))


def _repeated(rows: Mapping[str, Row], measured: Mapping[str, list[Result]]) -> Iterator[TableRow]:
    for table, system, name in REPEATED:
        if name in rows:
            row, paper = rows[name], name.partition("/")[0]
            ours = _ours(name, row, measured)
            yield TableRow(paper, table, row.data, system, printed(row.paper or 0.0), "% top-1", "own", name, ours)


def _ours(name: str, row: Row, measured: Mapping[str, list[Result]]) -> str:
    """The mean over seeds with its interval, for each data set and change of the recipe; or what a run needs."""
    if name not in measured:
        weights = ", pretrained weights" if row.recipe.model.weights != "none" else ""
        return f"not run: needs {row.data}{weights}, and hours of a GPU"
    alike: dict[tuple[str, str, str, str], dict[int, Result]] = {}
    for result in measured[name]:
        changed = changes_in_words(_changes(result), result.recipe)
        alike.setdefault((result.data, changed, result.title, result.entry), {})[result.seed] = result
    return "; ".join(_figure(*of[:2], list(by_seed.values())) for of, by_seed in sorted(alike.items()))


def _changes(result: Result) -> dict[str, Any]:
    """Where it is not the row: by its plan, by the trial that did best, and in the photos that it was given."""
    winner = result.tuned.get("winner")
    try:
        changes = {**result.asked.changes, **({} if winner is None else result.tuned["trials"][winner]["changes"])}
    except (KeyError, IndexError, TypeError) as error:
        raise UserError(f"{result.key}.json: its trials cannot be read; the file was changed by hand") from error
    asked = result.asked
    if asked.train_on and asked.train_on != ROWS[asked.recipe].recipe.train_on:
        changes["train_on"] = " + ".join(asked.train_on)
    return changes | ({} if asked.annotation == Asked.annotation else {"annotation": asked.annotation})


def _figure(data: str, changed: str, results: Sequence[Result]) -> str:
    mean, low, high = (100 * value for value in seed_interval([result.metrics["top1"] for result in results]))
    seeds, photos = len(results), results[0].photos["measured"]
    ends = f", {max(low, 0):.1f} to {min(high, 100):.1f}" if seeds > 1 else ""
    aside = f"; with {changed}" if changed else ""
    return f"{mean:.1f} ({seeds} seed{'s' * (seeds > 1)}{ends}; {photos:,} photos of {data}{aside})"


def _by_recipe(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Final runs that are done, by the row that they followed."""
    found: dict[str, list[Result]] = {}
    for result in results:
        if result.phase == "final" and result.status == DONE and result.asked.recipe in ROWS:
            found.setdefault(result.asked.recipe, []).append(result)
    return found


def _other(figure: OtherFigure, counts: Mapping[str, Mapping[str, str]], times: Mapping[str, float]) -> TableRow:
    ours = f"by {figure.how}"
    if figure.kind == "statistic":
        ours = counts.get(figure.data, {}).get(figure.system, ours)
    elif figure.recipe in times:
        ours = f"{times[figure.recipe]:.1f}"
    elif figure.table == "Table II":
        ours = _groups(figure)
    recipe = figure.recipe if figure.recipe in ROWS else ""
    return TableRow(
        figure.paper, figure.table, figure.data, figure.system, figure.figure, figure.unit, "own", recipe, ours
    )


def _groups(figure: OtherFigure) -> str:
    """How many classes have fewer channels and how many one more (Eq. 1 of Mutual-Channel Loss)."""
    channels = int(figure.system.split(" ", 1)[0])
    place = ("Table I", figure.data, "classes")
    classes = next(int(other.figure) for other in OTHER_FIGURES if (other.table, other.data, other.system) == place)
    more = channels % classes
    return f"{classes - more}/{more}"


def _counted(name: str, path: Path) -> dict[str, str]:
    """The statistics of a data set, from its labels; no photo is opened."""
    names = list(dict.fromkeys(figure.data for figure in OTHER_FIGURES if figure.kind == "statistic"))
    if name not in names:
        raise UserError(f"--data {printable(name)}: no table has statistics of it; {did_you_mean(name, names)}")
    dataset = read_dataset(path)
    classes = len({*labels_of(dataset.photos)} - {-1})
    trained, test, each = (len(dataset.of(splits)) for splits in (["train", "val"], ["test"], ["train"]))
    counts = {"classes": classes, "training photos": trained, "test photos": test}
    return {system: str(count) for system, count in counts.items()} | {"photos per class": f"{each / classes:.2f}"}


def _place(table: str) -> tuple[str, int]:
    """Tables in their order, whatever their numerals; text and figures last."""
    romans = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8, "IX": 9}
    kind, _, numeral = table.partition(",")[0].partition(" ")
    number = romans.get(numeral) or (int(numeral) if numeral.isdecimal() else 99)
    return ("" if kind == "Table" else kind, number)


def by_table(rows: Sequence[TableRow]) -> Iterator[tuple[tuple[str, str], list[TableRow]]]:
    """Rows in their order, table by table: (paper, table), and the rows."""
    for key, group in groupby(rows, key=lambda row: (row.paper, row.table)):
        yield key, list(group)
