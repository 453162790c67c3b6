"""Validation: its figures, and what a run keeps of its last answers."""

from pathlib import Path

import numpy as np
import pytest

from fieldmark.confidence.held_out import read_held_out
from fieldmark.evaluation.evaluate import evaluate, split_of_run
from fieldmark.runs.folder import CONFIDENCE, HELD_OUT, digest_of, open_run, read_confidence
from fieldmark.training import session
from fieldmark.training.validation import Validation
from small_runs import small, train_small


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
