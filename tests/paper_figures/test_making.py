"""Which pictures a run has the parts for, what they show, and words for what does not fit."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fieldmark
from fieldmark.errors import UserError
from fieldmark.paper_figures.figure import PaperFigure
from fieldmark.papers.mutual_channel import SoftChannelLabels, channel_groups
from fieldmark.recipe import Part
from fieldmark.runs.checkpoint import save_model
from fieldmark.runs.folder import open_run
from small_figures import COMPOSITIONS, write_drawn_run
from sure_runs import sure

PHOTOS = 2
MC = {"mc-loss-figure-7", *(f"mc-loss-figure-3b-photo-{number}" for number in range(1, PHOTOS + 1))}
NAMES = {
    "plain": set[str](),
    "pc": set[str](),
    "mc-loss": MC,
    "mc-minus-L_div": MC,
    "mc-soft": {"mc-loss-table-9"},
    "api-net": {"api-net-figure-3-pair-1"},
    "cin": {"cin-figure-1", "cin-figure-4", "cin-figure-5"},
    "s3n": {"s3n-figure-7"},
}
"""Besides Grad-CAM, which every run has."""
TERMS = {
    "mc-minus-L_div": (Part("MutualChannelLoss", {"diversity": 0.0}),),
    "mc-soft": (Part("SoftChannelLabels"),),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("drawn")
    written = {}
    for name in NAMES:
        method = name if name in COMPOSITIONS else "plain"
        written[name] = write_drawn_run(folder / name, method, terms=TERMS.get(name))
    return written


def made(run: Path, photos: Path, *, beside: Sequence[Path] = (), count: int = 3) -> dict[str, PaperFigure]:
    chosen = [photos / "ant" / f"{number}.jpg" for number in range(count)]
    drawn = fieldmark.figures(run, chosen, beside=beside)
    return {figure.name: figure for figure in drawn if isinstance(figure, PaperFigure)}


@pytest.mark.parametrize("name", NAMES.keys() - {"mc-minus-L_div"})
def test_a_run_gets_its_papers_pictures(runs: dict[str, Path], photos: Path, tmp_path: Path, name: str):
    beside = [runs["plain" if name != "plain" else "pc"]]
    figures = made(runs[name], photos, beside=beside, count=PHOTOS)
    assert figures.keys() == {"grad-cam"} | NAMES[name]
    for figure in figures.values():
        heatmaps = [panel.heatmap for row in figure.rows for panel in row if panel.heatmap is not None]
        assert all(heatmap.min() >= 0 and heatmap.max() <= 1 for heatmap in heatmaps)
    figure = min(figures.values(), key=lambda figure: len(figure.rows) * len(figure.rows[0]))
    path = figure.save(tmp_path)
    with Image.open(path) as picture:
        assert picture.width > 600
    said = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert said["panels"] == [[panel.title for panel in row] for row in figure.rows]
    assert len(said["runs"]) in (1, 2)
    with np.load(path.with_suffix(".npz")) as arrays:
        assert len(arrays.files) == sum(panel.heatmap is not None for row in figure.rows for panel in row)


def test_other_runs_stand_beside_by_name(runs: dict[str, Path], photos: Path):
    beside = [runs["mc-minus-L_div"], runs["plain"]]
    alone, all_three = made(runs["mc-loss"], photos), made(runs["mc-loss"], photos, beside=beside)
    assert len(alone["mc-loss-figure-7"].rows) == 3
    labels = [row[1].title.split("\n")[0] for row in all_three["mc-loss-figure-7"].rows]
    wanted = ["mc-loss: MC-Loss", "mc-minus-L_div: MC-Loss minus L_div", "plain: no MC-Loss"]
    assert labels == 3 * wanted
    assert [len(row) for row in alone["grad-cam"].rows] == [2] * 3
    for row in all_three["grad-cam"].rows:
        assert [panel.title.split("\n")[0] for panel in row[1:]] == ["mc-minus-L_div", "plain", "mc-loss"]
    assert list(all_three["grad-cam"].runs) == ["mc-loss", "mc-minus-L_div", "plain"]
    (s3n,) = (figure for name, figure in made(runs["s3n"], photos, beside=beside).items() if name != "grad-cam")
    assert [len(row) for row in s3n.rows] == [9] * 3


def test_channels_of_the_likeliest_classes(runs: dict[str, Path], photos: Path):
    figure = made(runs["mc-loss"], photos, beside=[runs["plain"]], count=1)["mc-loss-figure-3b-photo-1"]
    for at, name in enumerate(("plain", "mc-loss")):  # without the loss, then with it
        loaded = fieldmark.load(runs[name])
        with torch.no_grad():
            features = loaded.model.classifier.features(loaded.transform(photos / "ant" / "0.jpg")[None])
        maps = features.maps[0].clamp_min(0).double()
        if name == "mc-loss":
            order = features.logits[0].argsort(descending=True).tolist()
            assert figure.facts["classes"] == [loaded.classes[label] for label in order]
        facts, groups = figure.facts["by_run"][name], channel_groups(len(maps), 3)
        shown = [panel.heatmap for row in figure.rows for panel in row[1 + 3 * at : 4 + 3 * at]]
        largest = max(float(maps[channel].max()) for channels in facts["channels"] for channel in channels)
        for row, class_name in enumerate(figure.facts["classes"]):
            label = loaded.classes.index(class_name)
            block = range(sum(groups[:label]), sum(groups[: label + 1]))
            peaks = sorted(block, key=lambda channel, maps=maps: -float(maps[channel].max()))
            assert facts["channels"][row] == peaks[:3]
            response = sum(max(float(maps[channel].flatten()[place]) for channel in block) for place in range(4)) / 4
            assert facts["responses"][row] == pytest.approx(response, rel=1e-5)
            for column, channel in enumerate(peaks[:3]):
                np.testing.assert_allclose(shown[3 * row + column], maps[channel] / largest, atol=1e-5)


def test_classes_of_runs_beside_each_other_are_told_by_name(runs: dict[str, Path], photos: Path, tmp_path: Path):
    turned = write_drawn_run(tmp_path / "turned", "plain", classes=("cat", "ant", "bee", "dog"))
    name = "mc-loss-figure-3b-photo-1"
    facts = made(runs["mc-loss"], photos, beside=[turned], count=1)[name].facts
    channels = open_run(turned).learner.method.classifier.backbone.channels
    groups, order = channel_groups(channels, 4), ("cat", "ant", "bee", "dog")
    for class_name, found in zip(facts["classes"], facts["by_run"]["turned"]["channels"], strict=True):
        label = order.index(class_name)
        assert all(sum(groups[:label]) <= channel < sum(groups[: label + 1]) for channel in found)
    other = write_drawn_run(tmp_path / "other", "plain", classes=("ant", "bee"))
    with pytest.raises(UserError, match=r"--beside other: it does not have 1 of this run's 3 classes, such as 'cat'"):
        made(runs["mc-loss"], photos, beside=[other])
    assert made(runs["pc"], photos, beside=[other]).keys() == {"grad-cam"}
    assert "mc-loss-table-9" in made(runs["mc-soft"], photos, beside=[other])


@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_probabilities_are_those_of_predict(temperature: float, runs: dict[str, Path], photos: Path, tmp_path: Path):
    run = Path(shutil.copytree(runs["mc-loss"], tmp_path / "run"))
    sure(run, temperature)
    (answer,) = fieldmark.predict(run, photos / "ant" / "0.jpg", top=3)
    figures = made(run, photos, count=1)
    words = f"{answer.classes[0]}  {answer.probabilities[0]:.0%}"
    for panel in figures["grad-cam"].rows[0]:
        assert panel.title.split("\n")[1] == words
    titles = [row[0].title for row in figures["mc-loss-figure-3b-photo-1"].rows]
    pairs = zip(answer.classes, answer.probabilities, strict=True)
    assert titles == [f"{name}\n{share:.0%} by run" for name, share in pairs]


def test_channels_that_soft_labels_chose(runs: dict[str, Path], photos: Path):
    loaded = open_run(runs["mc-soft"])
    term = loaded.learner.terms[0]
    assert isinstance(term, SoftChannelLabels)
    drawn = torch.rand(term.means.shape, generator=torch.Generator().manual_seed(0))
    run = runs["mc-soft"].parent / "learned"
    shutil.copytree(runs["mc-soft"], run)
    term.means.copy_(drawn)
    save_model(run, loaded.learner)
    figure = made(run, photos, count=1)["mc-loss-table-9"]
    for name, row in zip(loaded.classes, drawn.tolist(), strict=True):
        assert figure.facts["top_channels"][name] == sorted(range(len(row)), key=lambda k, row=row: -row[k])[:10]
    assert figure.lines[0] == "ant: " + " ".join(map(str, figure.facts["top_channels"]["ant"]))
    listed = [channel for channels in figure.facts["top_channels"].values() for channel in channels]
    assert figure.facts["channels"] == len(set(listed))
    assert figure.facts["shared"] == len({channel for channel in listed if listed.count(channel) > 1})


def test_channels_that_are_unlike(runs: dict[str, Path], photos: Path):
    figure = made(runs["cin"], photos, beside=[runs["plain"]])["cin-figure-1"]
    loaded = fieldmark.load(runs["cin"])
    images = torch.stack([loaded.transform(photos / "ant" / f"{number}.jpg") for number in range(3)])
    with torch.no_grad():
        maps = loaded.model.classifier.backbone(images).double()
    flat = maps.transpose(0, 1).flatten(1).numpy()
    images = [sum(bool(of_image[k].max() >= of_image.max() / 2) for of_image in maps) for k in range(len(flat))]
    least = max(sorted(images)[-4], 1)
    telling = [k for k in np.argsort(-flat.std(1), kind="stable").tolist() if images[k] >= least]
    unit = {k: flat[k] / np.linalg.norm(flat[k]) for k in telling}
    chosen = telling[:1]
    for _ in range(min(3, len(telling) - 1)):
        likeness = {k: max(unit[k] @ unit[other] for other in chosen) for k in telling if k not in chosen}
        chosen.append(min(likeness, key=lambda k, likeness=likeness: likeness[k]))
    assert figure.facts["channels"] == chosen
    assert len(figure.rows) == 6
    for column, channel in enumerate(chosen, 1):
        heats = np.stack([row[column].heatmap for row in figure.rows[:3]])
        np.testing.assert_allclose(heats, maps[:, channel] / maps[:, channel].max(), atol=1e-5)


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
    responding = [k for k in range(len(maps)) if maps[k].max() >= maps.max() / 2]
    channel = max(responding, key=lambda k: float(maps[k].std()))
    row = torch.softmax(-(maps[channel] @ maps.T), 0)
    assert figure.facts["channel"] == [channel]
    assert figure.facts["complementary"] == [sorted(responding, key=lambda k: float(maps[channel] @ maps[k]))[:3]]
    weights = [float(row[k]) for k in figure.facts["complementary"][0]]
    assert weights == sorted(weights, reverse=True)
    np.testing.assert_allclose(figure.facts["row_of_W"][0], row, atol=1e-6)
    assert "cin-figure-5" not in made(runs["cin"], photos, count=1)  # there is nothing to compare with


def test_channels_of_the_predicted_class(runs: dict[str, Path], photos: Path):
    figure = made(runs["mc-loss"], photos, count=1)["mc-loss-figure-7"]
    loaded = fieldmark.load(runs["mc-loss"])
    with torch.no_grad():
        features = loaded.model.classifier.features(loaded.transform(photos / "ant" / "0.jpg")[None])
    groups = fieldmark.load(runs["mc-loss"]).model.classifier.backbone.channels // 3
    best = int(features.logits.argmax())
    channels = {int(panel.title.split()[-1]) for panel in figure.rows[0][1:-1]}
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
    with pytest.raises(UserError, match="named twice"):
        list(fieldmark.figures(runs["plain"], photos / "ant" / "0.jpg", beside=[runs["pc"], runs["pc"]]))
    with pytest.raises(UserError, match="7 runs beside it are too many"):
        list(fieldmark.figures(runs["plain"], photos / "ant" / "0.jpg", beside=[*runs.values()][1:]))
    with pytest.raises(UserError, match="name photos: this run has no epochs"):
        list(fieldmark.figures(runs["plain"]))
