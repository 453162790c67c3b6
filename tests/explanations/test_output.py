"""Names of files for explanations, and what may be written over."""

import json
import re
from pathlib import Path

import pytest

from fieldmark.errors import UserError
from fieldmark.explanations.output import name_of_pair, names_of, refuse_explanations


def test_names_are_numbered_and_harmless(tmp_path: Path):
    stems = ("one", "x y", "ü", "..", "é" * 300, "鷺" * 80)
    names = names_of([f"a/{stem}.jpg" for stem in stems] + ["b/one.jpg"] * 4, tmp_path)
    assert names[0] == "01-one"
    assert names[6] == "07-one"
    assert names[1] == "02-x_y"
    assert len(set(names)) == len(names) == 10
    assert max(len(name.encode()) for name in names) <= 103
    assert not any("/" in name or "\\" in name for name in names)


def test_pairs_keep_the_whole_names_of_classes_and_the_stems_of_photos(tmp_path: Path):
    assert name_of_pair(tmp_path, (), ("L. argentatus", "St. John's wort")) == "L._argentatus--St._John_s_wort"
    assert name_of_pair(tmp_path, ("a/1.jpg", "b/2.x.png")) == "1--2.x"
    longest = f"{name_of_pair(tmp_path, (), ('鷺' * 75, '鳩' * 75))}-01234567.json"
    (tmp_path / longest).touch()


def test_a_result_of_others_is_not_replaced(tmp_path: Path):
    def left(name: str, **said: object) -> None:
        (tmp_path / f"{name}.json").write_text(json.dumps({"format_version": 1, **said}))

    pair, classes = ("a/1.jpg", "b/1.jpg"), ("ant", "bee")
    left("1--1", classes=classes, photos=[{"photo": "a/1.jpg"}, {"photo": "b/1.jpg"}])
    assert name_of_pair(tmp_path, pair) == name_of_pair(tmp_path, pair, classes) == "1--1"
    others = [name_of_pair(tmp_path, ("c/1.jpg", "b/1.jpg")), name_of_pair(tmp_path, pair, ("ant", "cat"))]
    assert len(set(others)) == 2
    assert all(re.fullmatch("1--1-[0-9a-f]{8}", name) for name in others)
    left("a_b--c", classes=["a b", "c"], photos=[])
    assert name_of_pair(tmp_path, (), ("a b", "c")) == "a_b--c"
    assert name_of_pair(tmp_path, (), ("a/b", "c")) != "a_b--c"
    left("1-1", run="", reasons=[], photo="a/1.jpg")
    assert names_of(["a/1.jpg"], tmp_path) == ["1-1"]
    assert names_of(["b/1.jpg"], tmp_path) != ["1-1"]
    (tmp_path / "2--2.json").write_text("a letter")
    assert name_of_pair(tmp_path, ("a/2.jpg", "b/2.jpg")) == "2--2"  # which is refused


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
