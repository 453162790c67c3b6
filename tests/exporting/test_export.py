"""``fieldmark export`` as it is typed and called: what it writes answers as the run does, or nothing is written."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import ModelProto
from rich.console import Console

import fieldmark
from exported_networks import TEMPERATURE, disturbed
from fieldmark import cli
from fieldmark.errors import UserError
from fieldmark.exporting import export as export_module
from fieldmark.exporting import onnx_file
from fieldmark.exporting.network import Shipped
from fieldmark.exporting.targets import MARK
from fieldmark.runs.folder import digest_of
from fieldmark.ship.container import GALLERY, MANIFEST, opened
from fieldmark.ship.gallery import gallery_from_text
from fieldmark.ship.manifest import Manifest, manifest_from_json
from fieldmark.ship.model import open_model

QUIET = Console(quiet=True)


def manifest_in(path: Path) -> Manifest:
    return manifest_from_json(opened(path).metadata[MANIFEST], name=path.name)


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch, graph: ModelProto) -> None:
    """The network is traced already, which takes most of the time."""
    monkeypatch.setattr(export_module, "traced", lambda network, size: graph)


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert cli.run(["export", *map(str, words)]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert 1 <= len(said.err.splitlines()) <= 3
    return " ".join(said.err.split())


def test_the_file_answers_as_the_run_does(exported: Path, sure_run: Path, photos: Path):
    model, files = open_model(exported), sorted(photos.rglob("*.jpg"))
    mine, theirs = model.predict(files, top=3), list(fieldmark.predict(sure_run, files, top=3))
    assert [one.classes for one in mine] == [one.classes for one in theirs]
    np.testing.assert_allclose([one.probabilities for one in mine], [one.probabilities for one in theirs], atol=1e-6)
    assert len({one.classes[0] for one in mine}) > 1


@pytest.mark.parametrize("count", [1, 3, 8])
def test_every_output_is_the_networks(exported: Path, network: Shipped, count: int):
    images = torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(count))
    found = open_model(exported).outputs(images.numpy(), *network.names)
    with torch.inference_mode():
        logits, probabilities, embedding, maps = network(images)
        assert torch.equal(logits, network.method(images))
    for name, wanted in zip(network.names, (logits, probabilities, embedding, maps), strict=True):
        np.testing.assert_allclose(found[name], wanted.numpy(), atol=1e-5, err_msg=name)
    np.testing.assert_allclose(found["probabilities"], (logits / TEMPERATURE).softmax(1).numpy(), atol=1e-6)
    assert maps.shape[:2] == (count, 3)


def test_inputs_are_those_of_evaluation_bit_for_bit(exported: Path, sure_run: Path, photos: Path):
    model, transform = open_model(exported), fieldmark.load(sure_run).transform
    for file in sorted(photos.rglob("*.jpg"))[::7]:
        assert np.array_equal(model.prepared(file), transform(file).numpy())


def test_what_the_file_says_of_itself(exported: Path, sure_run: Path):
    manifest = manifest_in(exported)
    assert manifest.classes == ("ant", "bee", "cat")
    assert (manifest.temperature, manifest.calibrated) == (TEMPERATURE, True)
    assert manifest.held_out is not None
    assert len(manifest.held_out.labels) == 40
    assert manifest.groups is not None
    assert manifest.groups.levels[0].groups == ("insect", "insect", "mammal")
    assert (manifest.licences.photos, manifest.licences.weights) == ("CC BY 4.0", "none | <b>")
    assert manifest.origin.run == digest_of(sure_run)
    assert (manifest.precision, manifest.takes, manifest.no_maps) == ("fp32", "images", "")
    parity = manifest.parity
    assert parity is not None
    assert parity.batches == (1, 2, 7)
    assert max(parity.logits, parity.probabilities, parity.embedding, parity.maps or 0, parity.summed or 0) < 1e-4
    found = parity.on_photos
    assert found is not None
    assert (found.split, found.count, found.inputs_equal, found.answers_equal) == ("val", 3, 3, 3)
    assert found.right == found.right_before


def test_the_gallery_is_in_the_file_with_small_pictures(exported: Path):
    gallery = gallery_from_text(opened(exported).metadata[GALLERY], classes=3, embedding=96)
    assert gallery.names[0] == "ant/0.jpg"
    assert [bool(picture) for picture in gallery.thumbnails] == [True] * 11 + [False]  # the last photo is gone


def test_nothing_in_the_file_or_beside_it_names_a_place_on_the_machine(exported: Path, sure_run: Path, photos: Path):
    for path in exported.parent.iterdir():
        content = path.read_bytes()
        for place in (sure_run.parent, photos.parent, exported.parent, Path(fieldmark.__file__).parent):
            assert str(place).encode() not in content, path.name


def test_the_comparison_lies_beside_the_file(exported: Path):
    value = json.loads(exported.with_suffix(".parity.json").read_text())
    assert value["digest"] == opened(exported).digest
    assert value["batches"] == [1, 2, 7]
    assert value["on_photos"]["count"] == 3
    assert exported.with_suffix(".md").read_text().startswith(MARK)


def test_the_table_is_printed(untraced: None, own_run: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.run(["export", str(own_run)]) == 0
    said = capsys.readouterr().out
    for line in ("logits, batches of 1, 2, 7", "equal bit for bit", "exported (", "model.onnx", "model.md"):
        assert line in said
    assert cli.run(["export", str(own_run)]) == 0, "an earlier export is replaced"


@pytest.mark.parametrize("by", [1e-2, float("nan")])
def test_a_file_that_answers_otherwise_is_not_written(
    monkeypatch: pytest.MonkeyPatch, graph: ModelProto, own_run: Path, capsys: pytest.CaptureFixture[str], by: float
):
    monkeypatch.setattr(export_module, "traced", lambda network, size: disturbed(graph, by=by))
    before = {path.name for path in own_run.iterdir()}
    assert "does not answer as the network does: logits differ by" in refused(capsys, own_run)
    assert {path.name for path in own_run.iterdir()} == before


def test_an_earlier_export_survives_one_that_fails(
    monkeypatch: pytest.MonkeyPatch, graph: ModelProto, exported: Path, own_run: Path, tmp_path: Path
):
    for file in exported.parent.iterdir():
        shutil.copy(file, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("birds*")}
    monkeypatch.setattr(export_module, "traced", lambda network, size: disturbed(graph, by=1.0))
    with pytest.raises(UserError, match="nothing was written"):
        fieldmark.export(own_run, tmp_path / "birds.onnx")
    assert {path.name: path.read_bytes() for path in tmp_path.glob("birds*")} == before


def test_photos_that_are_prepared_otherwise_are_seen(
    untraced: None, monkeypatch: pytest.MonkeyPatch, own_run: Path, capsys: pytest.CaptureFixture[str]
):
    from fieldmark.ship.model import Model

    prepared = Model.prepared
    monkeypatch.setattr(Model, "prepared", lambda self, *given: np.nextafter(prepared(self, *given), np.float32(9)))
    assert "3 of 3 photos give the network other numbers" in refused(capsys, own_run)


def test_without_its_photos_noise_alone_is_compared(untraced: None, own_run: Path, capsys: pytest.CaptureFixture[str]):
    about = own_run / "run.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"data": str(own_run / "gone")}))
    assert cli.run(["export", str(own_run)]) == 0
    said = capsys.readouterr().out
    assert "noise alone was compared" in said
    assert manifest_in(own_run / "model.onnx").parity is not None
    assert "does not exist; use --data DATA" in refused(capsys, own_run, "--thumbnails")
    assert "no such" in refused(capsys, own_run, "--data", own_run / "nowhere") or True


def test_an_unfinished_run_is_told(untraced: None, own_run: Path, capsys: pytest.CaptureFixture[str]):
    metrics = own_run / "metrics.csv"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:-1]))
    assert cli.run(["export", str(own_run)]) == 0
    assert "has done 1 of 2 epochs" in capsys.readouterr().out


def test_mistakes_are_told_in_a_few_lines(
    own_run: Path, tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    notes, table = tmp_path / "notes.onnx", tmp_path / "b.parity.json"
    notes.write_text("mine")
    table.write_text("{}")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "ends in .onnx" in refused(capsys, own_run, "--out", tmp_path / "model.pt")
    assert "is not a result of this command" in refused(capsys, own_run, "--out", notes)
    assert "is not a result of this command" in refused(capsys, own_run, "--out", tmp_path / "b.onnx")
    assert "leave out --no-gallery" in refused(capsys, own_run, "--no-gallery", "--thumbnails")
    assert "is not a Fieldmark run" in refused(capsys, photos)
    assert "--to" in refused(capsys, own_run, "--to", "tflite")
    assert "--precision" in refused(capsys, own_run, "--precision", "fp8")
    with pytest.raises(UserError, match="choose fp32, fp16 or int8"):
        fieldmark.export(own_run, precision="fp8")  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else name)
    assert "needs onnxscript: pip install 'fieldmark[export]'" in refused(capsys, own_run)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
