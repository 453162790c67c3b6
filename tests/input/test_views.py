"""The views: where training looks, what evaluation sees, and what lies beyond the picture."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop

from fieldmark.data.dataset import Box
from fieldmark.errors import UserError
from fieldmark.input.views import (
    GREY,
    Frame,
    RandomView,
    draw,
    evaluation_view,
    frame_of,
    place,
    random_area,
)
from fieldmark.recipe import Pixels
from reference_views import training_view

DRAWS = 20_000


def picture(width: int, height: int) -> Image.Image:
    """Smooth colours and some detail."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = np.sin(40 * x) * np.cos(30 * y)
    return Image.fromarray((255 * np.stack([x, y, (waves + 1) / 2], axis=-1)).astype(np.uint8))


def difference(first: np.ndarray, second: np.ndarray) -> int:
    """The largest difference of two uint8 views, in levels."""
    assert first.shape == second.shape
    assert first.dtype == second.dtype == np.uint8
    return int(np.abs(first.astype(int) - second.astype(int)).max())


@pytest.mark.parametrize("size", [(427, 320), (224, 300), (600, 250), (64, 64)])
def test_areas_are_distributed_as_torchvision_draws_them(size):
    pixels, rng = Pixels(), np.random.default_rng(0)
    areas = [random_area(Frame(0, 0, *size), pixels, rng) for _ in range(DRAWS)]
    ours = np.array([(area.top, area.left, area.height, area.width) for area in areas], float)
    torch.manual_seed(0)
    blank = torch.empty(3, size[1], size[0])
    crop = [RandomResizedCrop.get_params(blank, [pixels.min_scale, 1.0], [3 / 4, 4 / 3]) for _ in range(DRAWS)]
    theirs = np.array(crop, float)
    error = np.sqrt((ours.var(0) + theirs.var(0)) / DRAWS)
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 4.5 * error).all()
    np.testing.assert_allclose(ours.std(0), theirs.std(0), rtol=0.04)
    # how the four hang together: area, shape and where the middle lies
    for made in (lambda v: v[:, 2] * v[:, 3], lambda v: v[:, 3] / v[:, 2], lambda v: (v[:, 1] + v[:, 3] / 2) ** 2):
        a, b = made(ours), made(theirs)
        assert abs(a.mean() - b.mean()) < 4.5 * np.sqrt((a.var() + b.var()) / DRAWS)


@pytest.mark.parametrize("size", [(4000, 50), (50, 4000), (1000, 61), (61, 1000), (3000, 8)])
def test_very_long_pictures_give_the_middle_as_torchvision_does(size):
    area = random_area(Frame(0, 0, *size), Pixels(), np.random.default_rng(0))
    top, left, height, width = RandomResizedCrop.get_params(torch.empty(3, size[1], size[0]), [0.25, 1], [3 / 4, 4 / 3])
    assert area == Frame(left, top, width, height)


def test_areas_stay_inside_and_reach_the_edges():
    rng = np.random.default_rng(1)
    areas = [random_area(Frame(10, 20, 100, 80), Pixels(), rng) for _ in range(3000)]
    assert min(area.left for area in areas) == 10
    assert max(area.left + area.width for area in areas) == 110
    assert min(area.top for area in areas) == 20
    assert max(area.top + area.height for area in areas) == 100
    assert all(0.24 < area.width * area.height / 8000 <= 1 for area in areas)


def test_stretched_areas_have_the_shape_of_the_picture():
    areas = [random_area(Frame(0, 0, 800, 200), Pixels(fit="stretch"), np.random.default_rng(i)) for i in range(300)]
    shapes = np.array([area.width / area.height / 4 for area in areas])
    assert 0.73 < shapes.min() < 0.85
    assert 1.15 < shapes.max() < 1.36


def test_evaluation_is_a_resize_and_a_centre_crop():
    image = picture(400, 320)
    whole = image.resize((320, 256), Image.Resampling.BICUBIC)
    expected = np.asarray(whole.crop((48, 16, 272, 240)))
    assert difference(evaluation_view(image, Pixels()), expected) <= 1
    odd = picture(501, 333)
    scaled = odd.resize((round(501 * 256 / 333), 256), Image.Resampling.BICUBIC)
    left = (scaled.width - 224) / 2
    expected = np.asarray(scaled.crop((round(left), 16, round(left) + 224, 240)))
    assert np.abs(evaluation_view(odd, Pixels()).astype(int) - expected).mean() < 2  # up to half a pixel apart


def test_evaluation_has_its_own_size_and_crop():
    image = picture(300, 300)
    view = evaluation_view(image, Pixels(size=32, eval_size=96, eval_crop=1.0))
    assert difference(view, np.asarray(image.resize((96, 96), Image.Resampling.BICUBIC))) <= 1


def test_pad_keeps_the_whole_picture_on_grey():
    image = picture(200, 100)
    view = evaluation_view(image, Pixels(eval_size=100, fit="pad"))
    assert (view[:25] == GREY).all()
    assert (view[75:] == GREY).all()
    assert difference(view[25:75], np.asarray(image.resize((100, 50), Image.Resampling.BICUBIC))) == 0


def test_stretch_ignores_the_shape():
    image = picture(200, 100)
    view = evaluation_view(image, Pixels(eval_size=64, eval_crop=1.0, fit="stretch"))
    assert difference(view, np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC))) == 0


def test_a_crop_of_a_stretched_picture_is_its_centre():
    image = picture(400, 320)
    whole = image.resize((256, 256), Image.Resampling.BICUBIC)
    view = evaluation_view(image, Pixels(fit="stretch"))
    assert difference(view, np.asarray(whole.crop((16, 16, 240, 240)))) <= 1


def test_areas_of_one_size_and_shape():
    """A random crop of 448 x 448 from a picture stretched to 512 x 512, as API-Net's paper has it."""
    scale = (448 / 512) ** 2
    pixels = Pixels(fit="stretch", min_scale=scale, max_scale=scale, ratio=1.0)
    areas = [random_area(Frame(0, 0, 1024, 512), pixels, np.random.default_rng(i)) for i in range(500)]
    assert {(area.width, area.height) for area in areas} == {(896, 448)}
    assert {min(area.left for area in areas), min(area.top for area in areas)} == {0}
    assert max(area.left for area in areas) == 128
    assert max(area.top for area in areas) == 64


def test_box_crops_to_the_object_with_a_margin():
    assert frame_of((400, 300), Pixels(fit="box"), Box(100, 100, 50, 80)) == Frame(92, 92, 66, 96)
    assert frame_of((400, 300), Pixels(fit="box"), Box(99.7, 100, 50, 80)) == Frame(91, 92, 67, 96)
    partly_outside = frame_of((400, 300), Pixels(fit="box"), Box(-20, 250, 100, 100))
    assert partly_outside == Frame(0, 240, 90, 60)
    image = Image.new("RGB", (100, 100), "black")
    image.paste("white", (35, 35, 65, 65))
    assert evaluation_view(image, Pixels(fit="box", eval_crop=0.7), Box(40, 40, 20, 20)).min() == 255


@pytest.mark.parametrize("box", [Box(500, 10, 20, 20), Box(10, -90, 50, 50), Box(-200, -200, 10, 10)])
def test_box_outside_the_picture_is_refused(box):
    with pytest.raises(UserError, match="outside the picture of 400 x 300"):
        evaluation_view(picture(400, 300), Pixels(fit="box"), box)


def test_box_without_a_box_is_refused():
    with pytest.raises(UserError, match="give the object's box"):
        training_view(picture(40, 30), Pixels(fit="box"), np.random.default_rng(0))


@pytest.mark.parametrize("size", [(4000, 50), (50, 4000), (3200, 8), (8, 640), (1, 1)])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch", "box"])
def test_long_thin_pictures_in_every_fit(size, fit):
    image = Image.new("RGB", size, "red")
    pixels = Pixels(size=48, eval_size=40, fit=fit)
    box = Box(0, 0, *size)
    evaluated = evaluation_view(image, pixels, box)
    assert evaluated.shape == (40, 40, 3)
    assert (evaluated == [255, 0, 0]).all(-1).any()
    for seed in range(20):
        view = training_view(image, pixels, np.random.default_rng(seed), box)
        assert view.shape == (48, 48, 3)
        assert (view == [255, 0, 0]).all(-1).any()


def test_a_sliver_is_a_pixel_thick():
    view = draw(Image.new("RGB", (640, 8), "red"), Frame(0, -316, 640, 640), 16)
    assert (view == [255, 0, 0]).all(-1).any(1).sum() == 1
    at_the_end = place(Frame(0, 0, 100, 100), (100, 1), 10)
    assert at_the_end.target == (0, 0, 10, 1)
    assert place(Frame(0, -99.9, 100, 100), (100, 1), 10).target == (0, 9, 10, 10)


def test_half_of_the_views_are_mirrored():
    image = Image.new("RGB", (100, 100), "black")
    image.paste("white", (50, 0, 100, 100))
    pixels = Pixels(size=8, min_scale=1.0)
    mirrored = 0
    for seed in range(400):
        view = training_view(image, pixels, np.random.default_rng(seed))
        plain = training_view(image, Pixels(size=8, min_scale=1.0, flip=False), np.random.default_rng(seed))
        assert plain[0, 0, 0] < plain[0, -1, 0]
        turned = bool(view[0, 0, 0] > view[0, -1, 0])
        np.testing.assert_array_equal(view, plain[:, ::-1] if turned else plain)
        mirrored += turned
    assert 160 < mirrored < 240


def test_views_depend_on_their_generator_alone():
    image = picture(90, 70)
    first, again, other = (training_view(image, Pixels(size=32), np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert difference(first, other) > 0


def test_a_view_may_be_decoded_smaller_only_where_nothing_is_lost():
    for seed in range(200):
        view = RandomView(Pixels(size=100), np.random.default_rng(seed))
        kept = view.side_needed((3001, 2000))
        full = view.area((3001, 2000))
        steps = 2000 // kept
        assert 1 <= steps <= 8
        assert min(full.width, full.height) / steps >= 150
        part = view.area((-(-3001 // steps), -(-2000 // steps)))
        assert part == Frame(full.left / steps, full.top / steps, full.width / steps, full.height / steps)
    assert RandomView(Pixels(), np.random.default_rng(0)).side_needed((427, 320)) == 320
