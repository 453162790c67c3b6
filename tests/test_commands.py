"""Commands that show why, as a user types them."""

import json
from pathlib import Path

import pytest

from fieldmark import cli
from fieldmark.explanations import drawing


def run(*words: object) -> int:
    """The exit code."""
    return cli.run([str(word) for word in words])


def test_explain(own_run: Path, photos: Path, capsys: pytest.CaptureFixture[str]):
    few = own_run.parent / "few"
    few.mkdir()
    for number in range(2):
        (few / f"{number}.jpg").symlink_to(photos / "bee" / f"{number}.jpg")
    assert run("explain", own_run, photos / "ant" / "0.jpg", few, "--layer", "maps") == 0
    said = capsys.readouterr().out
    assert "0.jpg  " in said
    assert "not " in said
    assert "3 explained" in said
    folder = own_run / "explanations"
    assert len(list(folder.glob("*.png"))) == len(list(folder.glob("*.json"))) == len(list(folder.glob("*.npz"))) == 3
    assert json.loads((folder / "1-0.json").read_text())["layer"] == "maps"
    assert run("explain", own_run, photos / "ant" / "0.jpg") == 0  # once more, in place of the first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "requires an argument"),
        (["nowhere.jpg"], "no such file"),
        (["PHOTO", "--of", "dragon"], "no class 'dragon'"),
        (["PHOTO", "--layer", "stage77"], "no such layer"),
        (["PHOTO", "--out", "PHOTOS/ant"], "among the photos"),
    ],
)
def test_mistakes_get_lines(
    trained: Path, photos: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
):
    words = [word.replace("PHOTOS", str(photos)).replace("PHOTO", str(photos / "ant" / "0.jpg")) for word in words]
    code = run("explain", trained, *words, *([] if "--out" in words else ["--out", trained.parent / "none"]))
    error = capsys.readouterr().err
    assert code == 2
    assert message in " ".join(error.split())
    assert len(error.splitlines()) <= 6
    assert not (trained.parent / "none").exists()


def test_no_photo_that_can_be_read_is_a_failure(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    assert run("explain", trained, tmp_path / "broken.jpg", "--out", tmp_path / "out") == 1
    assert "cannot be read" in capsys.readouterr().out


def test_compare(own_run: Path, photos: Path, capsys: pytest.CaptureFixture[str]):
    pair = (photos / "ant" / "0.jpg", photos / "bee" / "1.jpg")
    assert run("compare", own_run, *pair) == 0
    said = capsys.readouterr().out
    assert "nearest: " in said
    assert (own_run / "comparisons" / "0--1.png").is_file()
    assert run("compare", own_run, "--classes", "ant", "cat", "--split", "train") == 0
    assert (own_run / "comparisons" / "ant--cat.json").is_file()
    assert run("compare", own_run, *pair) == 0  # once more
    for words, message in (([pair[0]], "two photos are compared, not 1"), ([], "name two photos")):
        assert run("compare", own_run, *words) == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_figures(own_run: Path, trained: Path, photos: Path, capsys: pytest.CaptureFixture[str]):
    assert run("figures", own_run, photos / "ant" / "0.jpg", "--beside", trained) == 0
    assert "Grad-CAM" in capsys.readouterr().out
    assert (own_run / "figures" / "grad-cam.png").is_file()
    assert run("figures", own_run, photos / "ant" / "0.jpg") == 0  # once more
    assert run("figures", own_run, photos, "--out", own_run / "many") == 2
    assert "too many" in capsys.readouterr().err
    assert not (own_run / "many").exists()
    assert run("figures", own_run, "--beside", trained, "--out", own_run / "curves") == 0
    assert [path.name for path in sorted((own_run / "curves").iterdir())] == ["convergence.json", "convergence.png"]


@pytest.mark.parametrize("command", ["explain", "compare", "figures"])
def test_letters_without_a_font_are_told_once(
    command: str, own_run: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(drawing, "families_of", lambda text: (["DejaVu Sans"], "ไ鷺"))
    assert run(command, own_run, photos / "ant" / "0.jpg", photos / "bee" / "1.jpg") == 0
    assert capsys.readouterr().out.count("no font on this machine has ไ鷺; install one, such as Noto") == 1


@pytest.mark.parametrize("command", ["explain", "compare", "figures"])
def test_only_the_first_of_several_processes_writes(
    command: str, own_run: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Under torchrun the others end without an error, which would stop the first one."""
    monkeypatch.setenv("RANK", "1")
    before = sorted(own_run.iterdir())
    assert run(command, own_run, photos / "ant" / "0.jpg", photos / "bee" / "1.jpg") == 0
    assert capsys.readouterr().out == ""
    assert sorted(own_run.iterdir()) == before
