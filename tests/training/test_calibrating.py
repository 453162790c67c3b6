"""``fieldmark calibrate``: from validation photos, from folds, and what keeps to it afterwards.

``pytest -m slow tests/training/test_calibrating.py`` does it for every paper's method.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fieldmark
from fieldmark.confidence.held_out import HeldOut
from fieldmark.errors import UserError
from fieldmark.runs.folder import CONFIDENCE, HELD_OUT, read_confidence, write_confidence
from fieldmark.training import calibrating
from small_runs import KEYWORDS, write_photos
from sure_runs import random_answers, sure
from typed import ran, refused


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> HeldOut:
    """Out-of-fold answers, made without training."""
    answers = random_answers(300)
    monkeypatch.setattr(calibrating, "out_of_fold", lambda folding, *, console: answers)
    return answers


def test_few_validation_photos_lead_to_folds(own_run: Path, folded: HeldOut) -> None:
    confidence = fieldmark.calibrate(own_run)
    assert (confidence.source, confidence.folds, confidence.photos) == ("folds", 3, 300)
    assert confidence.temperature.is_known
    assert read_confidence(own_run) == confidence


def test_validation_photos_that_tell_are_enough(
    own_run: Path, folded: HeldOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrating, "_answers", lambda opened, photos, gallery, console: folded)
    assert fieldmark.calibrate(own_run).source == "validation"
    assert fieldmark.calibrate(own_run, folds=4).folds == 4  # as the user says


def test_probabilities_keep_to_it(own_run: Path, photos: Path, tmp_path: Path) -> None:
    photo = photos / "ant" / "0.jpg"

    def probabilities() -> tuple[dict[str, float], dict[str, float]]:
        (predicted,) = fieldmark.predict(own_run, photo)
        (explained,) = fieldmark.explain(own_run, photo)
        answers = {answer.name: answer.probability for answer in explained.answers}
        return dict(zip(predicted.classes, predicted.probabilities, strict=True)), answers

    (own_run / CONFIDENCE).unlink()
    before, _ = probabilities()
    sure(own_run, 2.0)
    after, explained = probabilities()
    roots = {name: share**0.5 for name, share in before.items()}
    assert after == pytest.approx({name: root / sum(roots.values()) for name, root in roots.items()}, rel=1e-5)
    assert explained == pytest.approx(after, rel=1e-5)


def test_an_evaluation_keeps_to_it(own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sure(own_run, 3.0)
    assert ran("evaluate", own_run, "--split", "val", "--out", tmp_path / "figures") == 0
    assert "at temperature 3.00, chosen by these photos" in " ".join(capsys.readouterr().out.split())
    figures = json.loads((tmp_path / "figures" / "metrics.json").read_text())["calibration"]
    answers = np.load(tmp_path / "figures" / "logits.npz")
    assert figures["temperature"] == 3.0
    shares = np.exp(answers["logits"].astype(np.float64) / 3)
    shares /= shares.sum(1, keepdims=True)
    assert figures["probability"] == pytest.approx(shares.max(1).mean())
    assert (tmp_path / "figures" / "reliability.png").is_file()


def test_as_it_is_typed(own_run: Path, folded: HeldOut, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("calibrate", own_run, "--json", tmp_path / "it.json") == 0
    assert "300 photos of train, out of fold" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "it.json").read_text())["source"] == "folds"
    assert ran("evaluate", own_run, "--split", "val", "--out", tmp_path / "figures") == 0
    assert "at temperature" in capsys.readouterr().out


def test_predict_says_where_nothing_is_known(
    own_run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("predict", own_run, photos / "ant" / "0.jpg", "-o", tmp_path / "p.csv")
    line = f"probabilities are not calibrated: fieldmark calibrate {own_run}"
    assert ran(*words) == 0
    assert line in capsys.readouterr().out
    sure(own_run, 2.0)
    assert ran(*words) == 0
    assert line not in capsys.readouterr().out


def test_bad_input(own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "not a Fieldmark run" in refused(capsys, "calibrate", tmp_path)
    assert "at least 2" in refused(capsys, "calibrate", own_run, "--folds", "1")
    (tmp_path / "notes.json").write_text("[]")
    assert "notes.json" in refused(capsys, "calibrate", own_run, "--json", tmp_path / "notes.json")
    (own_run / CONFIDENCE).write_text("{}")
    assert CONFIDENCE in refused(capsys, "predict", own_run, own_run / CONFIDENCE)


def test_it_is_written_whole_or_not_at_all(own_run: Path) -> None:
    before = {name: (own_run / name).read_bytes() for name in (CONFIDENCE, HELD_OUT)}
    known = read_confidence(own_run)
    assert known is not None

    class Unsaved(HeldOut):
        def save(self, path: Path) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        write_confidence(own_run, replace(known, photos=1), Unsaved((), np.zeros(0), np.zeros((0, 3))))
    assert {name: (own_run / name).read_bytes() for name in before} == before
    assert not [path for path in own_run.iterdir() if path.name.startswith(".") and path.suffix]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["plain", "pc", "mc-loss", "api-net", "cin", "s3n"])
def test_every_method(method: str, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", photos=12)
    keywords = {name: value for name, value in KEYWORDS.items() if name != "batch"} | {"method": method, "epochs": 1}
    run = fieldmark.train(photos, tmp_path / "run", **keywords)  # pyright: ignore
    assert fieldmark.calibrate(run, folds=2, device="cpu").photos == 30
    photo = next(photos.glob("ant/*.jpg"))
    (found,) = fieldmark.predict(run, photo, refuse="20%", device="cpu")
    assert found.nearest in ("ant", "bee", "cat")
    assert found.distance is not None
    assert -1e-3 <= found.distance <= 2
