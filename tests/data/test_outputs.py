"""Nothing is written over but earlier results, whatever names and links lead to it."""

import os
from pathlib import Path

import pytest

from fieldmark.data.outputs import is_json_with, is_table_with, refuse_file, refuse_folder
from fieldmark.errors import UserError


def refusal(path: Path, *inputs: Path) -> str:
    with pytest.raises(UserError) as error:
        refuse_file(path, option="-o", inputs=inputs, is_ours=is_table_with("file", "error"))
    text = str(error.value)
    assert 1 <= len(text.splitlines()) <= 3
    assert text.startswith(f"-o {path}")
    return text


def allowed(path: Path, *inputs: Path) -> bool:
    refuse_file(path, option="-o", inputs=inputs, is_ours=is_table_with("file", "error"))
    return True


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "a.png", "a.tif", "a.webp"])
def test_a_picture_s_name_is_refused(name: str, tmp_path: Path) -> None:
    assert "The shell expands" in refusal(tmp_path / name)  # though nothing lies there


def test_an_earlier_result_and_nothing_else_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    assert allowed(path)
    for text in ("", "file,class_1,probability_1,error\r\nx,a,1,\r\n"):
        path.write_text(text)
        assert allowed(path)
    for content in (b"path,remark\n1.jpg,mine\n", b"\xff\xd8\xff\xe0 a photo", b"\x00" * 100, b'"file', b"file"):
        path.write_bytes(content)
        assert "not a result of this command" in refusal(path)
        assert path.read_bytes() == content
    assert "is a folder" in refusal(tmp_path)


def test_an_input_is_refused_under_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = tmp_path / "list.csv"
    given.write_text("file,error\n")
    (tmp_path / "soft.csv").symlink_to(given)
    os.link(given, tmp_path / "hard.csv")
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("list.csv", "soft.csv", "hard.csv", "deep/../list.csv", "./list.csv"):
        for path in (Path(name), tmp_path / name):
            assert "is an input of this command" in refusal(path, tmp_path / "none.csv", given)
            assert allowed(path, tmp_path / "none.csv")
    assert "is an input of this command" in refusal(given, tmp_path / "soft.csv")


def test_where_no_file_can_be_made_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written: Not a directory; name another file with -o"):
        refuse_file(tmp_path / "file" / "p.csv", option="-o", is_ours=is_table_with("file"))
    assert allowed(tmp_path / "new" / "p.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_devices_may_be_written(tmp_path: Path) -> None:
    assert allowed(Path(os.devnull))


def test_results_lie_outside_of_the_photos(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "ant").mkdir(parents=True)
    (tmp_path / "link").symlink_to(photos)
    for folder in (photos, photos / "ant", photos / "new", tmp_path / "link" / "new", tmp_path / "x" / ".." / "photos"):
        with pytest.raises(UserError, match="outside of the photos"):
            refuse_folder(folder, option="--out", photos=photos)
    for folder in (tmp_path, tmp_path / "new", tmp_path / "photos2"):
        refuse_folder(folder, option="--out", photos=photos)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a file of that name"):
        refuse_folder(tmp_path / "file", option="--out", photos=photos)


@pytest.mark.parametrize(
    ("text", "ours"),
    [('{"probes": []}', True), ('{"probes": [], "x": 1}', True), ("{}", False), ("[]", False), ("x", False)],
)
def test_json_is_told_by_its_keys(text: str, ours: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    assert is_json_with("probes")(tmp_path / "file") is ours
    (tmp_path / "file").write_bytes(b"\xff\xfe{}")
    assert not is_json_with("probes")(tmp_path / "file")
