"""Which pictures a run has the parts for, what they show, and words for what does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fieldmark
from fieldmark.errors import UserError
from fieldmark.paper_figures.figure import PaperFigure
from small_figures import write_drawn_run

NAMES = {
    "plain": {"grad-cam"},
    "pc": {"grad-cam"},
    "mc-loss": {"grad-cam", "mc-loss-figure-7"},
    "api-net": {"grad-cam", "api-net-figure-3-pair-1"},
    "cin": {"grad-cam", "cin-figure-4", "cin-figure-5"},
    "s3n": {"grad-cam", "s3n-figure-7"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("drawn")
    return {name: write_drawn_run(folder / name, name) for name in NAMES}


def made(run: Path, photos: Path, *, beside: Path | None = None, count: int = 3) -> dict[str, PaperFigure]:
    chosen = [photos / "ant" / f"{number}.jpg" for number in range(count)]
    return {figure.name: figure for figure in fieldmark.figures(run, chosen, beside=beside)}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_gets_its_papers_pictures(runs: dict[str, Path], photos: Path, tmp_path: Path, name: str):
    figures = made(runs[name], photos, beside=runs["plain"], count=2)
    assert figures.keys() == NAMES[name]
    for figure in figures.values():
        path = figure.save(tmp_path)
        with Image.open(path) as picture:
            assert picture.width > 600
        said = json.loads(path.with_suffix(".json").read_text("utf-8"))
        assert said["panels"] == [[panel.title for panel in row] for row in figure.rows]
        assert len(said["runs"]) in (1, 2)
        with np.load(path.with_suffix(".npz")) as arrays:
            assert all(arrays[key].min() >= 0 and arrays[key].max() <= 1 for key in arrays.files)


def test_the_baseline_stands_beside(runs: dict[str, Path], photos: Path):
    alone, both = made(runs["mc-loss"], photos), made(runs["mc-loss"], photos, beside=runs["plain"])
    assert len(alone["mc-loss-figure-7"].rows) == 3
    assert len(both["mc-loss-figure-7"].rows) == 6
    assert [len(row) for row in alone["grad-cam"].rows] == [2] * 3
    assert [len(row) for row in both["grad-cam"].rows] == [3] * 3


def test_gates_are_those_of_the_pair(runs: dict[str, Path], photos: Path):
    figure = made(runs["api-net"], photos, count=4)["api-net-figure-3-pair-2"]
    loaded = fieldmark.load(runs["api-net"])
    images = torch.stack([loaded.transform(photos / "ant" / f"{number}.jpg") for number in (2, 3)])
    with torch.no_grad():
        gates = loaded.model.evidence(images).gates["own"]
    assert figure.facts["channels"] == gates.topk(5, 1).indices.tolist()


def test_complementary_channels_are_the_largest_of_their_row(runs: dict[str, Path], photos: Path):
    figure = made(runs["cin"], photos, count=1)["cin-figure-4"]
    loaded = fieldmark.load(runs["cin"])
    with torch.no_grad():
        maps = loaded.model.classifier.backbone(loaded.transform(photos / "ant" / "0.jpg")[None])[0].flatten(1)
        channel = int(maps.mean(1).argmax())
        row = torch.softmax(-(maps[channel] @ maps.T), 0)
    assert figure.facts["channel"] == [channel]
    assert figure.facts["complementary"] == [row.topk(3).indices.tolist()]
    np.testing.assert_allclose(figure.facts["row_of_W"][0], row, atol=1e-6)
    assert "cin-figure-5" not in made(runs["cin"], photos, count=1)  # there is nothing to compare with


def test_channels_of_the_predicted_class(runs: dict[str, Path], photos: Path):
    figure = made(runs["mc-loss"], photos, count=1)["mc-loss-figure-7"]
    loaded = fieldmark.load(runs["mc-loss"])
    with torch.no_grad():
        features = loaded.model.classifier.features(loaded.transform(photos / "ant" / "0.jpg")[None])
    groups = fieldmark.load(runs["mc-loss"]).model.classifier.backbone.channels // 3
    best = int(features.logits.argmax())
    channels = {int(panel.title.split()[1]) for panel in figure.rows[0][1:-1]}
    assert all(best * groups - 2 <= channel < (best + 1) * groups + 3 for channel in channels)
    merged = figure.rows[0][-1].heatmap
    assert merged is not None
    assert merged.max() == 1


def test_sampled_pictures_and_their_lattice(runs: dict[str, Path], photos: Path):
    figure = made(runs["s3n"], photos, count=1)["s3n-figure-7"]
    lattices = [panel for panel in figure.rows[0] if panel.grid is not None]
    assert len(lattices) == 2
    for panel in lattices:
        assert panel.grid is not None
        assert panel.grid.min() >= 0
        assert panel.grid.max() <= 1
        assert (np.diff(panel.grid[..., 0], axis=1) > -1e-6).all()  # nothing is folded
    peaks = figure.rows[0][1].points
    assert peaks is not None
    assert len(peaks) == figure.facts["peaks"][0]


def test_mistakes_get_a_line(runs: dict[str, Path], photos: Path, tmp_path: Path):
    with pytest.raises(UserError, match="up to 12"):
        list(fieldmark.figures(runs["plain"], [photos / "ant", photos / "bee"]))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    with pytest.raises(UserError, match=r"broken.jpg cannot be read"):
        list(fieldmark.figures(runs["plain"], tmp_path / "broken.jpg"))
    other = write_drawn_run(tmp_path / "other", "plain", backbone="test_efficientnet")
    with pytest.raises(UserError, match="has other channels"):
        list(fieldmark.figures(runs["plain"], photos / "ant" / "0.jpg", beside=other))
