"""What is said of photos: answers, their levels, and sets with the likeliest class first."""

import numpy as np

from fieldmark.confidence.answers import Answer, Demands, Sight
from fieldmark.confidence.conformal import Thresholds
from fieldmark.confidence.gallery import gallery_of
from fieldmark.confidence.refusal import NONE, Familiarity, Refusal
from fieldmark.confidence.taxonomy import Groups
from fieldmark.data.dataset import Level

GROUPS = Groups(("gull", "kittiwake", "robin"), (Level("family", ("Laridae", "Laridae", "robin")),))
SHARES = np.array([[0.5, 0.45, 0.05], [0.02, 0.02, 0.96], [0.4, 0.3, 0.3]])
LIMITS = Thresholds(np.array([0.55, 0.55, 0.75]), np.zeros(3, bool))


def test_answers_alone() -> None:
    found = Demands(GROUPS, certainty=0.9).answers(SHARES)
    assert [(one.name, one.level) for one in found] == [("Laridae", "family"), ("robin", "class"), ("", "unsure")]
    assert found[0].probability == 0.95
    assert found[2].probability is None
    assert all(one.classes is None for one in found)


def test_sets_alone_and_both() -> None:
    sets = [("gull", "kittiwake"), ("robin",), ("robin",)]
    assert Demands(GROUPS, limits=LIMITS).answers(SHARES) == [Answer(classes=names) for names in sets]
    both = Demands(GROUPS, 0.9, LIMITS).answers(SHARES)
    assert [one.classes for one in both] == sets
    assert [one.level for one in both] == ["family", "class", "unsure"]
    assert Demands(GROUPS, limits=LIMITS._replace(scores=np.full(3, 0.01))).answers(SHARES)[0].classes == ()


def test_photos_of_no_class() -> None:
    """Whatever else is asked, there is one answer; the set stays, as it was promised of photos of the classes."""
    gallery = gallery_of("m", ["g", "r"], np.array([0, 2]), np.eye(2))
    refusal = Refusal(Familiarity((0.0, 0.0), (1.0, 1.0)), 1.0, gallery)
    sight = Sight(np.array([5.0, 0.5, 0.7]), np.array([0, 1, 1]), np.array([0.9, 0.8, 0.6]))
    alone = Demands(GROUPS, refusal=refusal).answers(SHARES, sight)
    assert [(one.name, one.level) for one in alone] == [("gull", "class"), (NONE, NONE), ("gull", "class")]
    assert [one.nearest for one in alone] == ["gull", "robin", "robin"]
    np.testing.assert_allclose([one.distance for one in alone if one.distance is not None], [0.1, 0.2, 0.4])
    both = Demands(GROUPS, 0.9, LIMITS, refusal).answers(SHARES, sight)
    assert [(one.name, one.level) for one in both] == [("Laridae", "family"), (NONE, NONE), ("", "unsure")]
    assert both[1].probability is None
    assert both[1].classes == ("robin",)


def test_no_photos() -> None:
    assert Demands(GROUPS, 0.9, LIMITS).answers(np.empty((0, 3))) == []


def test_a_sum_of_all_classes_is_at_most_one() -> None:
    whole = Groups(("a", "b", "c"), (Level("all", ("abc",) * 3),))
    (answer,) = Demands(whole, certainty=0.9999999).answers(np.array([[0.7, 0.2, 0.1 + 1e-16]]))
    assert answer.name == "abc"
    assert answer.probability is not None
    assert answer.probability <= 1
