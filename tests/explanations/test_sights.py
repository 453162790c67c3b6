"""What methods show of photos, in batches, against a look at one photo after the other."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import small_runs
from fieldmark.building import build_learner
from fieldmark.core.contract import Method
from fieldmark.data.dataset import Photo
from fieldmark.evaluation import inference
from fieldmark.explanations.heatmaps import Question, look
from fieldmark.explanations.maps import enlarged
from fieldmark.explanations.regions import boxes_of
from fieldmark.explanations.sights import GRAD_CAM, LEVELS, Source, sights_of
from fieldmark.input.loading import Photographs
from fieldmark.recipe import Model, Pixels, Recipe
from fieldmark.recipes.naming import composition_of

SIZE, CLASSES, PHOTOS = 64, 5, 7
METHODS = ("plain", "pc", "mc-loss", "api-net", "cin", "s3n")


def built(name: str) -> Method:
    """With a head that prefers some class, in eval mode."""
    of = composition_of(name)
    parts = Model(
        of.method, of.pool, of.head, backbone=small_runs.BACKBONE, weights="none", neck=of.neck, terms=of.terms
    )
    torch.manual_seed(0)
    method = build_learner(Recipe(parts, pixels=Pixels(size=SIZE, eval_size=SIZE)), classes=CLASSES).method.eval()
    with torch.no_grad():
        for parameter in method.parameters():
            if parameter.ndim == 2 and not parameter.any():  # heads begin at zero
                parameter.normal_()
    return method


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photographs:
    folder = tmp_path_factory.mktemp("sights")
    paths = [small_runs.write_photo(folder / f"{number}.jpg", label=0, number=number) for number in range(PHOTOS)]
    return Photographs([Photo(path.name, path, 0) for path in paths], Pixels(size=SIZE, eval_size=SIZE))


def image_of(method: Method, photos: Photographs, row: int) -> Tensor:
    return method.classifier.backbone.normalise(photos[row].pixels)


@pytest.mark.parametrize("name", METHODS)
def test_boxes_and_points_are_those_of_each_photo_s_grad_cam(name: str, photos: Photographs):
    method = built(name)
    found = sights_of(method, photos)
    assert found.photos == photos.photos
    filled = 0
    for row in range(PHOTOS):
        looked = look(method, image_of(method, photos, row), lambda logits: [Question(logits.argmax(1))], layer="maps")
        heatmap = looked.heatmaps[0][0].numpy()
        assert heatmap.shape == (SIZE // 4, SIZE // 4)
        for level in LEVELS:
            boxes = found.boxes[Source(GRAD_CAM, level)]
            np.testing.assert_allclose(boxes[row], boxes_of(heatmap[None], level)[0], atol=1.01 / len(heatmap))
        if heatmap.max() > 0:
            filled += 1
            x, y = (found.point[row] * len(heatmap) - 0.5).round().astype(int)
            assert heatmap[y, x] == pytest.approx(1, abs=1e-4)
        else:
            assert np.isnan(found.point[row]).all()
    assert filled >= PHOTOS // 2
    assert bool(found.peaks) == (name == "s3n")


def test_a_method_s_own_heatmaps_and_peaks(photos: Photographs):
    method = built("s3n")
    found = sights_of(method, photos)
    names = ("class", "class/original", "class/discriminative", "class/complementary")
    assert set(found.boxes) == {Source(name, level) for name in (GRAD_CAM, *names) for level in LEVELS}
    peaks = found.peaks["response"]
    assert peaks.cells.shape == (PHOTOS, 31, 31)
    for row in range(PHOTOS):
        with torch.no_grad():
            evidence = method.evidence(image_of(method, photos, row))
        for name in names:
            heatmap = enlarged(evidence.heatmaps[name], (SIZE // 4, SIZE // 4)).numpy()
            actual = found.boxes[Source(name, 0.5)][row]
            np.testing.assert_allclose(actual, boxes_of(heatmap)[0], atol=4.01 / SIZE)
        cells, response = evidence.peaks["response"][0].numpy(), evidence.heatmaps["response"][0].numpy()
        np.testing.assert_array_equal(peaks.cells[row], cells)
        values = [float(response[y, x]) for y, x in zip(*np.nonzero(cells), strict=True)]
        assert values
        assert response.flat[peaks.strongest[row]] == pytest.approx(max(values))
        assert response.flat[peaks.weakest[row]] == pytest.approx(min(values))
        assert cells.flat[peaks.strongest[row]]
        assert cells.flat[peaks.weakest[row]]


def test_points_are_the_middles_of_cells(photos: Photographs):
    peaks = sights_of(built("s3n"), photos).peaks["response"]
    points = peaks.points(np.array([0, 30, 31, 960, -1]))
    half = 0.5 / 31
    expected = [[half, half], [1 - half, half], [half, 3 * half], [1 - half, 1 - half], [np.nan, np.nan]]
    np.testing.assert_allclose(points, expected)


def test_nothing_is_seen_where_nothing_speaks_for_a_class(photos: Photographs):
    method = built("s3n")
    for parameter in method.parameters():
        if parameter.ndim == 2:
            torch.nn.init.zeros_(parameter)
    found = sights_of(method, photos)
    peaks = found.peaks["response"]
    assert not peaks.cells.any()
    assert (peaks.strongest == -1).all()
    assert (peaks.weakest == -1).all()
    assert np.isnan(peaks.points(peaks.strongest)).all()
    assert np.isnan(found.point).all()
    assert not any(boxes.any() for boxes in found.boxes.values())


def test_a_photo_that_cannot_be_read_is_left_out_and_batches_change_nothing(
    photos: Photographs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    method, done = built("plain"), []
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    more = [*photos.photos[:2], Photo("bad.jpg", tmp_path / "bad.jpg", 0), *photos.photos[2:]]
    monkeypatch.setattr(inference, "BATCH", 3)
    found = sights_of(method, Photographs(more, photos.pixels), progress=done.append)
    assert done == [3, 3, 2]
    assert found.photos == photos.photos
    monkeypatch.undo()
    np.testing.assert_allclose(found.point, sights_of(method, photos).point)


def test_the_method_stays_as_it_was(photos: Photographs):
    method = built("plain").train()
    sights_of(method, photos)
    assert method.training
    assert all(parameter.grad is None for parameter in method.parameters())
