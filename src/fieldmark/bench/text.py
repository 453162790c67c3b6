"""The report of a comparison, in Markdown: the same records make the same text."""

import math
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from fieldmark.bench.cautions import cautions_of
from fieldmark.bench.comparing import BETTER, UNTOLD, Comparison, Row, Table, tables_of
from fieldmark.bench.making import commands_of, tuning_table, what_was_run
from fieldmark.bench.markdown import difference_interval, grid, listed, p_value, percent, share_interval, signed
from fieldmark.bench.plan import PROBE
from fieldmark.bench.planned import Planned, PlannedRun, read_planned
from fieldmark.bench.records import FAILED, RESULTS, Result
from fieldmark.bench.trials import accuracy_error, at_the_edge
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.statistics import POWER

TUNED = (
    "Each method was trained with seeds that its tuning had not seen, and measured on the test photos. Trials were "
    "compared on photos that they were not trained on: the validation split of data that have one, else a part held "
    "out of the training split. No test photo took part in tuning."
)
UNTUNED = "Nothing was tuned: each method was trained as the plan sets it, and measured on the test photos."
PROVISIONAL = (
    "Until then all verdicts are provisional: p-values are corrected (Holm) for the differences that are recorded so "
    "far, and each that is added raises the bar for all."
)
UNKNOWN = (
    "The folder holds no list of the planned runs (`plan.json`), so this report cannot know whether some are missing; "
    "the next `fieldmark bench run` writes one."
)
FIGURES = ("method", ">top-1 %", ">seeds", ">per class %")
DIFFERENCES = ("against", ">difference", ">p", ">seen from", "so it is")
BOLD = ("Unequal", "Mixed", "The rows were trained")


def report_of(folder: Path, out: Path | None = None) -> str:
    """The report of all results in a comparison's folder.

    Args:
        folder: of the comparison.
        out: where the text will lie; it is only named in it.

    Raises:
        UserError: no folder, no results, or files that are damaged.
    """
    _refuse_folder(folder)
    planned = read_planned(folder)
    tables = tables_of(folder, planned.baseline if planned else "")
    words = ["fieldmark", "bench", "report", _shown(folder), *(["--out", _shown(out)] if out else [])]
    command = shlex.join(words)
    results = [one for table in tables for one in table.results]
    head = (
        f"# {' / '.join(dict.fromkeys(table.title for table in tables))}",
        f"Made by `{command}` from {_runs(len(results))}; not to be edited.",
        *_missing(planned, results),
        TUNED if _is_tuned(planned, results) else UNTUNED,
        *(f"**Note.** {printable(note)}" for note in (planned.notes if planned else ())),
    )
    return "\n\n".join((*head, *(part for table in tables for part in _section(table, command)))) + "\n"


def _is_tuned(planned: Planned | None, results: Sequence[Result]) -> bool:
    return any(one.trial is not None for one in (*(planned.runs if planned else ()), *results))


def _refuse_folder(folder: Path) -> None:
    """Raises ``UserError`` for what is no folder of a comparison."""
    shown = printable(str(folder))
    if not folder.exists():
        raise UserError(f"{shown}: no such folder; name the one that fieldmark bench run --out made")
    if not folder.is_dir():
        raise UserError(f"{shown} is a file; name the folder that fieldmark bench run --out made")
    if folder.name == RESULTS and any(folder.glob("*.json")):
        raise UserError(f"{shown}: name the folder above, {printable(str(folder.parent))}")


def _missing(planned: Planned | None, results: Sequence[Result]) -> Iterator[str]:
    """What of the plan is not yet recorded, entry by entry; entries that lack as much stand together."""
    if planned is None:
        yield UNKNOWN
        return
    keys = {run.key for run in planned.runs}
    missing = planned.missing({one.key for one in results})
    if missing:
        yield f"**Not finished: {len(missing)} of {len(keys)} planned runs are still to come:**"
        yield listed(_lacking(planned, missing))
        yield PROVISIONAL
    else:
        failed = sum(one.status == FAILED and one.key in keys for one in results)
        yield f"All {len(keys)} planned runs are recorded" + (f", of which {failed} failed." if failed else ".")
    if others := sorted({one.entry for one in results if one.key not in keys}):
        yield f"Runs that the plan does not have (any more) are shown, too: of {', '.join(others)}."


def _lacking(planned: Planned, missing: Sequence[PlannedRun]) -> Iterator[str]:
    """How many runs of which entries are missing; entries that lack equally many stand together."""
    several = len({run.data for run in planned.runs}) > 1
    wanted = Counter((run.data, run.entry, run.phase) for run in planned.runs)
    lacking: dict[str, list[str]] = defaultdict(list)
    in_order = sorted(missing, key=lambda run: (run.data, run.order))
    for (data, entry, phase), count in Counter((run.data, run.entry, run.phase) for run in in_order).items():
        word = "tuning" if phase == "tune" else "final"
        lacking[f"{entry} on {data}" if several else entry].append(f"{count} of {wanted[data, entry, phase]} {word}")
    together: dict[str, list[str]] = defaultdict(list)
    for name, words in lacking.items():
        together[" and ".join(words)].append(name)
    return (f"{', '.join(names)}: {words} runs{' each' if len(names) > 1 else ''}" for words, names in together.items())


def _section(table: Table, command: str) -> Iterator[str]:
    """The paragraphs of a data set."""
    yield f"## {table.data}"
    if cautions := cautions_of(table):
        yield "**Before believing this table:**"
        yield listed(f"**{line}**" if line.startswith(BOLD) else line for line in cautions)
    if table.rows:
        yield from _accuracies(table)
        yield "### What was run"
        yield from what_was_run(table)
    else:
        yield "No final run is done yet."
    if trials := tuning_table(table.results):
        yield "### Tuning"
        yield "What each setting came to on photos held out of its training; the best, of equals the first, in bold."
        if error := accuracy_error(table.results):
            yield error
        yield trials
        if edges := at_the_edge(table.results):
            yield "Winners at the edge of what was tried, beyond which a better value may lie:"
            yield listed(edges)
    if commands := commands_of(table):
        yield "The runs again (`--only ROW` for one row alone), and this text from them:"
        yield "\n".join(("```sh", *commands, command, "```"))


def _accuracies(table: Table) -> Iterator[str]:
    """The tables of figures and what they mean."""
    photos = table.rows[0].finals[0].photos
    splits = "+".join(table.rows[0].finals[0].recipe.get("train_on", ()))
    trained = f"{photos['trained']:,}" if "trained" in photos else "an unknown number of"
    trained += " training photos" + (f" ({splits})" if splits else "")
    yield f"{trained}, {table.photos:,} test photos, {photos['classes']} classes."
    yield grid((*FIGURES, *DIFFERENCES), ((*_figures(row), *_told(row.comparison)) for row in table.rows))
    beside = [row for row in table.rows if row.to_default]
    if beside:
        yield (
            f"And against {table.default}, the common baseline, from which these rows differ in more than the method "
            "(see *What was run*):"
        )
        yield grid(("method", *DIFFERENCES), ((row.entry, *_told(row.to_default)) for row in beside))
    yield listed(_meaning(table))
    if sentences := [line for line in map(_sentence, table.rows) if line]:
        yield listed(sentences)


def _meaning(table: Table) -> Iterator[str]:
    """What the columns say, for a reader who has not met them."""
    yield (
        "**top-1 %**: mean over the seeds; in brackets Student's 95 % interval (t over seeds): where the mean of many "
        "more seeds is to be expected, on the same photos. **per class %**: mean of the classes' own accuracies."
    )
    if not any(row.comparisons for row in table.rows):
        return
    many = max(1, table.corrected_for)
    yield (
        "**difference**: to the row under *against*, in percentage points, paired photo by photo and seed by seed; in "
        "brackets its 95 % interval for further seeds and further photos (min F' of Clark 1973), each for itself; with "
        "three seeds such an interval held the truth in 92 % to 99 % of simulated cases."
    )
    yield (
        "**p**: how often chance alone would bring such a difference, or a larger one, if there were none; corrected "
        f"(Holm) for all {many} differences shown for these data. Below 0.05 a method is called better or worse."
    )
    yield "***not told from*** is not *equal*: these runs do not decide; the interval says what the difference may be."
    yield (
        f"**seen from**: the smallest true difference, in points, that would have been seen in {100 * POWER:.0f} of "
        f"100 such experiments (power {POWER}), at the level of the correction's first step (0.05 / {many})."
    )


def _figures(row: Row) -> Sequence[str]:
    seeds = "none needed" if row.kind == PROBE else str(len(row.finals))
    return (row.entry, share_interval(row.top1), seeds, percent(row.per_class))


def _told(compared: Comparison | None) -> Sequence[str]:
    if compared is None:
        return ("", "", "", "", "")
    difference = difference_interval(compared.difference.interval)
    return (compared.baseline, difference, p_value(compared.p), percent(compared.seen_from), _verdict(compared))


def _verdict(compared: Comparison) -> str:
    if math.isnan(compared.p):
        return "unknown (one seed)"
    if compared.verdict == UNTOLD:
        return f"not told from {compared.baseline}"
    return f"{'better' if compared.verdict == BETTER else 'worse'} than {compared.baseline}"


def _sentence(row: Row) -> str:
    """What a reader may easily take wrongly, in words."""
    compared = row.comparison
    probe = f"{row.entry} is a logistic regression on frozen features: no seed changes it, so it was run once"
    if compared is None:
        return f"{probe}." if row.kind == PROBE else ""
    mean, low, high = compared.difference.interval
    said = f"{probe}, and stands beside each seed of {compared.baseline}. " if row.kind == PROBE else ""
    if math.isnan(compared.p):
        return f"{said}{row.entry}: one seed, so nothing can be told of its difference to {compared.baseline}."
    if compared.verdict != UNTOLD:
        return said.strip()
    if not compared.difference.error:
        return f"{said}{row.entry} is right on the same photos as {compared.baseline}, with every seed."
    text = f"{said}{row.entry} is not told from {compared.baseline}: the difference may be anything from "
    text += f"{signed(low)} to {signed(high)} points (measured: {signed(mean)})"
    if low > 0 or high < 0:
        text += ", which leaves out 0 for this row alone, but one of so many rows may well do so by chance"
    return f"{text}; a true one of {percent(compared.seen_from)} would most likely have been seen."


def _runs(count: int) -> str:
    return f"{count} recorded run{'s' if count != 1 else ''}"


def _shown(path: Path) -> str:
    return path.name if path.is_absolute() else path.as_posix()
