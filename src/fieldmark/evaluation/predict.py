"""``fieldmark predict``: the classes of photographs, in order, with a reason for each one that cannot be read."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
from rich.console import Console

from fieldmark.confidence.answers import Answer, Demands, Sight
from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.confidence.refusal import NONE
from fieldmark.confidence.taxonomy import UNSURE
from fieldmark.console import tell
from fieldmark.data.dataset import Photo
from fieldmark.data.opening import refuse_without_boxes
from fieldmark.data.outputs import is_json_with, is_table_with, refuse_file
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.inference import in_eval_mode, stream, with_neighbours
from fieldmark.files import STANDARD_OUTPUT, growing_file, is_device, standard_output
from fieldmark.images.pictures import Held
from fieldmark.input.loading import Photographs
from fieldmark.runs.folder import Opened, read_confidence

SHOWN, UNREADABLE, CLASSES = 20, 10, 5
"""The most photos whose classes are printed; of more, the unreadable photos and the commonest classes that are."""


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of a file, most likely first, or the reason why it could not be read.

    ``probabilities`` are calibrated where the run knows how sure it may be.
    Where a certainty was asked for, ``answer`` is the class or group that reaches it, ``level`` its level ("unsure"
    without an answer) and ``answer_probability`` its probability; where a coverage was, ``set`` has the classes. Where
    photos may be refused, ``answer`` and ``level`` may be "none of these", ``nearest`` is the class of the nearest
    training photo, and ``distance`` one less the cosine of the two embeddings.
    """

    file: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    reason: str = ""
    answer: str = ""
    level: str = ""
    answer_probability: float | None = None
    set: tuple[str, ...] | None = None
    nearest: str = ""
    distance: float | None = None

    def __str__(self) -> str:
        """One line: the file, and its classes in whole percents, less those that round to nothing."""
        if self.reason:
            return f"{self.file}  cannot be read: {self.reason}"
        first, *others = zip(self.classes, self.probabilities, strict=True)
        likely = [first, *((name, share) for name, share in others if share >= 0.005)]
        listed = ", ".join(f"{name} {100 * share:.0f} %" for name, share in likely)
        return "; ".join((f"{self.file}  {listed}", *self._further()))

    def _further(self) -> Iterator[str]:
        if self.answer_probability is not None:
            yield f"answer: {self.answer} ({self.level}) {100 * self.answer_probability:.0f} %"
        elif self.level == NONE and self.distance is not None:
            yield f"answer: {NONE} (nearest: {self.nearest}, distance {self.distance:.2f})"
        elif self.level == UNSURE:
            yield f"answer: {self.level}"
        if self.set is not None:
            more = f" and {len(self.set) - CLASSES:,} more" if len(self.set) > CLASSES else ""
            yield f"set: {', '.join(self.set[:CLASSES]) or 'no class is likely enough'}{more}"


@dataclass
class Tally:
    """What is told of predictions, however many: the first and the unreadable ones, and how often a class came first.

    ``count`` is the number of photos, ``levels`` counts answers by level, ``sets`` sets of classes by size.
    """

    count: int = 0
    first: list[Prediction] = field(default_factory=list)
    unreadable: list[Prediction] = field(default_factory=list)
    classes: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)
    sets: Counter[int] = field(default_factory=Counter)

    def counted(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """The predictions as they come, each counted."""
        for prediction in predictions:
            self.count += 1
            if self.count <= SHOWN:
                self.first.append(prediction)
            if prediction.reason:
                self.unreadable.append(prediction)
            else:
                self.classes[prediction.classes[0]] += 1
                self.levels += Counter([prediction.level] if prediction.level else [])
                self.sets += Counter([] if prediction.set is None else [len(prediction.set)])
            yield prediction


def predict(
    opened: Opened,
    photos: Sequence[Photo],
    *,
    pictures: Sequence[Held] = (),
    top: int = 5,
    workers: int = 0,
    demands: Demands | None = None,
) -> Iterator[Prediction]:
    """One prediction per photo, in order, as soon as it is made.

    Args:
        opened: the run, its learner on the device to use.
        photos: to predict.
        pictures: those in memory that ``row`` of a photo indexes.
        top: classes per photo.
        workers: processes that read photos ahead.
        demands: what is asked for beyond classes.

    Raises:
        UserError: a run with ``--fit box`` and a photo without a box, or a ``top`` below 1; at the call.
    """
    if top < 1:
        raise UserError(f"--top {top}: at least 1")
    if opened.recipe.pixels.fit == "box":
        refuse_without_boxes(photos)
    views = Photographs(photos, opened.recipe.pixels, packed=pictures)
    return _predictions(opened, views, top=min(top, len(opened.classes)), workers=workers, demands=demands)


def _predictions(
    opened: Opened, views: Photographs, *, top: int, workers: int, demands: Demands | None
) -> Iterator[Prediction]:
    method = opened.learner.method
    with in_eval_mode(method):
        start = 0
        refusal = demands.refusal if demands else None
        function = with_neighbours(method, refusal.gallery) if refusal else method
        for part in stream(function, views, method=method, workers=workers):
            logits = part.values[:, : len(opened.classes)]
            sight = Sight(logits, part.values[:, -2].astype(np.int64), part.values[:, -1]) if refusal else None
            probabilities = np.exp(log_probabilities(logits, opened.temperature))
            order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
            answers = demands.answers(probabilities, sight) if demands else [Answer()] * len(order)
            for row, best in enumerate(order):
                name = views.photos[start + row].name
                if line := part.damaged.get(start + row):
                    yield Prediction(name, reason=line.removeprefix(f"{printable(name)}: "))
                else:
                    classes = tuple(opened.classes[label] for label in best)
                    yield Prediction(name, classes, tuple(probabilities[row, best].tolist()), "", *answers[row])
            start += len(order)


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


def columns_of(certainty: float | None, coverage: float | None, refuse: str | float | None = None) -> tuple[str, ...]:
    """The fields of a prediction that are written beside its classes, by what was asked for."""
    answer = () if certainty is None and refuse is None else ("answer",)
    further = () if certainty is None else ("level", "answer_probability")
    near = () if refuse is None else ("nearest", "distance")
    return (*answer, *further, *near) if coverage is None else (*answer, *further, *near, "set")


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
    columns = [f"{what}_{rank}" for rank in range(1, top + 1) for what in ("class", "probability")]
    writer = csv.writer(file)
    writer.writerow(["file", *columns, *further, "error"])
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


def uncalibrated(run: Path) -> tuple[str, ...]:
    """A line where a run does not know how sure it may be."""
    known = read_confidence(run)
    is_known = known is not None and known.temperature.is_known
    return () if is_known else (f"probabilities are not calibrated: fieldmark calibrate {printable(str(run))}",)
