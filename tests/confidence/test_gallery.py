"""The gallery of a run: which photos are in it, and its file."""

from pathlib import Path

import numpy as np
import pytest

from fieldmark.confidence.gallery import Gallery, chosen_for_gallery, gallery_of, read_gallery
from fieldmark.errors import UserError


def made() -> Gallery:
    embeddings = np.random.default_rng(0).normal(size=(4, 5)) * 100
    return gallery_of("abc", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"], np.array([0, 0, 1, 2]), embeddings)


@pytest.mark.parametrize(("each", "most"), [(30, 5000), (4, 5000), (30, 12), (1, 1)])
def test_some_photos_of_each_class(each: int, most: int) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 3], [40, 3, 11]))
    chosen = chosen_for_gallery(labels, each=each, most=most)
    counts = np.bincount(labels[chosen], minlength=4).tolist()
    limit = max(1, min(each, most // 3))
    assert counts == [min(40, limit), min(3, limit), 0, min(11, limit)]
    assert (np.diff(chosen) > 0).all()


def test_photos_are_taken_from_everywhere() -> None:
    chosen = chosen_for_gallery(np.zeros(100, np.int64), each=10)
    assert chosen.tolist() == list(range(0, 100, 10))
    assert chosen_for_gallery(np.zeros(0, np.int64)).tolist() == []


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    gallery, path = made(), tmp_path / "g.npz"
    path.touch()
    gallery.save(path)
    found = read_gallery(path, classes=3)
    assert (found.model, found.names) == ("abc", gallery.names)
    np.testing.assert_array_equal(found.labels, gallery.labels)
    np.testing.assert_array_equal(found.embeddings, gallery.embeddings)
    assert found.embeddings.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(found.embeddings.astype(float), axis=1), 1, atol=1e-3)


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "g.npz"
    with pytest.raises(UserError, match="cannot be read"):
        read_gallery(path, classes=3)
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match="fieldmark calibrate RUN writes it anew"):
        read_gallery(path, classes=3)
    made().save(path)
    with pytest.raises(UserError, match="does not fit the run's 2 classes"):
        read_gallery(path, classes=2)
    Gallery("abc", (), np.zeros(0, np.int64), np.zeros((0, 5), np.float16)).save(path)
    with pytest.raises(UserError, match="does not fit"):
        read_gallery(path, classes=3)
