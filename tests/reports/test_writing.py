"""From a run to its page: what is measured, what is logged, and what is said where something is missing."""

import html
import json
import re
import shutil
from pathlib import Path

import pytest

import fieldmark
from fieldmark import cli
from fieldmark.core.weights import MODEL
from fieldmark.errors import UserError
from fieldmark.evaluation.evaluate import OPENINGS
from fieldmark.runs.folder import ABOUT, METRICS
from small_runs import write_photos
from typed import refused


def said(path: Path) -> str:
    """The page's text, without its style, script and marks."""
    text = re.sub(r"(?s)<(style|script)>.*?</\1>|<svg class=.store.*?</svg>", "", path.read_text("utf-8"))
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def pointing(run: Path, data: Path) -> Path:
    """The run, as if it had been trained on photos that lie elsewhere."""
    about = json.loads((run / ABOUT).read_text())
    (run / ABOUT).write_text(json.dumps(about | {"data": str(data)}))
    return run


def test_the_test_split_is_measured_and_logged(own_run: Path) -> None:
    path = fieldmark.report(own_run)
    assert path == own_run / "report.html"
    text = said(path)
    assert "3 test photos of 3 classes" in text
    assert "other photos of the same kind" in text
    assert "Looks at test photos 1" in text
    assert len((own_run / OPENINGS).read_text().splitlines()) == 2
    assert fieldmark.report(own_run) == path  # an earlier one is replaced


def test_the_command(own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    assert cli.run(["report", str(own_run), "--split", "train", "--out", str(out), "--device", "cpu"]) == 0
    assert f"report: {out}" in "".join(capsys.readouterr().out.splitlines())
    text = said(out)
    assert "24 training photos of 3 classes" in text
    assert "the run was trained on these photos" in text
    assert "other photos of the same kind" not in text
    assert not (own_run / OPENINGS).exists()


def test_mistakes_have_their_photos_and_heatmaps(own_run: Path, tmp_path: Path) -> None:
    """Ants are labelled as bees, and bees as ants."""
    photos = write_photos(tmp_path / "photos", classes=("bee", "ant", "cat"))
    text = fieldmark.report(own_run, photos, split="all", out=tmp_path / "page.html").read_text("utf-8")
    shown = 2 * (20 + 3 * 2)  # mistakes, and examples of three pairs, of which something else is asked
    assert text.count("<symbol") == text.count("data:image/jpeg;base64,") == shown
    assert "ant taken for bee: 10 photos" in text
    assert "why <bdi>ant</bdi>, not <bdi>bee</bdi>" in text


def test_what_was_named_and_is_not_there_is_a_mistake(own_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose train"):
        fieldmark.report(own_run, split="tets")
    with pytest.raises(UserError):
        fieldmark.report(own_run, tmp_path / "nowhere")
    with pytest.raises(UserError, match="not a Fieldmark run"):
        fieldmark.report(tmp_path)
    (tmp_path / "letter.html").write_text("dear")
    with pytest.raises(UserError, match="not a result of this command"):
        fieldmark.report(own_run, out=tmp_path / "letter.html")
    assert not (own_run / OPENINGS).exists()
    assert not (own_run / "report.html").exists()


def test_moved_photos_leave_a_page_that_says_so(own_run: Path, tmp_path: Path) -> None:
    text = said(fieldmark.report(pointing(own_run, tmp_path / "moved")))
    assert "Not measured. The photos could not be measured" in text
    assert "--data DATA" in text
    assert "Photos by split" in text
    assert "test_resnet" in text


def test_a_page_with_figures_stays_where_nothing_can_be_measured(
    own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["report", str(own_run), "--device", "cpu"]
    assert cli.run(words) == 0
    before = (own_run / "report.html").read_text("utf-8")
    pointing(own_run, tmp_path / "moved")
    error = refused(capsys, *words)
    assert "The photos could not be measured" in error
    assert "has figures and stays as it is; --out FILE" in error
    assert (own_run / "report.html").read_text("utf-8") == before
    for _ in range(2):  # a page without figures is replaced
        assert cli.run([*words, "--out", str(tmp_path / "other.html")]) == 0
        assert "The photos could not be measured" in capsys.readouterr().out
    shutil.copy(tmp_path / "other.html", own_run / "report.html")
    assert cli.run(words) == 0
    assert cli.run([*words, "--quiet"]) == 0
    assert not capsys.readouterr().err


def test_photos_that_moved_in_part_are_named(own_run: Path, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    gone = next(line.split(",")[0] for line in (own_run / "splits.csv").read_text().splitlines() if ",test" in line)
    (photos / gone).rename(tmp_path / "gone.jpg")
    assert f"1 of the run's 3 test photos is not here, such as {gone}" in said(fieldmark.report(own_run, photos))
    (tmp_path / "gone.jpg").rename(photos / gone)
    victim = next(line.split(",")[0] for line in (own_run / "splits.csv").read_text().splitlines() if ",train" in line)
    (photos / victim).write_bytes(b"no picture")
    text = said(fieldmark.report(pointing(own_run, photos), photos, split="all"))
    assert "29 photos of 3 classes" in text
    assert "1 photo of what was measured, left out of all figures" in text
    assert victim in text


def test_a_run_that_cannot_answer_and_one_without_epochs(own_run: Path) -> None:
    (own_run / MODEL).unlink()
    (own_run / METRICS).unlink()
    text = said(fieldmark.report(own_run))
    assert "it has no weights" in text
    assert "No epoch is recorded" in text


def test_an_unfinished_run_says_so(own_run: Path) -> None:
    recipe = json.loads((own_run / "recipe.json").read_text())
    recipe["stages"][0]["epochs"] = 9
    (own_run / "recipe.json").write_text(json.dumps(recipe))
    assert "has done 2 of 9 epochs" in said(fieldmark.report(own_run, split="val"))


def test_nothing_left_to_measure(own_run: Path, photos: Path) -> None:
    table = own_run / "splits.csv"
    table.write_text(re.sub(r",(val|test)\n", ",train\n", table.read_text()))
    assert "No photos are left to measure on" in said(fieldmark.report(own_run))
    assert "30 photos of 3 classes" in said(fieldmark.report(own_run, photos))  # named: all of them


def test_photos_of_one_class(own_run: Path, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "one" / "bee").mkdir(parents=True, exist_ok=True)
        shutil.copy(write_photos(tmp_path / "all") / "bee" / f"{number}.jpg", tmp_path / "one" / "bee")
    text = said(fieldmark.report(own_run, tmp_path / "one", split="all"))
    assert "3 photos of 3 classes" in text
    assert "2 of the run's 3 classes have no photo here" in text
