"""Wrong labels are doubted, right ones hardly; classes that are taken for each other."""

import sys

import numpy as np
import pytest
from made_up import audited, clouds

from fieldmark.errors import UserError
from fieldmark.label_audit.doubts import confusable, doubted, refuse_without_cleanlab
from fieldmark.label_audit.out_of_fold import Predicted

pytest.importorskip("cleanlab", reason="needs the extra [audit]")


def predicted(probabilities: np.ndarray, judged: np.ndarray | None = None) -> Predicted:
    count = len(probabilities)
    judged = np.ones(count, bool) if judged is None else judged
    return Predicted(probabilities, judged, 0.01, 1.0, np.ones((3, count), bool))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_errors_are_found(seed: int) -> None:
    made = clouds(seed=seed, photos=60, apart=4.0)
    found = audited(made).doubts
    hits = len(set(found.tolist()) & set(made.wrong.tolist()))
    assert hits >= 0.8 * len(made.wrong)
    assert hits >= 0.8 * len(found)


def test_the_least_credible_first() -> None:
    made = clouds(apart=2.0, wrong=0.1)
    found = audited(made)
    credible = [found.credible(row) for row in found.doubts.tolist()]
    assert credible == sorted(credible)
    assert len(credible) > 5


def test_nothing_is_doubted_where_all_is_clear() -> None:
    assert not len(audited(clouds(wrong=0.0, apart=6.0)).doubts)


def test_unjudged_photos_and_missing_classes() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 2], 20)  # no photo of class 1
    probabilities = np.full((40, 3), 0.02)
    probabilities[np.arange(40), labels] = 0.96
    probabilities[3] = (0.01, 0.01, 0.98)
    probabilities[7] = (0.01, 0.01, 0.98)
    judged = np.ones(40, bool)
    judged[7] = False
    assert doubted(predicted(probabilities, judged), labels).tolist() == [3]
    assert not len(doubted(predicted(rng.random((40, 3)), np.zeros(40, bool)), labels))
    assert not len(doubted(predicted(probabilities), np.zeros(40, int)))


def test_pairs_are_counted_in_both_directions_and_doubted_labels_among_them() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    answers = np.array([0, 1, 1, 0, 1, 2, 0])
    probabilities = np.eye(3)[answers] * 0.9 + 0.1 / 3
    pairs = confusable(predicted(probabilities), labels, np.array([6]))
    assert [tuple(pair) for pair in pairs] == [(0, 1, 2, 1, 0), (0, 2, 0, 1, 1)]


def test_without_cleanlab_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_without_cleanlab()
    for name in [name for name in sys.modules if name.split(".")[0] == "cleanlab"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    with pytest.raises(UserError, match=r"pip install 'fieldmark\[audit\]'"):
        refuse_without_cleanlab()
