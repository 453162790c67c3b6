"""Predictions as a table, as JSON, and on the terminal."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console

from fieldmark.confidence.refusal import NONE
from fieldmark.confidence.taxonomy import UNSURE
from fieldmark.console import tell
from fieldmark.data.outputs import is_json_with, is_table_with, refuse_file
from fieldmark.errors import UserError, printable
from fieldmark.files import STANDARD_OUTPUT, growing_file, is_device, standard_output
from fieldmark.predictions.prediction import CLASSES, SHOWN, Prediction, Tally

UNREADABLE = 10
"""The most unreadable photos that are named."""


def refuse_output(path: Path, *, inputs: Sequence[Path] = ()) -> None:
    """Refuses an output that predictions must not be written to, before the work begins.

    Raises:
        UserError: an input, a picture, a file that holds anything else but predictions, or one whose suffix is neither
            .csv nor .json.
    """
    if path in STANDARD_OUTPUT:
        return
    is_ours = is_table_with("file", "class_1", "probability_1", "error")
    refuse_file(path, option="-o", inputs=inputs, is_ours=is_json_with("predictions") if _is_json(path) else is_ours)
    if not (_is_json(path) or path.suffix.lower() == ".csv" or is_device(path)):
        raise UserError(f"-o {printable(str(path))}: name a .csv or .json file, or - for standard output")


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def header_of(top: int, further: Sequence[str]) -> list[str]:
    """The first row of a table with so many classes, and further fields beside them."""
    columns = [f"{what}_{rank}" for rank in range(1, top + 1) for what in ("class", "probability")]
    return ["file", *columns, *further, "error"]


def write_predictions(path: Path, predictions: Iterable[Prediction], *, top: int, further: Sequence[str] = ()) -> Tally:
    """Writes each prediction as it comes: an object of a .json file, else a row of a CSV with ``top`` classes.

    ``further`` are fields to write beside the classes, as ``columns_of`` names them; in a CSV a set is a JSON list.
    """
    tally = Tally()
    with standard_output() if path in STANDARD_OUTPUT else growing_file(path) as file:
        if _is_json(path):
            _write_json(file, tally.counted(predictions), further)
        else:
            _write_csv(file, tally.counted(predictions), top, further)
    return tally


def _write_csv(file: TextIO, predictions: Iterable[Prediction], top: int, further: Sequence[str]) -> None:
    writer = csv.writer(file)
    writer.writerow(header_of(top, further))
    for prediction in predictions:
        ranked = zip(prediction.classes, prediction.probabilities, strict=True)
        cells = [cell for name, share in ranked for cell in (name, f"{share:.6f}")]
        more = [_cell(getattr(prediction, name)) for name in further]
        writer.writerow([prediction.file, *cells, *[""] * (2 * top - len(cells)), *more, prediction.reason])


def _cell(value: str | float | tuple[str, ...] | None) -> str:
    """A field as a cell of a table."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6f}"
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _plain(value: str | float | tuple[str, ...] | None) -> object:
    """A field as a value of JSON."""
    return round(value, 6) if isinstance(value, float) else None if value == "" else value


def _write_json(file: TextIO, predictions: Iterable[Prediction], further: Sequence[str]) -> None:
    """An object a line, so that lines that were written before a stop can be read, too."""
    comma = ""
    file.write('{"predictions": [')
    for prediction in predictions:
        ranked = zip(prediction.classes, prediction.probabilities, strict=True)
        classes = [{"class": name, "probability": round(share, 6)} for name, share in ranked]
        more = {name: _plain(getattr(prediction, name)) for name in further}
        value = {"file": prediction.file, "classes": classes, **more, "error": prediction.reason or None}
        file.write(f"{comma}\n{json.dumps(value, ensure_ascii=False)}")
        comma = ","
    file.write("\n]}\n")


def print_predictions(tally: Tally, path: Path, console: Console) -> None:
    """Prints the answers if they are few, else a summary; which photos cannot be read; and where everything is."""
    to_file, few = path not in STANDARD_OUTPUT, tally.count <= SHOWN
    if to_file and few:
        tell(console, *map(str, tally.first))
    else:
        tell(console, *map(str, tally.unreadable[:UNREADABLE]))
        if (more := len(tally.unreadable) - UNREADABLE) > 0:
            tell(console, f"and {more:,} more that cannot be read: see error")
    if not few and tally.classes:
        rare = len(tally.classes) - CLASSES
        common = [f"{name} {count:,}" for name, count in tally.classes.most_common(CLASSES)]
        tell(console, f"likeliest class: {', '.join(common)}" + (f", and {rare:,} others" if rare > 0 else ""))
        tell(console, *_further_lines(tally))
    photos = f"{tally.count:,} photo{'s' * (tally.count != 1)}"
    failed = f", {len(tally.unreadable):,} of them unreadable" if tally.unreadable else ""
    tell(console, photos + failed + (f": {path}" if to_file else ""))


def _further_lines(tally: Tally) -> Iterator[str]:
    """How many answers were given at each level, and how large the sets are."""
    if tally.levels:
        last = [(level, tally.levels[level]) for level in (UNSURE, NONE) if tally.levels[level]]
        given = [(level, count) for level, count in tally.levels.most_common() if level not in (UNSURE, NONE)]
        yield f"answers: {', '.join(f'{level} {count:,}' for level, count in [*given, *last])}"
    if tally.sets:
        mean = sum(size * count for size, count in tally.sets.items()) / tally.sets.total()
        yield f"sets: {mean:.2f} classes on average, {tally.sets[1]:,} of one class, {tally.sets[0]:,} empty"
