"""Two runs on the same photos, counted by loops."""

import numpy as np
import pytest

from fieldmark.data.dataset import Photo, Unread
from fieldmark.evaluation.comparison import ClassChange, Comparison
from fieldmark.evaluation.paired import class_weights, paired_share_difference
from fieldmark.evaluation.statistics import share_interval
from two_runs import comparison, random_comparison


def test_the_figures_by_a_loop() -> None:
    two = random_comparison()
    rows = list(zip(two.labels.tolist(), *two.predicted.tolist(), strict=True))
    both = sum(label == own == other for label, own, other in rows)
    first = sum(label == own != other for label, own, other in rows)
    second = sum(label == other != own for label, own, other in rows)
    assert two.counts == (both, first, second, len(rows) - both - first - second)
    assert min(two.counts) > 0
    assert two.top1 == (share_interval(both + first, len(rows)), share_interval(both + second, len(rows)))
    assert two.difference("top1").mean == pytest.approx((first - second) / len(rows))
    present = sorted(set(two.labels.tolist()))
    assert len(present) < len(two.classes)
    for run, mean in enumerate(two.mean_per_class):
        shares = []
        for label in present:
            said = [row[1 + run] for row in rows if row[0] == label]
            shares.append(said.count(label) / len(said))
        assert mean == pytest.approx(sum(shares) / len(shares))
    signs = two.right[0].astype(int) - two.right[1]
    assert two.difference("mean_per_class") == paired_share_difference(signs, class_weights(two.labels))
    own, other = two.mean_per_class
    assert two.difference("mean_per_class").mean == pytest.approx(own - other)


def test_the_classes_that_changed() -> None:
    two = comparison([0, 0, 0, 1, 1, 2, 3, 3], [0, 0, 0, 1, 0, 2, 0, 3], [1, 1, 0, 1, 1, 1, 3, 0])
    assert two.changes == [
        ClassChange("class 0", 3, 3, 1),
        ClassChange("class 1", 2, 1, 2),
        ClassChange("class 2", 1, 1, 0),
    ], "class 3 has one right and one wrong for each"
    assert [each.change for each in two.changes] == [2, -1, 1]


def test_a_run_against_itself() -> None:
    said = [0, 1, 2, 0, 0]
    same = comparison([0, 0, 1, 1, 2], said, said)
    assert same.counts[1:3] == (0, 0)
    for figure in ("top1", "mean_per_class"):
        mean, low, high = same.difference(figure)
        assert mean == 0
        assert low == pytest.approx(-high)
        assert low < 0
    assert (same.p, same.changes, same.regressed(0)) == (1, [], False)


@pytest.mark.parametrize("lost", [1, 7, 29, 57, 58])
def test_a_loss_of_as_much_as_is_allowed_is_no_regression(lost: int) -> None:
    """Whatever binary fractions make of it: 100 * 0.07 is above 7."""
    labels = np.zeros(100, np.int64)
    worse = comparison(labels, np.arange(100) < lost, labels)
    assert worse.difference("top1").mean == -lost / 100
    assert worse.regressed(lost - 0.001)
    assert not worse.regressed(lost)
    better = comparison(labels, labels, np.arange(100) < lost)
    assert not better.regressed(0)


def test_the_headline_decides() -> None:
    labels = [0] * 8 + [1]
    two = comparison(labels, [0] * 8 + [0], [1] + [0] * 7 + [1], headline="mean_per_class")
    assert two.difference("top1").mean == 0
    assert two.difference("mean_per_class").mean == pytest.approx((1 / 8 - 1) / 2)
    assert two.regressed(43)
    assert not comparison(labels, [0] * 8 + [0], [1] + [0] * 7 + [1]).regressed(0)


@pytest.mark.parametrize("points", [-1, np.nan, np.inf])
def test_a_limit_is_a_number_of_points(points: float) -> None:
    with pytest.raises(ValueError, match="from 0 on"):
        random_comparison().regressed(points)


def test_plain_data() -> None:
    two = random_comparison()
    lost = Unread(Photo("bad.jpg", two.photos[0].path, 0), "truncated")
    two = Comparison(
        ("runs/a", "runs/\udce9"), two.classes, two.photos, two.labels, two.predicted, "top1", ((lost,), ()), (0, 4)
    )
    said = two.to_json()
    assert (said["n"], said["n_left_out"], said["headline"]) == (len(two.photos), 1, "top1")
    assert [each["run"] for each in said["runs"]] == ["runs/a", "runs/\\udce9"]
    assert [each["left_out"] for each in said["runs"]] == [["bad.jpg: truncated"], []]
    assert [each["trained_on"] for each in said["runs"]] == [0, 4]
    assert [each["top1"] for each in said["runs"]] == [top1.mean for top1 in two.top1]
    assert said["difference"]["top1"] == two.difference("top1").mean
    assert said["difference_interval"]["mean_per_class"] == list(two.difference("mean_per_class")[1:])
    assert said["photos"] == dict(zip(("both", "only_first", "only_second", "neither"), two.counts, strict=True))
    assert said["mcnemar_p"] == two.p
    assert [each["class"] for each in said["changed_classes"]] == [each.name for each in two.changes]
