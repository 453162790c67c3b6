"""What a run with a class more or less knows of how sure it may be, as a user meets it, and by hand-made values."""

from pathlib import Path

import numpy as np
import pytest

import fieldmark
import small_runs
from fieldmark.confidence.gallery import Gallery
from fieldmark.confidence.held_out import HeldOut, read_held_out
from fieldmark.evaluation.demands import demands_of
from fieldmark.evaluation.familiar import answers_beside, gallery_from
from fieldmark.input.loading import Photographs
from fieldmark.new_classes.certainty import Certainty, certainty_of, without_class
from fieldmark.runs.folder import CONFIDENCE, GALLERY, HELD_OUT, digest_of, gallery_of_run, open_run, read_confidence
from fieldmark.training import calibrating
from fieldmark.training.folds import training_photos
from small_runs import QUIET
from sure_runs import random_answers, sure
from typed import ran, refused

FILES = (CONFIDENCE, HELD_OUT, GALLERY)


@pytest.fixture
def known(own_run: Path) -> Path:
    """A run with a gallery and with answers to its own training photos, as if these were kept out."""
    opened, data = open_run(own_run), training_photos(own_run)
    gallery = gallery_from(opened, data, console=QUIET)
    views = Photographs(data.dataset.photos, opened.recipe.pixels)
    sure(own_run, 1.3, answers_beside(gallery, opened.learner.method, views), gallery)
    return own_run


@pytest.fixture
def wasps(tmp_path: Path) -> Path:
    for number in range(3):
        small_runs.write_photo(tmp_path / "wasps" / f"{number}.jpg", label=4, number=300 + number)
    return tmp_path / "wasps"


def test_it_is_carried_over(known: Path, wasps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("add-class", known, "wasp", wasps, "--device", "cpu") == 0
    new = known.with_name("run-wasp")
    said = " ".join(capsys.readouterr().out.split())
    assert "how sure it may be is carried over; for answers of wasp it was not measured: fieldmark calibrate" in said
    before, after = read_confidence(known), read_confidence(new)
    assert before is not None
    assert after is not None
    assert (after.model, after.temperature, after.photos) == (digest_of(new), before.temperature, before.photos)
    old, held_out = read_held_out(known / HELD_OUT, classes=3), read_held_out(new / HELD_OUT, classes=4)
    np.testing.assert_array_equal(held_out.logits[:, :3], old.logits)
    assert held_out.right == old.right
    gallery = gallery_of_run(new)
    assert gallery is not None
    assert gallery.labels.tolist() == [*gallery_of_run(known).labels, 3, 3, 3]  # pyright: ignore
    assert demands_of(new, coverage=0.9, refuse="20%") is not None
    assert ran("predict", new, wasps, "--refuse", "5%", "-o", new.parent / "p.csv") == 0
    assert "not calibrated" not in capsys.readouterr().out
    found = list(fieldmark.predict(new, wasps, refuse="5%", coverage=0.9, device="cpu"))
    assert [one.nearest for one in found] == ["wasp"] * 3
    assert all((one.distance or 0.0) < 2e-3 for one in found)


def test_and_taken_back_to_the_bit(known: Path, wasps: Path, tmp_path: Path) -> None:
    one = fieldmark.add_class(known, "wasp", wasps, device="cpu").path
    two = fieldmark.add_class(one, "hornet", wasps / "1.jpg", out=tmp_path / "two", device="cpu").path
    first = fieldmark.remove_class(two, "wasp", out=tmp_path / "first")
    assert gallery_of_run(first).labels.max() == 3  # pyright: ignore[reportOptionalMemberAccess]
    for back in (fieldmark.remove_class(one, "wasp"), fieldmark.remove_class(first, "hornet")):
        for name in FILES[1:]:
            assert (back / name).read_bytes() == (known / name).read_bytes()
        assert read_confidence(back) is not None
    last = fieldmark.remove_class(two, "hornet", out=tmp_path / "last")
    assert all((last / name).read_bytes() == (one / name).read_bytes() for name in FILES[1:])


def test_a_run_that_knows_nothing_hands_nothing_on(
    own_run: Path, wasps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_run / CONFIDENCE).unlink()
    assert ran("add-class", own_run, "wasp", wasps, "--device", "cpu") == 0
    assert "how sure" not in capsys.readouterr().out
    new = own_run.with_name("run-wasp")
    assert not [name for name in FILES if (new / name).exists()]
    assert ran("predict", new, wasps, "-o", new.parent / "p.csv") == 0
    assert "probabilities are not calibrated" in capsys.readouterr().out


def test_a_damaged_file_is_told_before_the_work(known: Path, wasps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (known / HELD_OUT).write_bytes(b"none")
    assert "held_out.npz cannot be read" in refused(capsys, "add-class", known, "wasp", wasps)
    assert not known.with_name("run-wasp").exists()


def test_calibrating_it_keeps_its_photos(
    known: Path, wasps: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    new = fieldmark.add_class(known, "wasp", wasps, device="cpu").path
    said = refused(capsys, "calibrate", new, "--device", "cpu")  # three validation photos, and no folds
    assert "wasp was added without training" in said
    assert "calibrate the run that it was added to, and add it again" in said
    answers = random_answers(60)
    wide = HeldOut(answers.names, answers.labels, np.hstack([answers.logits, answers.logits[:, :1] - 9]))
    monkeypatch.setattr(calibrating, "_answers", lambda opened, photos, gallery, console: wide)
    assert ran("calibrate", new, "--device", "cpu") == 0
    gallery = gallery_of_run(new)
    assert gallery is not None
    assert np.bincount(gallery.labels).tolist() == [8, 8, 8, 3]
    (new / GALLERY).unlink()
    capsys.readouterr()
    assert ran("calibrate", new, "--device", "cpu") == 0
    assert "nothing is remembered of what wasp looks like" in " ".join(capsys.readouterr().out.split())


def test_without_a_class_that_has_held_out_photos(known: Path) -> None:
    certainty = certainty_of(known)
    assert certainty is not None
    answers = random_answers(90)
    gallery = Gallery("m", ("a", "b", "c"), np.array([0, 1, 2]), np.eye(3, dtype=np.float16))
    left = without_class(Certainty(certainty.confidence, answers, gallery), 1)
    assert left is not None
    kept = answers.labels != 1
    assert left.held_out.names == tuple(name for name, is_kept in zip(answers.names, kept, strict=True) if is_kept)
    assert left.held_out.labels.tolist() == [0 if label == 0 else 1 for label in answers.labels[kept]]
    np.testing.assert_array_equal(left.held_out.logits, answers.logits[kept][:, [0, 2]])
    assert left.confidence.photos == int(kept.sum())
    assert left.gallery is not None
    assert (left.gallery.names, left.gallery.labels.tolist()) == (("a", "c"), [0, 1])
    alone = HeldOut(("a",), np.ones(1, np.int64), np.zeros((1, 3), np.float32))
    assert without_class(Certainty(certainty.confidence, alone, None), 1) is None
