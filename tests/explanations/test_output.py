"""Names of files for explanations, and what may be written over."""

from pathlib import Path

import pytest

from fieldmark.errors import UserError
from fieldmark.explanations.output import names_of, refuse_explanations


def test_names_are_numbered_and_harmless():
    names = names_of([f"a/{stem}.jpg" for stem in ("one", "x y", "ü", "..", "é" * 300)] + ["b/one.jpg"] * 5)
    assert names[0] == "01-one"
    assert names[5] == "06-one"
    assert names[1] == "02-x_y"
    assert len(set(names)) == len(names) == 10
    assert max(map(len, names)) < 70
    assert not any("/" in name or "\\" in name for name in names)


def test_only_earlier_explanations_are_replaced(tmp_path: Path):
    folder = tmp_path / "out"
    refuse_explanations(folder, ["1-a"], inputs=[])
    assert not folder.exists()
    folder.mkdir()
    (folder / "1-a.json").write_text('{"format_version": 1, "run": "", "reasons": []}')
    (folder / "1-a.png").touch()
    refuse_explanations(folder, ["1-a"], inputs=[])
    (folder / "2-b.png").touch()
    with pytest.raises(UserError, match=r"its 2-b.png is not an earlier explanation"):
        refuse_explanations(folder, ["1-a", "2-b"], inputs=[])
    (folder / "3-c.json").write_text("{}")
    with pytest.raises(UserError, match=r"its 3-c.json is not"):
        refuse_explanations(folder, ["3-c"], inputs=[])


def test_photos_are_left_alone(tmp_path: Path):
    with pytest.raises(UserError, match="outside of the photos"):
        refuse_explanations(tmp_path / "photos" / "out", ["1-a"], inputs=[tmp_path, tmp_path / "photos"])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"a file of that name exists|cannot be written"):
        refuse_explanations(tmp_path / "file", ["1-a"], inputs=[tmp_path / "elsewhere"])
