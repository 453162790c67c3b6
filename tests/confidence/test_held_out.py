"""Answers to held-out photos on disk."""

from pathlib import Path

import numpy as np
import pytest

from fieldmark.confidence.held_out import HeldOut, joined, read_held_out
from fieldmark.errors import UserError


def answers(*names: str) -> HeldOut:
    logits = np.eye(3, dtype=np.float32)[[len(name) % 3 for name in names]]
    return HeldOut(names, np.zeros(len(names), np.int64), logits)


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    answers("a/ü.jpg", "b.jpg").save(tmp_path / "file.npz")
    found = read_held_out(tmp_path / "file.npz")
    assert found.names == ("a/ü.jpg", "b.jpg")
    assert (found.labels.dtype, found.logits.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(found.logits, answers("a/ü.jpg", "b.jpg").logits)


def test_parts_are_joined_in_order() -> None:
    whole = joined([answers("a", "bb"), answers("ccc")])
    assert whole.names == ("a", "bb", "ccc")
    assert whole.logits.shape == (3, 3)
    assert whole.right == 1  # of "ccc" alone the first class is the likeliest


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_bad_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"file\.npz.*fieldmark calibrate"):
        read_held_out(path)


def test_other_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "file.npz", names=np.array(["a"]), labels=np.zeros(2), logits=np.zeros((1, 2)))
    with pytest.raises(UserError, match="other arrays"):
        read_held_out(tmp_path / "file.npz")
