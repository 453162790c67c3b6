"""``fieldmark.predict``: the same words for a run and for an exported model."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import fieldmark
from fieldmark.data.unlabelled import listed_photos
from fieldmark.errors import UserError
from fieldmark.predict_settings import Asked, Machine
from fieldmark.predicting import MANY, answering_of, core_count
from fieldmark.ship import model as model_module
from fieldmark.ship.model import open_model
from tiny_models import gallery, held_out, manifest, write_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_model(tmp_path / "Model.ONNX", manifest(held_out=held_out()), gallery=gallery())


def test_by_an_exported_model(path: Path, photos: Path) -> None:
    model = open_model(path)
    assert list(fieldmark.predict(path, photos, top=2)) == model.predict(photos, top=2)
    demands = model.demands(certainty=0.6, coverage=0.8, refuse=0.2)
    found = list(fieldmark.predict(str(path), photos, certainty=0.6, coverage=0.8, refuse="20%"))
    assert found == model.predict(photos, demands=demands)
    (picture,) = fieldmark.predict(path, np.zeros((40, 40, 3), np.uint8), workers=2)
    assert picture.file == "inputs"
    with pytest.raises(UserError, match="--device mps: an exported model runs on"):
        fieldmark.predict(path, photos, device="mps")
    with pytest.raises(UserError, match="--workers -1: it must be at least 0"):
        fieldmark.predict(path, photos, workers=-1)
    with pytest.raises(UserError, match="--top 0: at least 1"):
        fieldmark.predict(path, photos, top=0)


def test_a_folder_of_that_name_is_a_run(trained: Path, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run.onnx"
    run.symlink_to(trained)
    assert list(fieldmark.predict(run, photos / "ant")) == list(fieldmark.predict(trained, photos / "ant"))


def test_other_processes_read_where_there_are_many_photos(
    path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    whole = model_module.Model.answered

    def answered(self, photos, pictures, **more):
        asked.append(more["workers"])
        return whole(self, photos, pictures, **more | {"workers": 0})

    monkeypatch.setattr(model_module.Model, "answered", answered)
    few, many = [photos], [photos / "ant" / "0.jpg"] * (MANY + 1)
    for inputs, workers in ((few, None), (many, None), (few, 3), (many, 0), ([*many, b"in memory"], None)):
        found = listed_photos(inputs)
        answering = answering_of(path, found, Asked(top=1), Machine(workers=workers))
        assert len(list(answering.answered(found))) == len(list(found))
    assert asked == [0, min(32, core_count()), 3, 0, 0]


def test_workers_answer_alike(path: Path, photos: Path) -> None:
    for asked in (Asked(), Asked(certainty=0.6, coverage=0.8, refuse="20%")):
        found = listed_photos([photos])
        one, two = (
            list(answering_of(path, found, asked, Machine(workers=workers)).answered(found)) for workers in (0, 2)
        )
        assert one == two


def test_what_is_not_calibrated_is_said(path: Path, trained: Path, photos: Path, tmp_path: Path) -> None:
    found = listed_photos(photos)
    assert answering_of(path, found, Asked(), Machine()).remarks == ()
    bare = write_model(tmp_path / "bare.onnx", manifest(calibrated=False, temperature=1.0))
    for run in (bare, trained):
        (remark,) = answering_of(run, found, Asked(), Machine()).remarks
        assert remark.startswith("probabilities are not calibrated: fieldmark calibrate")
    assert list(answering_of(trained, found, Asked(), Machine()).answered([])) == []


def test_a_folder_of_thousands_takes_no_memory(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many photos need no more: neither they nor their predictions are held."""
    monkeypatch.setattr("fieldmark.ship.reading.read_image", _unread)
    folder = tmp_path / "photos"
    peaks = []
    for part in range(3):
        (folder / f"{part}").mkdir(parents=True)
        for number in range(400):
            (folder / f"{part}" / f"{number}.jpg").touch()
        if part == 1:
            continue
        tracemalloc.start()
        count = sum(1 for _ in fieldmark.predict(path, folder, workers=0))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == 400 * (part + 1)
    assert peaks[1] < peaks[0] + 100_000


def _unread(path: Path, *, name: str, limits: object) -> None:
    from fieldmark.errors import UnreadableImage

    raise UnreadableImage(name, "not looked at")


PROGRAM = """
import sys
from fieldmark.cli import run
code = run([*sys.argv[1:], "--quiet"])
print(code, *sorted(name for name in sys.modules if not name.startswith(("_", "encodings"))))
"""
# What would take longer than the answer itself.
NOT_FOR_A_MODEL = {
    *("torch", "torchvision", "timm", "sklearn", "scipy", "matplotlib", "onnx", "onnxscript", "fastapi", "uvicorn"),
    *("jinja2", "asyncio", "rich.traceback", "fieldmark.api", "fieldmark.evaluation", "fieldmark.training.loop"),
}
NOT_FOR_A_RUN = {
    *("torch._dynamo", "torch._inductor", "sympy", "sklearn", "scipy", "matplotlib", "torchmetrics", "onnxruntime"),
    *("lightning_fabric", "jinja2", "fieldmark.training.loop", "fieldmark.explanations", "fieldmark.reports"),
}


@pytest.mark.parametrize("by", ["model", "run"])
def test_a_single_photo_costs_few_imports(by: str, path: Path, trained: Path, photos: Path, tmp_path: Path) -> None:
    run, unwanted = {"model": (path, NOT_FOR_A_MODEL), "run": (trained, NOT_FOR_A_RUN)}[by]
    words = ["predict", run, photos / "ant" / "0.jpg", "-o", tmp_path / "p.csv"]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *map(str, words)], capture_output=True, text=True)
    code, *imported = done.stdout.split()
    assert code == "0", done.stderr
    assert not unwanted & {*imported}
    assert ("torch" in imported) == (by == "run")
