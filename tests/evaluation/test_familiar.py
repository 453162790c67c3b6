"""``predict --refuse``: a run's gallery, answers beside it, and "none of these" as a user types and reads it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import fieldmark
from fieldmark.confidence.held_out import HeldOut
from fieldmark.confidence.novelty import directions
from fieldmark.confidence.refusal import NONE, refusal_of
from fieldmark.evaluation.demands import demands_of
from fieldmark.evaluation.evaluate import split_of_run
from fieldmark.evaluation.familiar import answers_beside, gallery_from
from fieldmark.input.loading import Photographs
from fieldmark.runs.folder import CLASSES, GALLERY, HELD_OUT, open_run
from fieldmark.training.folds import training_photos
from small_runs import QUIET
from sure_runs import random_answers, sure
from typed import ran, refused


@pytest.fixture
def seen(own_run: Path) -> Path:
    """The run with a gallery, and answers to photos as to those of its own, as if these were kept out."""
    opened = open_run(own_run)
    data = training_photos(own_run)
    gallery = gallery_from(opened, data, console=QUIET)
    views = Photographs(data.dataset.photos, opened.recipe.pixels)
    sure(own_run, answers=answers_beside(gallery, opened.learner.method, views), gallery=gallery)
    return own_run


def test_neighbours_are_those_of_the_network(own_run: Path) -> None:
    opened = open_run(own_run)
    gallery = gallery_from(opened, training_photos(own_run), console=QUIET)
    assert len(gallery.names) == len(gallery.labels) == 24
    photos = split_of_run(own_run, None, "val").dataset.photos
    found = answers_beside(gallery, opened.learner.method, Photographs(photos, opened.recipe.pixels))
    model, transform, _ = fieldmark.load(own_run)

    def direction(path: Path) -> np.ndarray:
        with torch.no_grad():
            return directions(model.classifier.features(transform(path)[None]).embedding.numpy())[0]

    known = [direction(photo.path) for photo in training_photos(own_run).dataset.photos]
    assert found.similarities is not None
    for photo, similarity, logits in zip(photos, found.similarities, found.logits, strict=True):
        assert similarity == pytest.approx(max(float(direction(photo.path) @ other) for other in known), abs=2e-3)
        with torch.no_grad():
            assert logits == pytest.approx(model(transform(photo.path)[None])[0].numpy(), abs=1e-4)


def test_the_demand_is_the_rule_of_the_held_out_photos(seen: Path) -> None:
    found = demands_of(seen, refuse="20%")
    assert found is not None
    assert found.refusal is not None
    with np.load(seen / HELD_OUT) as held_out:
        expected = refusal_of(held_out["logits"].max(1), held_out["similarities"], found.refusal.gallery, share=0.2)
    assert found.refusal.limit == expected.limit


def test_as_it_is_typed(seen: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    inputs = [*sorted((photos / "ant").iterdir()), tmp_path / "bad.jpg"]
    words = ("predict", seen, *inputs, "--top", "1", "--refuse")
    assert ran(*words, "50%", "-o", tmp_path / "p.csv") == 0
    said = capsys.readouterr().out
    with (tmp_path / "p.csv").open(newline="") as file:
        header, *rows, bad = csv.reader(file)
    assert header == ["file", "class_1", "probability_1", "answer", "nearest", "distance", "error"]
    assert bad[1:6] == [""] * 5
    known = [row for row in rows if row[3] != NONE]
    assert 0 < len(known) < len(rows)
    assert all(row[3] == row[1] for row in known)
    assert said.replace("\n", "").replace(" ", "").count("answer:noneofthese(nearest:") == len(rows) - len(known)
    assert all(row[4] in ("ant", "bee", "cat") and 0 <= float(row[5]) < 1 for row in rows)
    in_training = {photo.path.name for photo in training_photos(seen).dataset.photos if photo.path.parent.name == "ant"}
    assert all((row[4], float(row[5]) < 2e-3) == ("ant", True) for row in rows if Path(row[0]).name in in_training)
    assert ran(*words, "0.5", "--certainty", "0.01", "--coverage", "0.5", "-o", tmp_path / "p.json") == 0
    found = json.loads((tmp_path / "p.json").read_text())["predictions"]
    further = ["answer", "level", "answer_probability", "nearest", "distance", "set"]
    assert list(found[0]) == ["file", "classes", *further, "error"]
    assert [one["answer"] for one in found[:-1]] == [row[3] for row in rows]
    assert {one["level"] for one in found if one["answer"] == NONE} == {NONE}
    assert found[-1]["answer"] is found[-1]["nearest"] is found[-1]["distance"] is None
    (first,) = fieldmark.predict(seen, inputs[0], refuse=0.5)
    assert (first.answer, first.nearest) == (rows[0][3], rows[0][4])


def test_many_photos_are_summed_up(
    seen: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran("predict", seen, photos, "-o", tmp_path / "p.csv", "--refuse", "40%") == 0
    said = capsys.readouterr().out
    none = (tmp_path / "p.csv").read_text().count(f",{NONE},")
    assert 10 <= none <= 16  # of 24 that set the threshold, and six others
    assert f"answers: class {30 - none}, none of these {none}" in said


def test_refusals(seen: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("predict", seen, photos / "ant", "--refuse")
    assert "--refuse 120%: it must be" in refused(capsys, *words, "120%")
    assert "did you mean 5%?" in refused(capsys, *words, "5")
    few = refused(capsys, *words, "1%")
    assert "it needs 99 photos kept out of training, and the run has 24" in few
    assert "ask for 4% or more" in few
    sure(seen, answers=random_answers(99))  # as by training alone
    assert "no gallery of training photos; fieldmark calibrate" in refused(capsys, *words, "5%")
    (seen / GALLERY).write_bytes(b"no archive")
    near = np.ones(99, np.float32)
    answers = random_answers(99)
    sure(seen, answers=HeldOut(answers.names, answers.labels, answers.logits, near))
    assert "gallery.npz cannot be read" in refused(capsys, *words, "5%")
    (seen / "confidence.json").unlink()
    assert "nothing is known of how sure the run may be; fieldmark calibrate" in refused(capsys, *words, "5%")


def test_a_gallery_of_other_weights_is_none(seen: Path, capsys: pytest.CaptureFixture[str], photos: Path) -> None:
    with np.load(seen / GALLERY) as arrays:
        np.savez(seen / GALLERY, allow_pickle=False, **{**arrays, "model": np.array("another")})
    assert "no gallery" in refused(capsys, "predict", seen, photos / "ant", "--refuse", "20%")


def test_a_class_of_that_name(seen: Path, capsys: pytest.CaptureFixture[str], photos: Path) -> None:
    text = (seen / CLASSES).read_text()
    (seen / CLASSES).write_text(text.replace("cat", NONE))
    said = refused(capsys, "predict", seen, photos / "ant", "--refuse", "20%")
    assert "is itself called 'none of these'; rename it" in said
