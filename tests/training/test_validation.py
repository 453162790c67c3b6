"""Validation: its figures, and what a run keeps of its last answers."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

import fieldmark
from fieldmark.confidence.held_out import read_held_out
from fieldmark.evaluation.evaluate import evaluate, split_of_run
from fieldmark.evaluation.familiar import answers_beside, gallery_from
from fieldmark.input.loading import Photographs
from fieldmark.runs.folder import CONFIDENCE, GALLERY, HELD_OUT, digest_of, gallery_of_run, open_run, read_confidence
from fieldmark.training import announcing, session, validation
from fieldmark.training.estimate import Budget, Expected, Work
from fieldmark.training.folds import training_photos
from fieldmark.training.validation import Validation
from small_runs import QUIET, small, train_small, write_photos


def answers_are_the_run_s(run: Path) -> None:
    """What is kept is what the saved weights answer to the validation photos."""
    kept, confidence = read_held_out(run / HELD_OUT, classes=3), read_confidence(run)
    result = evaluate(open_run(run), split_of_run(run, None, "val"), split="val", workers=0)
    assert kept.names == result.names
    np.testing.assert_array_equal(kept.labels, result.labels)
    np.testing.assert_allclose(kept.logits, result.logits, atol=1e-5)
    assert confidence is not None
    assert (confidence.model, confidence.source, confidence.splits) == (digest_of(run), "validation", ("val",))
    assert (confidence.photos, confidence.right) == (len(kept.names), kept.right)


def test_a_run_keeps_its_last_answers(trained: Path) -> None:
    answers_are_the_run_s(trained)


def test_those_of_the_best_epoch_where_that_is_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ENOUGH_TO_CHOOSE", 1)
    figures = iter([0.9, 0.1, 0.1])  # so the first epoch's model is the best
    measure = Validation.__call__
    monkeypatch.setattr(
        Validation, "__call__", lambda self: {**measure(self), "val_top1": next(figures), "val_per_class": 0.0}
    )
    train_small(photos, tmp_path / "run")
    answers_are_the_run_s(tmp_path / "run")


def test_without_validation_photos_nothing_is_kept(photos: Path, tmp_path: Path) -> None:
    train_small(photos, tmp_path / "run", small(train_on="train+val", epochs=1))
    assert not (tmp_path / "run" / CONFIDENCE).exists()
    assert read_confidence(tmp_path / "run") is None


def test_other_weights_make_it_void(own_run: Path) -> None:
    model = own_run / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-4] + b"\0\0\0\0")
    assert read_confidence(own_run) is None
    assert open_run(own_run).temperature == 1.0


@pytest.fixture(scope="module")
def enough(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """15 training photos and 21 for validation, as many as 5 % needs."""
    root = tmp_path_factory.mktemp("enough")
    write_photos(root / "train", photos=5)
    for number, path in enumerate(sorted(write_photos(root / "every", photos=12).glob("*/*.jpg"))):
        if number % 12 >= 5:
            (root / "val" / path.parent.name).mkdir(parents=True, exist_ok=True)
            path.rename(root / "val" / path.parent.name / path.name)
    shutil.rmtree(root / "every")
    return root


def gallery_is_the_run_s(run: Path, photo: Path) -> None:
    """It is what ``calibrate`` makes, answers beside it too, and ``predict`` can refuse by it."""
    opened, gallery = open_run(run), gallery_of_run(run)
    made = gallery_from(opened, training_photos(run), console=QUIET)
    assert gallery is not None
    assert (gallery.names, gallery.model) == (made.names, digest_of(run))
    assert len(gallery.names) == 15
    np.testing.assert_array_equal(gallery.labels, made.labels)
    np.testing.assert_allclose(gallery.embeddings, made.embeddings, atol=2e-3)
    photos = Photographs(split_of_run(run, None, "val").dataset.photos, opened.recipe.pixels)
    near, kept = answers_beside(made, opened.learner.method, photos), read_held_out(run / HELD_OUT, classes=3)
    assert near.similarities is not None
    assert kept.similarities is not None
    assert near.names == kept.names
    np.testing.assert_allclose(kept.similarities, near.similarities, atol=2e-3)
    np.testing.assert_allclose(kept.logits, near.logits, atol=1e-4)
    (found,) = fieldmark.predict(run, photo, refuse="5%", device="cpu")
    assert found.nearest in ("ant", "bee", "cat")


@pytest.mark.parametrize("how", ["average", "best epoch", "quick"])
def test_a_run_can_refuse_right_away(
    how: str, enough: Path, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small(start="probe", weights=str(pretrained), epochs=1, lr=None)
    if how == "quick":
        settings = small(weights=str(pretrained), epochs=None, lr=None, quick=True)
        monkeypatch.setattr(validation, "embedded", None)  # the features that the head was fitted to are enough
    if how == "best epoch":
        monkeypatch.setattr(session, "_best_by", lambda prepared: "val_top1")
        monkeypatch.setattr(session.Loop, "has_kept", lambda self: self.position.kept == -1)
    train_small(enough, tmp_path / "run", settings)
    gallery_is_the_run_s(tmp_path / "run", enough / "val" / "ant" / "5.jpg")


def test_one_that_was_killed_before_the_end(enough: Path, pretrained: Path, tmp_path: Path) -> None:
    run, settings = tmp_path / "run", small(weights=str(pretrained), epochs=None, lr=None, quick=True)
    train_small(enough, run, settings)
    for name in ("curves.png", GALLERY, HELD_OUT, CONFIDENCE):
        (run / name).unlink()
    train_small(enough, run, small(epochs=None), resume=True)
    gallery_is_the_run_s(run, enough / "val" / "ant" / "5.jpg")


def test_few_validation_photos_make_no_gallery(trained: Path) -> None:
    assert not (trained / GALLERY).exists()
    assert read_held_out(trained / HELD_OUT, classes=3).similarities is None


def test_the_time_for_it_is_expected(
    enough: Path, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works: list[Work] = []

    def noted(*_: object, work: Work, **__: object) -> Expected:
        works.append(work)
        return Expected(0.0, 1.0, 0.0, 50.0 * bool(work.closing))

    monkeypatch.setattr(announcing, "expected_seconds", noted)
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    monkeypatch.setattr(Budget, "after_epoch", lambda self, per_epoch: None)
    told = train_small(enough, tmp_path / "timed", small(epochs=None, lr=None, size=32, time="1m"))
    # of a minute, 3 s are for the last files and 50 s for the gallery: seven epochs of a step
    assert works == [Work(per_batch=8, measured=21, closing=15)]
    assert any(line.startswith("epochs: 7 in place of") for line in told)
    assert "expected time: about 60 s" in told
    settings = small(weights=str(pretrained), epochs=None, lr=None, quick=True)
    train_small(enough, tmp_path / "quick", settings)
    assert (works[-1].features, works[-1].closing) == (15, 0)
    monkeypatch.setattr(session, "_best_by", lambda prepared: "val_top1")
    train_small(enough, tmp_path / "best", small(epochs=1))
    assert works[-1].closing == 15 + 21
