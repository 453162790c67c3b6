"""What is said of a photo beyond the likeliest classes: an answer of the certainty asked for, a set of the coverage."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldmark.confidence.back_off import answer_levels, paths, refuse_certainty
from fieldmark.confidence.conformal import Thresholds, refuse_coverage, scores_of, sets_of
from fieldmark.confidence.refusal import NONE, Refusal
from fieldmark.confidence.taxonomy import UNSURE, Groups
from fieldmark.errors import UserError


def asks_beyond_classes(
    *, certainty: float | None, coverage: float | None, groups: Path | None, refuse: str | float | None
) -> bool:
    """Whether anything is asked of predictions beyond classes.

    Raises:
        UserError: a certainty or a coverage that is none, or groups without a certainty.
    """
    if groups is not None and certainty is None:
        raise UserError("--groups needs --certainty, which says when an answer is a group and not a class")
    if certainty is not None:
        refuse_certainty(certainty)
    if coverage is not None:
        refuse_coverage(coverage)
    return any(value is not None for value in (certainty, coverage, refuse))


class Answer(NamedTuple):
    """Of one photo; what was not asked for is left at its default.

    ``name`` is the class or group that is certain enough, ``level`` its level ("unsure" with an empty name where none
    is, "none of these" where the photo is of no class) and ``probability`` its own; ``classes`` are those of the set,
    the likeliest first. ``nearest`` is the class of the nearest training photo, and ``distance`` one less the cosine.
    """

    name: str = ""
    level: str = ""
    probability: float | None = None
    classes: tuple[str, ...] | None = None
    nearest: str = ""
    distance: float | None = None


class Sight(NamedTuple):
    """What a network makes of N photos beside their probabilities, for refusals.

    ``logits`` (N,) are the largest of each, ``places`` int64 (N,) those of the nearest photos in the gallery, and
    ``cosines`` (N,) theirs.
    """

    logits: np.ndarray
    places: np.ndarray
    cosines: np.ndarray


@dataclass(frozen=True)
class Demands:
    """What is asked: a ``certainty`` to be reached among ``groups``, ``limits`` of sets of answers, a ``refusal``."""

    groups: Groups
    certainty: float | None = None
    limits: Thresholds | None = None
    refusal: Refusal | None = None

    def answers(self, probabilities: np.ndarray, sight: Sight | None = None) -> list[Answer]:
        """One per photo, from calibrated probabilities (N, C), and for a refusal from what else the network sees.

        A set of classes stays as it is where a photo is refused: it is what was promised of photos of the classes.
        """
        found = self._certain(probabilities) if self.certainty is not None else [Answer()] * len(probabilities)
        if self.limits is not None:
            sets = self._sets(probabilities, self.limits)
            found = [answer._replace(classes=names) for answer, names in zip(found, sets, strict=True)]
        if self.refusal is None:
            return found
        assert sight is not None, "a refusal needs to see the photos"
        return list(self._beside_gallery(found, probabilities, sight, self.refusal))

    def _beside_gallery(
        self, found: list[Answer], probabilities: np.ndarray, sight: Sight, refusal: Refusal
    ) -> Iterator[Answer]:
        classes = self.groups.classes
        best, near = probabilities.argmax(1).tolist(), refusal.gallery.labels[sight.places].tolist()
        refused = refusal.refused(sight.logits, sight.cosines).tolist()
        for photo, answer in enumerate(found):
            if refused[photo]:
                answer = answer._replace(name=NONE, level=NONE, probability=None)
            elif self.certainty is None:
                answer = answer._replace(name=classes[best[photo]], level=self.groups.names[0])
            yield answer._replace(nearest=classes[near[photo]], distance=float(1 - sight.cosines[photo]))

    def _certain(self, probabilities: np.ndarray) -> list[Answer]:
        assert self.certainty is not None
        found, names = paths(probabilities, self.groups), self.groups.names
        answers: list[Answer] = []
        for photo, level in enumerate(answer_levels(found, self.certainty).tolist()):
            if level == len(names):
                answers.append(Answer(level=UNSURE))
            else:
                node, share = found.nodes[photo, level], found.probabilities[photo, level]
                answers.append(Answer(self.groups.nodes[level][node], names[level], float(min(share, 1.0))))
        return answers

    def _sets(self, probabilities: np.ndarray, limits: Thresholds) -> list[tuple[str, ...]]:
        inside = sets_of(scores_of(probabilities), limits)
        order = np.argsort(-probabilities, axis=1, kind="stable")
        sizes = inside.sum(1).tolist()
        # a class with a wider limit of its own may be in the set while a likelier one is not
        ranked = np.take_along_axis(inside, order, 1)
        members = order[ranked]
        starts = np.cumsum([0, *sizes]).tolist()
        classes = self.groups.classes
        return [
            tuple(classes[label] for label in members[start : start + size].tolist())
            for start, size in zip(starts, sizes, strict=False)
        ]
