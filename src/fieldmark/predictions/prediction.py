"""The classes of one photo, and what is told of many."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fieldmark.confidence.answers import Answer
from fieldmark.confidence.refusal import NONE
from fieldmark.confidence.taxonomy import UNSURE

UNSOUND = "the network's scores of it are not numbers; its weights may be damaged"
"""Why a photo has no classes though it could be read."""
SHOWN, CLASSES = 20, 5
"""The most photos whose classes are printed, and the most classes that a line names."""


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


def predictions_of(
    names: Sequence[str],
    probabilities: np.ndarray,
    *,
    classes: tuple[str, ...],
    top: int,
    answers: Sequence[Answer] | None = None,
    reasons: Mapping[int, str],
) -> Iterator[Prediction]:
    """One prediction per photo, in order.

    Args:
        names: of N photos.
        probabilities: (N, C), calibrated.
        classes: C names.
        top: classes per photo, at most C.
        answers: what was asked for beyond classes, one per photo.
        reasons: why photos could not be read, by their rows, whose probabilities mean nothing.
    """
    unsound = set(np.flatnonzero(np.isnan(probabilities).any(1)).tolist())
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    shares = np.take_along_axis(probabilities, best, 1).tolist()
    for row, (name, labels) in enumerate(zip(names, best.tolist(), strict=True)):
        if row in reasons or row in unsound:
            yield Prediction(name, reason=reasons.get(row, UNSOUND))
        else:
            further = answers[row] if answers else Answer()
            yield Prediction(name, tuple(classes[label] for label in labels), tuple(shares[row]), "", *further)


def columns_of(certainty: float | None, coverage: float | None, refuse: str | float | None = None) -> tuple[str, ...]:
    """The fields of a prediction that are written beside its classes, by what was asked for."""
    answer = () if certainty is None and refuse is None else ("answer",)
    further = () if certainty is None else ("level", "answer_probability")
    near = () if refuse is None else ("nearest", "distance")
    return (*answer, *further, *near) if coverage is None else (*answer, *further, *near, "set")
