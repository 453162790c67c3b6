"""``benchmarks/add_class.py`` on made-up embeddings."""

from pathlib import Path

import numpy as np
import pytest

import add_class
from fieldmark.data.dataset import Dataset, Photo
from fieldmark.new_classes.fitting import Rest

NAMES = ("ant", "bee", "cat", "dog")
PHOTOS = tuple(
    Photo(f"{label}-{at}.jpg", Path(f"{label}-{at}.jpg"), label, "train") for label in range(4) for at in range(3)
)
DATA = Dataset(Path("data"), "folder", NAMES, PHOTOS)


def embeddings(label: int, count: int) -> np.ndarray:
    """Near a corner of their own."""
    return 6 * np.eye(4)[label] + np.random.default_rng(label).standard_normal((count, 4))


def test_a_class_is_measured_against_its_reference() -> None:
    inputs = np.concatenate([embeddings(label, 40) for label in range(3)])
    rest = Rest(inputs, np.repeat(np.arange(3), 40), np.eye(4)[:3], np.zeros(3))
    pools = {"dog": embeddings(3, 6)[:, None].repeat(2, axis=1)}
    rows = list(add_class.measured(rest, pools, {"dog": embeddings(3, 30)}, rest, {"dog": 0.8}))
    assert [(row.photos, row.draw) for row in rows] == [
        *((1, at) for at in range(5)),
        *((5, at) for at in range(5)),
        (20, 0),
    ]
    assert all(row.recall > 0.9 and row.loss < 1 for row in rows)
    lines = add_class.table(rows)
    assert len(lines) == 5
    assert add_class.by_class(rows)[2].startswith("| dog | 80 | ")


def test_the_reference_is_among_the_same_classes(tmp_path: Path) -> None:
    logits = np.array([[0, 1, 9, 2], [0, 1, 9, 0.5], [5, 0, 0, 4], [9, 0, 0, 0]], np.float32)
    np.savez(tmp_path / "run.npz", logits=logits, labels=np.array([3, 3, 3, 0]))
    found = add_class.references([tmp_path / "run.npz"], ("ant", "bee"), ["dog"], DATA)
    assert found == {"dog": pytest.approx(1 / 3)}  # "cat", whose logits are largest, is not among them


def test_the_table_without_classes(tmp_path: Path) -> None:
    names = tuple(map(str, range(50)))
    data = Dataset(Path("data"), "folder", names, tuple(Photo(n, Path(n), int(n), "train") for n in names))
    kept = []
    for part in (0, 1):
        add_class.write_without(data, tmp_path / "table.csv", part=part)
        lines = (tmp_path / "table.csv").read_text().splitlines()
        assert lines[0] == "path,label,split"
        kept.append({line.split(",")[1] for line in lines[1:]})
    assert [len(each) for each in kept] == [30, 30]
    assert len(kept[0] | kept[1]) == 50
