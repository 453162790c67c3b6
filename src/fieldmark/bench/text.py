"""The report of a comparison, in Markdown: the same records make the same text."""

import json
import math
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from fieldmark.bench.cautions import cautions_of, source_of
from fieldmark.bench.comparing import BETTER, UNTOLD, Comparison, Row, Table, tables_of
from fieldmark.bench.plan import PROBE
from fieldmark.bench.tuning import winner
from fieldmark.evaluation.statistics import POWER, Interval
from fieldmark.training.runlog import clock

HOW_TO_READ = f"""\
Each method was trained with seeds that its tuning had not seen, and what came of it was measured on the test photos.
Where it was tuned, its trials are named below; they were compared on photos inside the training split.

- **top-1**: mean over seeds, with Student's 95 % interval: what further seeds would give on the same photos.
- **difference**: to the row named under *against*, in percentage points, paired photo by photo and seed by seed, with a
  95 % interval for further seeds and further photos (min F' of Clark 1973; not corrected for the number of rows).
- **p**: of "no difference", after Holm's correction for all comparisons of the table. Below 0.05 a method is called
  better or worse. Otherwise it is *not told from* its baseline, which does not say that the two are equal.
- **seen from**: the smallest true difference, in points, that such an experiment finds in {100 * POWER:.0f} of 100
  cases (at the level of the correction's first step).
"""
FIGURES = ("method", "top-1 %", "seeds", "per class %", "against", "difference", "p", "seen from", "so it is")
MAKING = ("method", "settings chosen", "training", "device", "source", "command")
TUNING = ("method", "trial", "changes", "top-1 %", "runs")


def report_of(folder: Path, out: Path | None = None) -> str:
    """The report of all results in a comparison's folder.

    Args:
        folder: of the comparison.
        out: where the text will lie; it is only named in it.

    Raises:
        UserError: no results, or files that are damaged.
    """
    tables = tables_of(folder)
    words = ["fieldmark", "bench", "report", _shown(folder), *(["--out", _shown(out)] if out else [])]
    count = sum(len(table.results) for table in tables)
    head = (
        f"# {' / '.join(dict.fromkeys(table.title for table in tables))}",
        f"Made by `{shlex.join(words)}` from {count} recorded runs; not to be edited.",
        HOW_TO_READ.strip(),
    )
    return "\n\n".join((*head, *(part for table in tables for part in _section(table)))) + "\n"


def _section(table: Table) -> Iterator[str]:
    """The paragraphs of a data set."""
    yield f"## {table.data}"
    cautions = cautions_of(table)
    if cautions:
        yield "**Before believing this table:**"
        yield _listed(f"**{line}**" if line.startswith(("Unequal", "Mixed")) else line for line in cautions)
    if not table.rows:
        yield "No final run is done yet."
        return
    photos = table.rows[0].finals[0].photos
    yield f"{photos['trained']:,} training photos, {table.photos:,} test photos, {photos['classes']} classes."
    yield _grid(FIGURES, (_figures(row) for row in table.rows))
    if sentences := [line for line in map(_sentence, table.rows) if line]:
        yield _listed(sentences)
    yield "How the rows were made:"
    yield _grid(MAKING, (_making(row) for row in table.rows))
    if any(row.trials for row in table.rows):
        yield "Tuning, on held-out photos of the training split (the choice in bold):"
        yield _grid(TUNING, (cells for row in table.rows for cells in _tuning(row)))


def _figures(row: Row) -> Sequence[str]:
    compared = row.comparison
    if compared is None:
        told = ("", "", "", "", "")
    else:
        difference = _interval(compared.difference.interval, sign=True)
        told = (compared.baseline, difference, _p(compared.p), _points(compared.seen_from), _verdict(compared))
    seeds = "none needed" if row.kind == PROBE else str(len(row.finals))
    return (row.entry, _interval(row.top1), seeds, f"{100 * row.per_class:.1f}", *told)


def _verdict(compared: Comparison) -> str:
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
    text += f"{_signed(low)} to {_signed(high)} points (measured: {_signed(mean)})"
    return f"{text}; a true one of {_points(compared.seen_from)} would most likely have been seen."


def _making(row: Row) -> Sequence[str]:
    best = winner(row.trials)
    last = row.finals[-1]
    devices = dict.fromkeys(session["device"] for one in row.finals for session in one.sessions)
    sources = dict.fromkeys(source_of(session) for one in row.finals for session in one.sessions)
    command = f"`{last.command} --only {row.entry}`"
    chosen = "the plan's" if best is None or not best.changes else f"`{json.dumps(dict(best.changes))}`"
    if row.kind == PROBE:
        chosen = f"penalty {last.recipe['penalty']:g}, by cross-validation inside the training photos"
    return (row.entry, chosen, clock(row.seconds), "; ".join(devices), ", ".join(sources), command)


def _tuning(row: Row) -> Iterator[Sequence[str]]:
    best = winner(row.trials)
    for score in row.trials:
        mark = "**" if best and score.trial == best.trial else ""
        changes = f"`{json.dumps(dict(score.changes))}`" if score.changes else "none"
        share = "failed" if score.top1 is None else f"{100 * score.top1:.1f}"
        yield row.entry, str(score.trial), changes, f"{mark}{share}{mark}", str(score.runs)


def _interval(interval: Interval, *, sign: bool = False) -> str:
    """A share and its interval, in % or points."""
    show = _signed if sign else _within
    mean, low, high = interval
    return show(mean) if math.isnan(low) else f"{show(mean)} ({show(low)} to {show(high)})"


def _within(share: float) -> str:
    return f"{100 * min(max(share, 0.0), 1.0):.1f}"  # Student's interval knows nothing of 100 %


def _signed(share: float) -> str:
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def _points(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.1f}"


def _p(value: float) -> str:
    if math.isnan(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in (head, ["---"] * len(head), *rows))
    return "\n".join(f"| {line} |" for line in lines)


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _shown(path: Path) -> str:
    return path.name if path.is_absolute() else path.as_posix()
