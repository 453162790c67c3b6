"""Accuracy by the value of one setting, from the trials of a comparison: Pairwise Confusion, Fig. 2 (left)."""

import json
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fieldmark.bench.recipe_words import value_at
from fieldmark.bench.results import Result, read_results
from fieldmark.bench.tuning import Score, scores
from fieldmark.data.outputs import is_json_with
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.pictures import families_of, save_figure
from fieldmark.files import refuse_unwritable, replace_files
from fieldmark.plain import nearest

FORMAT_VERSION = 1
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of entries, told apart with any colour vision (Okabe and Ito); lines and marks differ, too."""


class Point(NamedTuple):
    """A trial: the ``value`` of the setting, and ``top1`` on ``photos`` held-out photos, for each seed."""

    value: float
    top1: tuple[float, ...]
    photos: int

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return sum(self.top1) / len(self.top1)


class Sweep(NamedTuple):
    """The trials of an entry on a data set that differ in one setting alone, by its value."""

    data: str
    entry: str
    points: tuple[Point, ...]


def sweeps_of(folder: Path, over: str) -> list[Sweep]:
    """Each entry's accuracy on held-out photos, by the value of a setting.

    Args:
        folder: of the comparison.
        over: the setting's place in the recipe, such as model.terms.0.weight. Trials that change anything else are left
            out, and so are those of which a run failed.

    Raises:
        UserError: no results, or no trials that differ in this setting alone.
    """
    results = [result for result in read_results(folder) if result.trial is not None]
    found = []
    for (data, entry), runs in groupby(results, key=lambda run: (run.data, run.entry)):
        points = _points(list(runs), over)
        if len({point.value for point in points}) > 1:
            found.append(Sweep(data, entry, points))
    if not found:
        places = sorted({place for result in results for trial in result.asked.trials for place in trial})
        similar = nearest(over, places) or places
        advice = f"; trials differ in {', '.join(map(printable, similar))}" if similar else ""
        raise UserError(f"--over {printable(over)}: no two trials here differ in it alone{advice}")
    return found


def _points(runs: Sequence[Result], over: str) -> tuple[Point, ...]:
    tried = [score for score in scores(runs) if score.top1 is not None and score.changes.keys() <= {over}]
    points = [_point(score, value_at(over, score.recipe)) for score in tried]
    return tuple(sorted((point for point in points if point is not None), key=lambda point: point.value))


def _point(score: Score, value: Any) -> Point | None:
    """None where the setting is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Point(float(value), tuple(run.metrics["top1"] for run in score.runs), score.runs[0].photos["measured"])


def lines_of(sweeps: Sequence[Sweep]) -> list[str]:
    """A line for each point."""
    lines = []
    for sweep in sweeps:
        for point in sweep.points:
            seeds = ", ".join(f"{100 * top1:.1f}" for top1 in point.top1)
            ends = f"{100 * point.mean:.1f} % of {point.photos:,} photos (seeds: {seeds})"
            lines.append(f"{sweep.data}  {sweep.entry}  {point.value:g}  {ends}")
    return lines


def refuse_sweep(out: Path) -> None:
    """Refuses, before the work, a picture that cannot be written, or would replace something that is none of ours.

    Raises:
        UserError: so it is, or its name does not end in .png.
    """
    shown = f"--out {printable(str(out))}"
    if out.suffix.lower() != ".png":
        raise UserError(f"{shown}: the picture is a PNG; give it a name that ends in .png")
    refuse_unwritable(out, advice="name another file with --out")
    table = out.with_suffix(".json")
    is_ours = table.is_file() and is_json_with("format_version", "over", "sweeps")(table)
    if taken := next((path for path in (out, table) if path.exists() and not is_ours), None):
        raise UserError(f"{shown}: {printable(taken.name)} exists and is not an earlier sweep; name another file")


def write_sweeps(sweeps: Sequence[Sweep], out: Path, *, over: str) -> None:
    """Writes the picture, and its numbers as JSON under the same name; both or none.

    Raises:
        UserError: they cannot be written.
    """
    rows = [sweep._asdict() | {"points": [point._asdict() for point in sweep.points]} for sweep in sweeps]
    words = json.dumps({"format_version": FORMAT_VERSION, "over": over, "sweeps": rows}, indent=2, ensure_ascii=False)
    contents = {
        out.name: partial(_draw, sweeps=sweeps, over=over),
        out.with_suffix(".json").name: lambda draft: draft.write_text(words + "\n", "utf-8", "backslashreplace"),
    }
    replace_files(out.parent, contents)


def _draw(path: Path, *, sweeps: Sequence[Sweep], over: str) -> None:
    names = list(dict.fromkeys(sweep.data for sweep in sweeps))
    families, _ = families_of("".join(sweep.entry + sweep.data for sweep in sweeps))
    font: dict[str, Any] = {"fontfamily": families, "parse_math": False}
    figure = Figure(figsize=(5.2 * len(names), 4.2), layout="constrained")
    for axes, data in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        here = [sweep for sweep in sweeps if sweep.data == data]
        for at, sweep in enumerate(here):
            _plot(axes, sweep, at)
        _scale(axes, sorted({point.value for sweep in here for point in sweep.points}))
        axes.set_xlabel(over, **font)
        axes.set_title(data, **font)
        axes.set_ylabel("top-1 on held-out photos, %\n(line: mean; small marks: seeds)")
        axes.grid(alpha=0.3)
        for text in axes.legend(frameon=False, prop={"family": families}).get_texts():
            text.set_parse_math(False)
    save_figure(path, figure)


def _plot(axes: Axes, sweep: Sweep, at: int) -> None:
    """A line through the means, and a small mark for each seed."""
    colour, mark = COLOURS[at % len(COLOURS)], "osD^vP*"[at % 7]
    values, means = [point.value for point in sweep.points], [100 * point.mean for point in sweep.points]
    line = ("-", "--", "-.", ":")[at % 4]
    axes.plot(values, means, label=sweep.entry, color=colour, linestyle=line, marker=mark)
    seeds = [(point.value, 100 * top1) for point in sweep.points for top1 in point.top1]
    axes.scatter(*zip(*seeds, strict=True), s=10, marker=mark, facecolors="none", edgecolors=colour)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic over ten times or more, as in the paper; 0, the plain classifier, has a place on it, too."""
    above = [value for value in values if value > 0]
    if above and above[-1] >= 10 * above[0]:
        if values[0] > 0:
            axes.set_xscale("log")
        else:
            axes.set_xscale("symlog", linthresh=above[0])
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
