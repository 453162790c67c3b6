"""What the comparison of two runs leaves behind: a table by photo, and what is printed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median_low

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fieldmark.console import tell
from fieldmark.errors import printable
from fieldmark.evaluation.comparison import ClassChange, Comparison
from fieldmark.evaluation.metrics import Headline
from fieldmark.evaluation.statistics import Interval
from fieldmark.files import write_csv

AGAINST = "against.csv"
COLUMNS = ("path", "split", "true", "run", "against", "right", "error")
"""Of the table by photo: ``run`` and ``against`` are what each run says, ``right`` is one of ``RIGHT``."""
RIGHT = {(True, True): "both", (True, False): "run", (False, True): "against", (False, False): "neither"}
SHOWN = 5
"""Photos left out, and classes that are better and worse, that are printed; the files have all."""


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Writes a CSV of ``COLUMNS``: a row for each photo, those that a run could not read last, with the reason."""
    classes = comparison.classes
    rows = [
        (photo.name, photo.split, classes[label], classes[own], classes[other], RIGHT[own == label, other == label], "")
        for photo, label, own, other in zip(
            comparison.photos, comparison.labels.tolist(), *comparison.predicted.tolist(), strict=True
        )
    ]
    unread = [
        (photo.name, photo.split, classes[photo.label or 0], "", "", "", f"{reason} (by {printable(run)})")
        for run, photos in zip(comparison.runs, comparison.left_out, strict=True)
        for photo, reason in photos
    ]
    write_csv(path, [COLUMNS, *rows, *unread])


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints the figures of two runs in %, their difference in points, who is right, and which classes changed."""
    for warning in _warnings(comparison):
        console.print(f"[bold]{escape(printable(warning))}", highlight=False, soft_wrap=True)
    tell(console, *_left_out(comparison))
    console.print(_table(comparison))
    _, other = map(printable, comparison.runs)
    counts = comparison.counts
    tell(
        console,
        f"right: both {counts.both:,}, only this run {counts.only_first:,}, only {other} {counts.only_second:,}, "
        f"neither {counts.neither:,} (McNemar's exact test: p = {comparison.p:.2g})",
        *_changed(comparison),
    )


def _warnings(comparison: Comparison) -> Iterator[str]:
    for run, count in zip(comparison.runs, comparison.trained_on, strict=True):
        if count:
            yield (
                f"warning: {run} was trained on {count:,} of these {len(comparison.photos):,} photos: it has seen "
                "their answers, which flatters it in this comparison"
            )


def _left_out(comparison: Comparison) -> Iterator[str]:
    """Lines about the photos that only the second run could not read; the evaluation tells those of the first."""
    run, (_, photos) = comparison.runs[1], comparison.left_out
    yield from (f"left out, as {run} cannot read it: {photo.line}" for photo in photos[:SHOWN])
    if len(photos) > SHOWN:
        yield f"left out: {len(photos) - SHOWN:,} more; {AGAINST} names them all"


def _table(comparison: Comparison) -> Table:
    run, other = (escape(printable(each)) for each in comparison.runs)
    title = f"{run} against {other}: {len(comparison.photos):,} photos"
    table = Table("figure", "% or points", "95 % interval", title=title)
    for figure in dict.fromkeys(("top1", comparison.headline)):
        mark, name = "[bold]" if figure == comparison.headline else "", figure.replace("_", " ")
        rows = [*_shares(comparison, figure), ("difference", *_in_points(comparison.difference(figure)))]
        for whose, *cells in rows:
            table.add_row(f"{mark}{name}, {whose}", *(f"{mark}{cell}" for cell in cells))
    return table


def _shares(comparison: Comparison, figure: Headline) -> list[tuple[str, str, str]]:
    """Whose share it is, the share, and its interval if that is known."""
    whose = ("this run", "against")
    if figure == "mean_per_class":
        return [(who, f"{100 * share:.2f}", "") for who, share in zip(whose, comparison.mean_per_class, strict=True)]
    shares = zip(whose, comparison.top1, strict=True)
    return [(who, f"{100 * share:.2f}", f"{100 * low:.1f} to {100 * high:.1f}") for who, (share, low, high) in shares]


def _in_points(difference: Interval) -> tuple[str, str]:
    """A difference of shares and its interval, such as "-1.40" and "-3.0 to +0.2"."""
    mean, low, high = (100 * share for share in difference)
    return f"{mean:+.2f}", f"{low:+.1f} to {high:+.1f}"


def _changed(comparison: Comparison) -> Iterator[str]:
    """Lines about the classes of which one run has more photos right than the other."""
    changes = comparison.changes
    yield from _listed("better", [each for each in changes if each.change > 0])
    yield from _listed("worse", [each for each in changes if each.change < 0])
    if changes:
        count = median_low(each.photos for each in changes)
        yield f"with so few photos per class ({count:,} in the median of these) single classes are weakly known"


def _listed(word: str, changes: Sequence[ClassChange]) -> Iterator[str]:
    if changes:
        some = f", {SHOWN} of {len(changes):,} classes" if len(changes) > SHOWN else ""
        yield f"{word}{some}:"
    for each in changes[:SHOWN]:
        yield f"{each.change:>+4}  {each.name} ({each.first:,} right of {each.photos:,}, against {each.second:,})"


def print_limit(comparison: Comparison, points: float, console: Console) -> None:
    """Prints whether the first run is worse by more than ``points``, and whether the interval bears that out."""
    difference, fails = comparison.difference(comparison.headline), comparison.regressed(points)
    borne_out = 100 * difference.high < -points if fails else 100 * difference.low >= -points
    figure = "{} {} points ({})".format(comparison.headline.replace("_", " "), *_in_points(difference))
    allowed = "a larger loss than" if fails else "no larger loss than"
    doubt = "the interval says so, too" if borne_out else "the interval leaves it open, and more photos would tell"
    tell(console, f"{figure}: {allowed} --max-regression {points:g} allows; {doubt}")
