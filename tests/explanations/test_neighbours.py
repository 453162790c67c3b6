"""A neighbour is never the photo itself, by whatever name; unreadable training photos are passed over."""

import shutil
from pathlib import Path

import fieldmark


def test_a_link_to_a_training_photo_is_not_its_own_neighbour(trained: Path, photos: Path, tmp_path: Path):
    link = tmp_path / "linked.jpg"
    link.symlink_to(photos / "ant" / "0.jpg")
    result = fieldmark.compare(trained, link, photos / "bee" / "0.jpg", classes=("ant", "bee"))
    assert result.rows[0].neighbours[0].photo != "ant/0.jpg"


def test_unreadable_training_photos_are_passed_over(trained: Path, photos: Path, tmp_path: Path):
    copy = Path(shutil.copytree(photos, tmp_path / "copy"))
    before = fieldmark.compare(
        trained, copy / "ant" / "0.jpg", copy / "bee" / "0.jpg", classes=("ant", "bee"), data=copy
    )
    nearest = copy / before.rows[0].neighbours[0].photo
    nearest.write_bytes(b"\xff\xd8 no picture" + bytes(nearest.stat().st_size))
    after = fieldmark.compare(
        trained, copy / "ant" / "0.jpg", copy / "bee" / "0.jpg", classes=("ant", "bee"), data=copy
    )
    assert after.rows[0].neighbours[0].photo != before.rows[0].neighbours[0].photo
