"""Answers as fine as their certainty allows: a class, or else a group of classes, or else none.

The probability of a group is the sum of its classes'. Each photo has one path through the tree of groups, from the
likeliest group of the coarsest level down, each node being the likeliest child of the one above. Its answer is the
finest node on the path whose probability reaches the certainty that was asked for. So answers agree with each other
whatever is asked: a photo's answer for a higher certainty is the same or one that contains it, and what it is at one
level lies in what it is at the next. Above a certainty of one half no other node of a level can reach it, so that no
finer answer is missed.

The class on the path is nearly always the likeliest of all. It is another one where many similar classes share what
makes their group likely: then "a gull" is the better answer than the one tern that is a little likelier than each gull.
"""

from typing import NamedTuple

import numpy as np

from fieldmark.confidence.taxonomy import Groups
from fieldmark.errors import UserError


class Paths(NamedTuple):
    """For N photos and L levels, the classes' own first: positions in ``Groups.nodes``, and their probabilities."""

    nodes: np.ndarray
    """(N, L) int64."""
    probabilities: np.ndarray
    """(N, L) float64."""


def group_probabilities(probabilities: np.ndarray, groups: Groups, level: int) -> np.ndarray:
    """The probabilities (N, G) of a level's nodes: of each, the sum of its classes' in ``probabilities`` (N, C)."""
    if level == 0:
        return probabilities.astype(np.float64)
    positions = groups.positions[level]
    order = np.argsort(positions, kind="stable")  # classes by their nodes, each of which has one
    starts = np.searchsorted(positions[order], np.arange(len(groups.nodes[level])))
    return np.add.reduceat(probabilities[:, order].astype(np.float64), starts, axis=1)


def paths(probabilities: np.ndarray, groups: Groups) -> Paths:
    """The path of each photo from the coarsest level down.

    Args:
        probabilities: (N, C), calibrated ones, so that a certainty means what it says.
        groups: of the C classes.
    """
    nodes = np.empty((len(probabilities), len(groups.names)), dtype=np.int64)
    reached = np.empty(nodes.shape)
    for level in range(len(groups.names) - 1, -1, -1):
        shares = group_probabilities(probabilities, groups, level)
        if level + 1 < len(groups.names):
            parents = np.empty(shares.shape[1], dtype=np.int64)
            parents[groups.positions[level]] = groups.positions[level + 1]
            shares = np.where(parents == nodes[:, level + 1, None], shares, -1.0)
        nodes[:, level] = shares.argmax(1)
        reached[:, level] = np.take_along_axis(shares, nodes[:, level, None], 1)[:, 0]
    return Paths(nodes, reached)


def answer_levels(found: Paths, certainty: float) -> np.ndarray:
    """The level (N,) of each photo's answer, 0 for a class; L, the number of levels, where nothing is certain enough.

    Raises ``UserError`` unless the certainty lies between 0 and 1.
    """
    refuse_certainty(certainty)
    enough = found.probabilities >= certainty
    return np.where(enough.any(1), enough.argmax(1), enough.shape[1])


def refuse_certainty(certainty: float) -> None:
    """Raises ``UserError`` for what is no certainty."""
    if not 0 < certainty < 1:
        raise UserError(f"--certainty {certainty}: it must lie between 0 and 1, such as 0.9")


def are_right(found: Paths, labels: np.ndarray, groups: Groups) -> np.ndarray:
    """Whether each node on the paths of N photos is that of their labels (N,): bool (N, L)."""
    true = np.stack([positions[labels] for positions in groups.positions], axis=1)
    return found.nodes == true
