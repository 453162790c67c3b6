"""The benchmark of planted labels: what it plants, and that its table counts rightly.

``pytest -m slow tests/test_wrong_labels.py`` runs it on 20 classes of real birds, with weights from a package.
"""

from pathlib import Path

import numpy as np
import pytest

import small_runs
import wrong_labels
from wrong_labels import Planting, featured, measured, planted_labels, report, twins_of

pytest.importorskip("cleanlab", reason="needs the extra [audit]")


def test_planted_labels() -> None:
    right = np.repeat(np.arange(5), 40)
    wrong = planted_labels(right, 5, seed=0)
    assert (wrong != right).sum() == 10
    assert set(wrong.tolist()) <= set(range(5))
    assert (planted_labels(right, 5, seed=0) == wrong).all()
    assert (planted_labels(right, 5, seed=1) != wrong).any()
    twins = np.array([1, 0, -1, 4, 3])
    inside = planted_labels(right, 5, seed=0, twins=twins)
    changed = inside != right
    assert changed.sum() == 10
    assert (inside[changed] == twins[right[changed]]).all()
    assert not changed[right == 2].any()


def test_twins(tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text("path,species,twin\n1,a,b\n2,b,a\n3,c,\n")
    assert twins_of(tmp_path / "marks.csv", ("a", "b", "c", "d")).tolist() == [1, 0, -1, -1]


def test_features_are_kept_and_the_table_counts(tmp_path: Path) -> None:
    data = small_runs.write_photos(tmp_path / "photos", photos=10)
    cache = tmp_path / "features.npz"
    first = featured(data, "test_resnet", "none", 32, cache)
    again = featured(data, "nosuchnet", "none", 32, cache)  # needs no network any more
    assert (first.read.values == again.read.values).all()
    one = measured(again, 0, None)
    assert one.planted == 2
    assert 0 <= one.precision <= 1
    lines = report({0: Planting(10, 8, 0.75, 0.6, 0.7, 3.2), 1: Planting(10, 10, 0.85, 0.8, 0.9, 3.2)})
    assert lines[2] == "| 0 | 10 | 8 | 0.750 | 0.600 | 0.700 | 3 |"
    assert lines[-1].startswith("| mean | | | 0.800 (")
    (data / "ant" / "0.jpg").unlink()
    with pytest.raises(SystemExit, match="other photos"):
        featured(data, "test_resnet", "none", 32, cache)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_most_planted_labels_of_real_birds_are_found(shared_data: Path, tmp_path: Path) -> None:
    known = featured(shared_data / "CUB_200_2011", "tf_efficientnet_lite0", "lite0", 224, tmp_path / "cub.npz")
    plantings = [measured(known, seed, None) for seed in (11, 12)]
    assert np.mean([one.recall for one in plantings]) >= 0.8
    assert np.mean([one.best for one in plantings]) >= 0.7
    assert wrong_labels.SHARE == 0.05
