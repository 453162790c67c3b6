"""How often a run is right at each level of groups, and how fine its answers are at stated certainties."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fieldmark.confidence.back_off import answer_levels, are_right, paths
from fieldmark.confidence.taxonomy import CLASS, UNSURE, Groups
from fieldmark.console import tell
from fieldmark.data.dataset import Dataset
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.statistics import Interval, share_interval

CERTAINTIES = (0.8, 0.9, 0.95)
"""At which answers are counted."""


class Answers(NamedTuple):
    """How many photos are answered at each level, the finest first, and how many of these rightly; the rest are not."""

    photos: tuple[int, ...]
    right: tuple[int, ...]


@dataclass(frozen=True)
class ByLevel:
    """Of ``n`` photos: ``right`` at each level of ``groups``, and the ``answers`` at some certainties.

    Each photo has one path from the coarsest level down (``confidence/back_off.py``), so its nodes lie in each other.
    """

    groups: Groups
    n: int
    right: tuple[int, ...]
    answers: Mapping[float, Answers]

    @property
    def accuracies(self) -> dict[str, Interval]:
        """The share of photos that are right at each level, with its interval."""
        return {name: share_interval(hits, self.n) for name, hits in zip(self.groups.names, self.right, strict=True)}

    def to_json(self) -> dict[str, Any]:
        """As plain data; shares between 0 and 1, ``interval`` the ends of the 95 % interval."""
        sizes = dict(zip(self.groups.names, map(len, self.groups.nodes), strict=True))
        return {
            "levels": [
                {"level": name, "groups": sizes[name], "accuracy": share.mean, "interval": list(share[1:])}
                for name, share in self.accuracies.items()
            ],
            "answers": [
                {
                    "certainty": certainty,
                    "levels": [
                        {"level": name, "photos": count, "right": hits}
                        for name, count, hits in zip(self.groups.names, *answers, strict=True)
                    ],
                    UNSURE: self.n - sum(answers.photos),
                }
                for certainty, answers in self.answers.items()
            ],
        }


def measure_levels(
    probabilities: np.ndarray, labels: np.ndarray, groups: Groups, *, certainties: tuple[float, ...] = CERTAINTIES
) -> ByLevel:
    """Counts right answers by level.

    Args:
        probabilities: (N, C), calibrated.
        labels: (N,), N at least 1.
        groups: of the C classes.
        certainties: at which answers are counted.
    """
    found = paths(probabilities, groups)
    right = are_right(found, labels, groups)
    levels = range(len(groups.names))

    def counted(certainty: float) -> Answers:
        chosen = answer_levels(found, certainty)[:, None] == np.arange(len(levels))
        return Answers(tuple(chosen.sum(0).tolist()), tuple((chosen & right).sum(0).tolist()))

    answers = {certainty: counted(certainty) for certainty in certainties}
    return ByLevel(groups, len(labels), tuple(right.sum(0).tolist()), answers)


def shares_by_level(log_probabilities: np.ndarray, labels: np.ndarray, dataset: Dataset) -> dict[str, float]:
    """The share of photos that are right at each level above the classes that data bring, the finest first.

    Args:
        log_probabilities: (N, C).
        labels: (N,), N at least 1.
        dataset: whose classes are the C ones; without levels, or with such as are no tree, nothing is counted.
    """
    try:
        groups = Groups(dataset.classes, dataset.levels)
    except UserError:
        return {}
    if not groups.levels:
        return {}
    counted = measure_levels(np.exp(log_probabilities), labels, groups, certainties=())
    return {name: share.mean for name, share in list(counted.accuracies.items())[1:]}


def print_levels(result: ByLevel, console: Console) -> None:
    """Prints the accuracy at each level, and how often answers of some certainties are given at it and right."""
    names = [escape(printable(name)) for name in result.groups.names]
    table = Table("level", "groups", "right, %", "95 % interval", title="by level of groups")
    for name, nodes, share in zip(names, result.groups.nodes, result.accuracies.values(), strict=True):
        mean, low, high = (100 * value for value in share)
        table.add_row(name, f"{len(nodes):,}", f"{mean:.2f}", f"{low:.1f} to {high:.1f}")
    console.print(table)
    table = Table("certainty", *names, UNSURE, title="answers: % of photos (% of these right)")
    for certainty, answers in result.answers.items():
        table.add_row(f"{certainty:.0%}", *_cells(result, answers))
    console.print(table)
    tell(console, f"here a photo's {CLASS} lies in its group, and that in the next; top1 is the likeliest class of all")


def _cells(result: ByLevel, answers: Answers) -> Iterator[str]:
    for count, hits in zip(*answers, strict=True):
        yield f"{count / result.n:.1%} ({hits / count:.1%})" if count else "0.0%"
    yield f"{1 - sum(answers.photos) / result.n:.1%}"
