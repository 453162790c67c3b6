"""Photos that a run answered wrongly, from the table of an evaluation."""

from pathlib import Path

import pytest

import fieldmark
from fieldmark.data.spreadsheet import read_rows
from fieldmark.errors import UserError
from fieldmark.paper_figures.failures import failures_of
from fieldmark.paper_figures.figure import PaperFigure
from fieldmark.runs.checkpoint import save_model
from fieldmark.runs.folder import open_run
from typed import ran, refused


def test_the_worst_mistakes_with_their_true_classes(
    own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"measure the run first: fieldmark evaluate {own_run} --split train" in refused(
        capsys, "figures", own_run, "--failures", "2", "--split", "train"
    )
    opened = open_run(own_run)
    for parameter in opened.learner.method.classifier.head.parameters():
        parameter.data.zero_()  # all photos get the first class
    save_model(own_run, opened.learner)
    assert ran("evaluate", own_run, "--split", "train", "--quiet") == 0
    table = own_run / "evaluation" / "train" / "mistakes.csv"
    rows = [row.cells for row in read_rows(table)][1:]
    assert len(rows) > 2
    photos, _ = failures_of(own_run, 2, split="train")
    assert [photo.name for photo in photos] == [row[0] for row in rows[:2]]
    classes = fieldmark.load(own_run).classes
    assert [classes[photo.label or 0] for photo in photos] == [row[2] for row in rows[:2]]
    grad_cam, _ = fieldmark.figures(own_run, failures=2, split="train")
    assert isinstance(grad_cam, PaperFigure)
    for drawn, (name, _, true, predicted, *_) in zip(grad_cam.rows, rows, strict=False):
        first, second, third = drawn[0].title.split("\n")
        assert (first, third) == (Path(name).name, f"in truth {true}")
        assert second.startswith(f"{predicted} ")
    assert ran("figures", own_run, "--failures", "2", "--split", "train") == 0
    assert (own_run / "figures" / "grad-cam.png").is_file()


def test_mistakes_get_a_line(own_run: Path, photos: Path, tmp_path: Path) -> None:
    table = own_run / "evaluation" / "val" / "mistakes.csv"
    table.parent.mkdir(parents=True)
    for words, message in (
        ("path,true\n", "made no mistake on val"),
        ("photo,true\nx,y\n", "has no column path"),
        ("path,true\nant/no.jpg,ant\n", "ant/no.jpg is not in the data any more"),
    ):
        table.write_text(words)
        with pytest.raises(UserError, match=message):
            fieldmark.figures(own_run, failures=1, split="val")
    with pytest.raises(UserError, match="--failures -1: it must be 1 or more"):
        fieldmark.figures(own_run, failures=-1)
    with pytest.raises(UserError, match="not both"):
        fieldmark.figures(own_run, photos / "ant" / "0.jpg", failures=1)
