"""Files of arrays: read as they were written, or refused in a line that names the file."""

from pathlib import Path

import numpy as np
import pytest

from fieldmark.confidence.arrays import misfit, read_arrays, write_arrays
from fieldmark.errors import UserError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    path.touch()
    write_arrays(path, {"names": np.array(["ü"]), "values": np.eye(2, dtype=np.float16)})
    found = read_arrays(path, "names")
    assert found["names"].tolist() == ["ü"]
    assert found["values"].dtype == np.float16
    np.testing.assert_array_equal(found["values"], np.eye(2))


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    said = r"file\.npz cannot be read .*; fieldmark calibrate RUN writes it anew"
    with pytest.raises(UserError, match=said):
        read_arrays(path)
    write_arrays(path, {"names": np.arange(3)})
    with pytest.raises(UserError, match=r"it has no labels"):
        read_arrays(path, "names", "labels")
    for content in (b"", b"PK", path.read_bytes()[:90]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=said):
            read_arrays(path)
    with path.open("wb") as file:
        np.save(file, np.arange(3))  # no archive, but a single array
    with pytest.raises(UserError, match=said):
        read_arrays(path, "names")


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    np.savez(path, names=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="cannot be read"):
        read_arrays(path)


def test_a_misfit_names_the_file(tmp_path: Path) -> None:
    assert "file.npz does not fit the run's 3 classes" in str(misfit(tmp_path / "file.npz", classes=3))
