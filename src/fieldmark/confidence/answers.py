"""What is said of a photo beyond the likeliest classes: an answer of the certainty asked for, a set of the coverage."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fieldmark.confidence.back_off import answer_levels, paths
from fieldmark.confidence.conformal import Thresholds, scores_of, sets_of
from fieldmark.confidence.taxonomy import UNSURE, Groups


class Answer(NamedTuple):
    """Of one photo; what was not asked for is left at its default.

    ``name`` is the class or group that is certain enough, ``level`` its level ("unsure" with an empty name where none
    is) and ``probability`` its own; ``classes`` are those of the set, the likeliest first.
    """

    name: str = ""
    level: str = ""
    probability: float | None = None
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Demands:
    """What is asked: a ``certainty`` to be reached among ``groups``, ``limits`` of sets of answers, or both."""

    groups: Groups
    certainty: float | None = None
    limits: Thresholds | None = None

    def answers(self, probabilities: np.ndarray) -> list[Answer]:
        """One per photo, from calibrated probabilities (N, C)."""
        found = self._certain(probabilities) if self.certainty is not None else [Answer()] * len(probabilities)
        if self.limits is None:
            return found
        sets = self._sets(probabilities, self.limits)
        return [answer._replace(classes=names) for answer, names in zip(found, sets, strict=True)]

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
