"""The gallery of a file: the run's, one made for it, or none; and pictures that carry nothing but pixels."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fieldmark.console import QUIET
from fieldmark.data.dataset import Photo
from fieldmark.errors import UserError
from fieldmark.exporting.galleries import SIDE, Wanted, gallery_for, small_jpeg
from fieldmark.exporting.photos import trained_on
from fieldmark.runs.folder import GALLERY, Opened, gallery_of_run


def test_the_runs_own_is_taken(opened: Opened):
    own, found = gallery_of_run(opened.path), gallery_for(opened, Wanted(), None, console=QUIET)
    assert own is not None
    assert found is not None
    assert found.names == own.names
    assert np.array_equal(found.embeddings, own.embeddings)
    assert np.array_equal(found.labels, own.labels)
    assert found.thumbnails == ()
    assert gallery_for(opened, Wanted(gallery=False), None, console=QUIET) is None


def test_without_one_it_is_made_where_it_is_asked_for(opened: Opened, own_run: Path):
    (own_run / GALLERY).unlink()
    without = opened._replace(path=own_run)
    assert gallery_for(without, Wanted(), None, console=QUIET) is None
    for wanted in (Wanted(gallery=True), Wanted(thumbnails=True)):
        found = gallery_for(without, wanted, None, console=QUIET)
        assert found is not None
        trained = {photo.name for photo in trained_on(opened, None).dataset.photos}
        assert set(found.names) == trained
        assert found.embeddings.dtype == np.float16
        assert bool(found.thumbnails) == wanted.thumbnails
        assert all(found.thumbnails)


def test_how_many_pictures_are_missing_is_told(opened: Opened):
    console = Console(record=True, quiet=False, file=io.StringIO(), width=200)
    found = gallery_for(opened, Wanted(thumbnails=True), None, console=console)
    assert found is not None
    assert [len(picture) > 0 for picture in found.thumbnails] == [True] * 11 + [False]
    assert "1 of 12 photos of the gallery are gone or unreadable" in console.export_text()


def test_pictures_of_no_gallery_are_refused(opened: Opened):
    with pytest.raises(UserError, match="leave out --no-gallery"):
        gallery_for(opened, Wanted(gallery=False, thumbnails=True), None, console=QUIET)


@pytest.mark.parametrize("size", [(400, 300), (300, 900), (20, 10)])
def test_a_picture_is_small_upright_and_says_nothing_of_its_camera(size: tuple[int, int], tmp_path: Path):
    exif, path = Image.Exif(), tmp_path / "photo.jpg"
    exif[0x0112], exif[0x010F], exif[0x8825] = 6, "Camera of Mine", {1: "N", 2: (1.0, 2.0, 3.0)}
    Image.new("RGB", size, "teal").save(path, exif=exif, comment=b"secret", icc_profile=b"secret profile")
    content = small_jpeg(Photo("photo.jpg", path), packed=None, megapixels=64)
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "JPEG"
    assert max(picture.size) == min(SIDE, max(size))
    assert (picture.width > picture.height) == (size[1] > size[0]), "turned as its EXIF says"
    assert not picture.getexif()
    assert not {"exif", "icc_profile", "comment"} & picture.info.keys()
    assert b"Camera" not in content
    assert b"secret" not in content


def test_what_cannot_be_read_has_no_picture(tmp_path: Path):
    (tmp_path / "photo.jpg").write_bytes(b"no picture")
    assert small_jpeg(Photo("photo.jpg", tmp_path / "photo.jpg"), packed=None, megapixels=64) == b""
    assert small_jpeg(Photo("gone.jpg", tmp_path / "gone.jpg"), packed=None, megapixels=64) == b""
    assert small_jpeg(None, packed=None, megapixels=64) == b""
    packed = np.zeros((1, 32, 32, 3), np.uint8)
    assert small_jpeg(Photo("0", tmp_path, row=0), packed=packed, megapixels=64)
