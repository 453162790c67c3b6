"""Answers to held-out photos on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fieldmark.confidence.held_out import HeldOut, joined, read_held_out
from fieldmark.errors import UserError


def answers(*names: str) -> HeldOut:
    logits = np.eye(3, dtype=np.float32)[[len(name) % 3 for name in names]]
    return HeldOut(names, np.zeros(len(names), np.int64), logits)


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    (tmp_path / "file.npz").touch()
    answers("a/ü.jpg", "b.jpg").save(tmp_path / "file.npz")
    found = read_held_out(tmp_path / "file.npz", classes=3)
    assert found.names == ("a/ü.jpg", "b.jpg")
    assert (found.labels.dtype, found.logits.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(found.logits, answers("a/ü.jpg", "b.jpg").logits)


def test_similarities_are_kept_where_all_parts_have_them(tmp_path: Path) -> None:
    near = [replace(answers(name), similarities=np.array([0.5], np.float32)) for name in ("a", "b")]
    whole, path = joined(near), tmp_path / "file.npz"
    path.touch()
    whole.save(path)
    assert read_held_out(path, classes=3).similarities.tolist() == [0.5, 0.5]  # pyright: ignore
    assert joined([near[0], answers("b")]).similarities is None
    replace(whole, similarities=np.array([0.5, np.nan])).save(path)
    with pytest.raises(UserError, match="does not fit"):
        read_held_out(path, classes=3)


def test_parts_are_joined_in_order() -> None:
    whole = joined([answers("a", "bb"), answers("ccc")])
    assert whole.names == ("a", "bb", "ccc")
    assert whole.logits.shape == (3, 3)
    assert whole.right == 1  # of "ccc" alone the first class is the likeliest


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.array([0, 3])},
        {"labels": np.array([0])},
        {"labels": np.array([-1, 0])},
        {"logits": np.ones((2, 4), np.float32)},
        {"logits": np.full((2, 3), np.nan, np.float32)},
        {"names": np.array(["a.jpg"])},
    ],
)
def test_what_does_not_fit(changes: dict[str, np.ndarray], tmp_path: Path) -> None:
    arrays = {"names": np.array(["a", "b"]), "labels": np.array([0, 2]), "logits": np.ones((2, 3), np.float32)}
    np.savez(tmp_path / "file.npz", allow_pickle=False, **(arrays | changes))
    with pytest.raises(UserError, match=r"file\.npz does not fit the run's 3 classes; fieldmark calibrate"):
        read_held_out(tmp_path / "file.npz", classes=3)


def test_what_is_not_there_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    answers("a").save(path)
    half = path.read_bytes()[:300]
    path.unlink()
    for content in (None, b"", b"no archive", b"PK\x03\x04 half", half):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=r"file\.npz cannot be read.*fieldmark calibrate"):
            read_held_out(path, classes=3)
    np.savez(path, names=np.array(["a"]))
    with pytest.raises(UserError, match="cannot be read"):
        read_held_out(path, classes=3)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UserError, match="cannot be read"):
        read_held_out(path, classes=3)
