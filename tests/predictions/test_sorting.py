"""Photos in folders of their classes: none lost, none overwritten, and no name leads elsewhere."""

import os
from pathlib import Path

import pytest

from fieldmark.errors import UserError
from fieldmark.predictions.prediction import Prediction
from fieldmark.predictions.sorting import LONGEST, Sorter, refuse_sorting, safe


def photo(path: Path, content: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return str(path)


def tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def sort(into: Path, predictions: list[Prediction], *, link: bool = False) -> Sorter:
    sorter = Sorter(into, link)
    assert list(sorter.sorted(predictions)) == predictions
    return sorter


@pytest.mark.parametrize("link", [False, True])
def test_copies_and_links(link: bool, tmp_path: Path) -> None:
    """Names stay; of two photos of one name and class both are there; a second call changes nothing."""
    names = [photo(tmp_path / name, name) for name in ("a/1.jpg", "b/1.jpg", "c/1.jpg", "a/2.jpg", "a/bad.jpg")]
    classes = ["bee", "bee", "ant", "bee"]
    predictions = [Prediction(name, (one,), (1.0,)) for name, one in zip(names, classes, strict=False)]
    predictions.append(Prediction(names[4], reason="truncated JPEG"))
    into = tmp_path / "new" / "sorted"
    first = sort(into, predictions, link=link)
    expected = {
        "bee/1.jpg": "a/1.jpg", "bee/1-2.jpg": "b/1.jpg", "ant/1.jpg": "c/1.jpg", "bee/2.jpg": "a/2.jpg",
        "unreadable/bad.jpg": "a/bad.jpg",
    }  # fmt: skip
    assert tree(into) == expected
    assert all(path.is_symlink() == link for path in into.rglob("*.jpg"))
    assert (first.placed, first.there, first.missing) == (5, 0, 0)
    assert first.line == f"5 photos {'linked' if link else 'copied'}: {into}"
    again = sort(into, predictions, link=link)
    assert tree(into) == expected
    assert (again.placed, again.there) == (0, 5)
    assert again.line.endswith(f"0 photos {'linked' if link else 'copied'}, 5 there already: {into}")
    assert not list(into.rglob(".*"))


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    into = tmp_path / "sorted"
    photo(into / "bee" / "1.jpg", "somebody's own")
    (into / "bee" / "1-2.jpg").symlink_to(tmp_path / "nowhere")
    name = photo(tmp_path / "1.jpg", "new")
    for link in (False, True):
        assert sort(into, [Prediction(name, ("bee",), (1.0,))], link=link).placed == 1
    found = {path.name for path in (into / "bee").iterdir()}
    assert found == {"1.jpg", "1-2.jpg", "1-3.jpg", "1-4.jpg"}
    assert (into / "bee" / "1.jpg").read_text() == "somebody's own"
    assert not (into / "bee" / "1-2.jpg").exists()
    assert (into / "bee" / "1-3.jpg").read_text() == "new"


def test_hostile_names_of_classes(tmp_path: Path) -> None:
    names = [
        "../../etc", "/abs", "..", ".", "", "a/b", "a\\b", "c:d", "nul", "COM1.txt", "x\0y", "line\nbreak", "trail. ",
        "~root", "-rf", ".hidden", "鷺" * 200, "Unreadable", "BEE", "bee", "b\udce9",
    ]  # fmt: skip
    source = photo(tmp_path / "photos" / "1.jpg", "1")
    into = tmp_path / "deep" / "er" / "sorted"
    sort(into, [Prediction(source, (name,), (1.0,)) for name in names])
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "deep"}
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"er"}
    folders = [path.name for path in into.iterdir()]
    assert len({name.casefold() for name in folders}) == len(names)  # a folder for each
    assert all(len(os.fsencode(name)) <= LONGEST + 5 for name in folders)
    assert "Unreadable (2)" in folders
    assert len(tree(into)) == len(names)
    assert [safe(name) for name in ("..", "", "nul", "a/b", "x. ", ".x")] == ["_", "_", "nul_", "a_b", "x", "_x"]


def test_answers_decide_where_they_were_asked_for(tmp_path: Path) -> None:
    into, name = tmp_path / "sorted", photo(tmp_path / "1.jpg", "1")
    sorter = Sorter(into)
    for folder, prediction in {
        "gulls": Prediction(name, ("bee",), (1.0,), answer="gulls", level="family"),
        "unsure": Prediction(name, ("bee",), (1.0,), level="unsure"),
        "none of these": Prediction(name, ("bee",), (1.0,), answer="none of these", level="none of these"),
        "bee": Prediction(name, ("bee",), (1.0,)),
        "unreadable": Prediction(name, reason="truncated"),
    }.items():
        assert sorter.folder_of(prediction) == into / folder


def test_what_is_no_file_is_left_out_and_said(tmp_path: Path) -> None:
    into = tmp_path / "sorted"
    os.mkfifo(tmp_path / "pipe.jpg")
    names = [str(tmp_path / "none.jpg"), str(tmp_path / "pipe.jpg"), "inputs[0]", "a\0b"]
    sorter = sort(into, [Prediction(name, reason="no such file") for name in names])
    assert sorter.line == f"0 photos copied, 4 left out that are no files: {into}"
    assert not into.exists()


def test_folders_that_are_refused(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photo(photos / "1.jpg", "1")
    (tmp_path / "file").touch()
    for into, said in {
        photos: "choose a folder outside of the photos",
        photos / "sorted": "choose a folder outside of the photos",
        tmp_path: "lies in it; choose a folder outside of the photos",
        tmp_path / "file": "a file of that name exists; choose a folder",
        tmp_path / "file" / "x": "cannot be written",
    }.items():
        with pytest.raises(UserError) as caught:
            refuse_sorting(into, inputs=[photos])
        assert said in str(caught.value)
        assert str(caught.value).startswith("--sort ") or "cannot be written" in said
    with pytest.raises(UserError, match="lies in it"):
        refuse_sorting(tmp_path, inputs=[photos / "1.jpg"])
    refuse_sorting(tmp_path / "sorted", inputs=[photos, tmp_path / "none"])
    assert not (tmp_path / "sorted").exists()


def test_a_disk_that_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, into = photo(tmp_path / "1.jpg", "1"), tmp_path / "sorted"

    def full(source: Path, target: Path) -> None:
        target.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fieldmark.files.shutil.copy2", full)
    with pytest.raises(UserError, match=r"1\.jpg cannot be written: No space left"):
        sort(into, [Prediction(name, ("bee",), (1.0,))])
    assert tree(into) == {}


def test_a_class_called_unsure_is_no_lack_of_an_answer(tmp_path: Path) -> None:
    names = [photo(tmp_path / name, name) for name in ("1.jpg", "2.jpg")]
    answered = Prediction(names[0], ("unsure",), (0.9,), "", "unsure", "class", 0.9)
    sort(tmp_path / "s", [answered, Prediction(names[1], ("unsure",), (0.5,), "", "", "unsure")])
    assert tree(tmp_path / "s") == {"unsure (2)/1.jpg": "1.jpg", "unsure/2.jpg": "2.jpg"}
