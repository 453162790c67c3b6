"""The file of answers to held-out photos: read as it is, refused in words where it does not fit."""

from pathlib import Path

import numpy as np
import pytest

from fieldmark.confidence.held_out import HELD_OUT, read_held_out
from fieldmark.errors import UserError

ARRAYS = {"names": np.array(["a.jpg", "b.jpg"]), "labels": np.array([0, 2]), "logits": np.ones((2, 3), np.float32)}


def written(run: Path, **changes: np.ndarray) -> Path:
    np.savez(run / HELD_OUT, allow_pickle=False, **(ARRAYS | changes))
    return run


def test_what_it_holds(tmp_path: Path) -> None:
    found = read_held_out(written(tmp_path, logits=np.ones((2, 3))), classes=3)
    assert found.names == ("a.jpg", "b.jpg")
    assert (found.labels.dtype, found.logits.dtype) == (np.int64, np.float32)
    assert found.labels.tolist() == [0, 2]


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
    with pytest.raises(UserError, match="does not fit the run's 3 classes; train the run again"):
        read_held_out(written(tmp_path, **changes), classes=3)


def test_what_is_not_there_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"held_out\.npz is missing"):
        read_held_out(tmp_path, classes=3)
    for content in (b"", b"PK\x03\x04 half", (written(tmp_path) / HELD_OUT).read_bytes()[:300]):
        (tmp_path / HELD_OUT).write_bytes(content)
        with pytest.raises(UserError, match=r"held_out\.npz cannot be read"):
            read_held_out(tmp_path, classes=3)
    np.savez(tmp_path / HELD_OUT, names=ARRAYS["names"])
    with pytest.raises(UserError, match="cannot be read"):
        read_held_out(tmp_path, classes=3)
    with (tmp_path / HELD_OUT).open("wb") as file:
        np.save(file, ARRAYS["labels"])
    with pytest.raises(UserError, match="cannot be read"):
        read_held_out(tmp_path, classes=3)
