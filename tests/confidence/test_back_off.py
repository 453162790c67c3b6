"""Answers as fine as their certainty allows, beside sums and searches by hand; and that they never contradict."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.confidence.back_off import answer_levels, are_right, group_probabilities, paths
from fieldmark.confidence.taxonomy import Groups
from fieldmark.data.dataset import Level
from fieldmark.errors import UserError

GULLS = Groups(
    ("Herring Gull", "Common Gull", "Black Tern", "Robin"),
    (Level("genus", ("Larus", "Larus", "Chlidonias", "Robin")), Level("family", ("Laridae",) * 3 + ("Robin",))),
)


def drawn(seed: int, *, photos: int = 40) -> tuple[Groups, np.ndarray]:
    """A random tree of random depth, and random probabilities, some of them flat and some certain."""
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(1, 12))
    levels, at = [], np.arange(classes)
    for level in range(int(rng.integers(0, 4))):
        at = rng.integers(0, max(1, int(rng.integers(1, at.max() + 2))), at.max() + 1)[at]
        at = np.unique(at, return_inverse=True)[1]
        levels.append(Level(f"level {level}", tuple(f"{level}.{group}" for group in at)))
    logits = rng.normal(size=(photos, classes)) * rng.choice([0.1, 1.0, 5.0], (photos, 1))
    shares = np.exp(logits)
    return Groups(tuple(f"class {label}" for label in range(classes)), tuple(levels)), shares / shares.sum(1)[:, None]


def by_hand(groups: Groups, shares: list[float]) -> list[tuple[str, float]]:
    """The path of one photo, from the classes up: names and probabilities, by loops."""
    chains = [[name, *(level.groups[at] for level in groups.levels)] for at, name in enumerate(groups.classes)]
    inside, path = list(range(len(chains))), []
    for level in reversed(range(len(groups.names))):
        sums: dict[str, float] = {}
        for at in inside:
            sums[chains[at][level]] = sums.get(chains[at][level], 0.0) + shares[at]
        best = max(sums, key=lambda name: sums[name])
        path.insert(0, (best, sums[best]))
        inside = [at for at in inside if chains[at][level] == best]
    return path


def members(groups: Groups, level: int, node: int) -> set[int]:
    """The classes of a node; all where there is no answer."""
    if level == len(groups.names):
        return {*range(len(groups.classes))}
    return {at for at, place in enumerate(groups.positions[level]) if place == node}


def test_sums_and_searches_by_hand() -> None:
    for seed in range(30):
        groups, shares = drawn(seed, photos=10)
        found = paths(shares, groups)
        for photo in range(len(shares)):
            path = by_hand(groups, shares[photo].tolist())
            assert [groups.nodes[at][node] for at, node in enumerate(found.nodes[photo])] == [name for name, _ in path]
            np.testing.assert_allclose(found.probabilities[photo], [share for _, share in path], rtol=1e-12)


def test_an_answer_in_words() -> None:
    shares = np.array([[0.5, 0.42, 0.05, 0.03], [0.95, 0.05, 0, 0], [0.3, 0.3, 0.35, 0.05], [0.25, 0.25, 0.2, 0.3]])
    found = paths(shares, GULLS)
    levels = answer_levels(found, 0.9)
    assert levels.tolist() == [1, 0, 2, 3]  # Larus; Herring Gull; Laridae, though a tern is likeliest; unsure
    assert found.nodes[2].tolist() == [0, 0, 0]
    assert answer_levels(found, 0.3).tolist() == [0, 0, 0, 1]
    assert answer_levels(found, 0.96).tolist() == [2, 1, 3, 3]  # 0.97, 1.0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_answers_never_contradict_each_other(seed: int, one: float, other: float) -> None:
    """Whatever the tree, the probabilities and the certainties: all of a photo's answers lie in each other."""
    groups, shares = drawn(seed, photos=8)
    found = paths(shares, groups)
    low, high = (answer_levels(found, certainty) for certainty in sorted((one, other)))
    for photo, path in enumerate(found.nodes):
        nested = [members(groups, level, node) for level, node in enumerate(path)]
        assert all(fine <= coarse for fine, coarse in pairwise(nested))
        nested.append(members(groups, len(groups.names), -1))
        assert nested[low[photo]] <= nested[high[photo]]
        for level, certainty in ((low[photo], min(one, other)), (high[photo], max(one, other))):
            if level < len(groups.names):
                assert found.probabilities[photo, level] >= certainty


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.5001, 0.99))
def test_no_finer_answer_is_missed(seed: int, certainty: float) -> None:
    """Above one half: the answer's level is the finest at which any node at all reaches the certainty."""
    groups, shares = drawn(seed, photos=8)
    best = np.stack([group_probabilities(shares, groups, at).max(1) for at in range(len(groups.names))], axis=1)
    reached = best >= certainty
    wanted = np.where(reached.any(1), reached.argmax(1), len(groups.names))
    np.testing.assert_array_equal(answer_levels(paths(shares, groups), certainty), wanted)


def test_classes_without_groups() -> None:
    flat = Groups(("a", "b"))
    found = paths(np.array([[0.9, 0.1], [0.5, 0.5]]), flat)
    assert answer_levels(found, 0.9).tolist() == [0, 1]
    assert found.nodes.tolist() == [[0], [0]]
    assert paths(np.ones((3, 1)), Groups(("a",))).probabilities.tolist() == [[1.0]] * 3
    assert answer_levels(paths(np.empty((0, 2)), flat), 0.5).shape == (0,)


def test_right_at_each_level() -> None:
    shares = np.eye(4)[[0, 1, 2, 3, 0]]
    right = are_right(paths(shares, GULLS), np.array([0, 0, 0, 0, 0]), GULLS)
    assert right.tolist() == [[True] * 3, [False, True, True], [False, False, True], [False] * 3, [True] * 3]


@pytest.mark.parametrize("certainty", [0, 1, -0.1, 90, float("nan")])
def test_what_is_no_certainty(certainty: float) -> None:
    with pytest.raises(UserError, match=r"--certainty .*: it must lie between 0 and 1"):
        answer_levels(paths(np.ones((1, 1)), Groups(("a",))), certainty)
