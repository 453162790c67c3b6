"""The sampler: Eq. 7 and 8 against loops over cells, the identity, what is enlarged, and the way back."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fieldmark.errors import UserError
from fieldmark.papers.selective_sparse_sampling.sampler import (
    displacement,
    enlarged,
    gaussian_kernel,
    inverse_grid,
    lattice,
    localised,
    on_image,
    resample,
    sampling_grid,
)
from random_values import uniform


def bump(y: float, x: float, *, side: int = 31, width: float = 4.0) -> Tensor:
    """(1, side, side): the floor of S3N and one Gaussian."""
    cells = torch.arange(side, dtype=torch.float64)
    away = (cells[:, None] - y).square() + (cells - x).square()
    return (0.09 + torch.exp(-away / width**2))[None]


def identity(grid: Tensor) -> Tensor:
    """The grid (H, W, 2) of the same size that changes nothing."""
    return lattice((grid.shape[1], grid.shape[2]), like=grid).permute(1, 2, 0)


def eq_7_and_8(q: list[list[float]], y: int, x: int, kernel: list[list[float]] | None = None) -> tuple[float, float]:
    """The kernel's average of the coordinates around a cell, each cell beyond the border as bright as the last."""
    height, width = len(q), len(q[0])
    total = across = down = 0.0
    for i, j in product(range(y - height + 1, y + height), range(x - width + 1, x + width)):
        value = q[min(max(i, 0), height - 1)][min(max(j, 0), width - 1)]
        wide, tall = (j - x) / (13 / 31 * width), (i - y) / (13 / 31 * height)
        k = math.exp(-4 * math.log(2) * (wide**2 + tall**2))
        if kernel is not None:
            k = kernel[i - y + height - 1][j - x + width - 1]
        total += value * k
        across += value * k * (2 * j / (width - 1) - 1)
        down += value * k * (2 * i / (height - 1) - 1)
    return min(max(across / total, -1), 1), min(max(down / total, -1), 1)


@pytest.mark.parametrize("shape", [(6, 5), (3, 8), (2, 2)])
def test_positions_are_eq_7_and_8(shape: tuple[int, int]):
    attention = uniform(2, *shape) ** 3
    grid = sampling_grid(attention, shape)
    for b, y, x in product(range(2), range(shape[0]), range(shape[1])):
        expected = eq_7_and_8(attention[b].tolist(), y, x)
        assert grid[b, y, x].tolist() == pytest.approx(expected, rel=0, abs=1e-10)


@pytest.mark.parametrize("shape", [(6, 5), (3, 8), (2, 2)])
def test_positions_are_eq_7_and_8_for_any_kernel(shape: tuple[int, int]):
    attention, kernel = uniform(2, *shape) ** 3, 0.1 + uniform(2 * shape[0] - 1, 2 * shape[1] - 1)
    grid = sampling_grid(attention, shape, kernel)
    for b, y, x in product(range(2), range(shape[0]), range(shape[1])):
        expected = eq_7_and_8(attention[b].tolist(), y, x, kernel.tolist())
        assert grid[b, y, x].tolist() == pytest.approx(expected, rel=0, abs=1e-10)


@pytest.mark.parametrize("shape", [(31, 31), (5, 9), (4, 1)])
def test_the_gaussian_as_a_kernel_samples_as_the_short_way_does(shape: tuple[int, int]):
    attention = 0.09 + uniform(2, *shape) ** 8
    kernel = gaussian_kernel(*shape).double().requires_grad_()
    assert kernel.shape == (2 * shape[0] - 1, 2 * shape[1] - 1)
    torch.testing.assert_close(displacement(attention, kernel), displacement(attention), rtol=0, atol=1e-6)
    if min(shape) > 1:
        back, expected = inverse_grid(attention, 20, kernel), inverse_grid(attention, 20)
        torch.testing.assert_close(back, expected, rtol=0, atol=1e-4)
    displacement(attention, kernel).square().sum().backward()
    assert kernel.grad is not None
    assert kernel.grad.isfinite().all()
    assert kernel.grad.any()


def test_the_gradients_of_attention_and_kernel_are_those_of_finite_differences():
    attention = (0.2 + uniform(2, 3, 4)).requires_grad_()
    kernel = (0.2 + uniform(5, 7)).requires_grad_()
    assert torch.autograd.gradcheck(displacement, (attention, kernel))


def test_on_31_cells_the_kernel_is_61_wide_over_a_padding_of_30():
    attention = 0.09 + uniform(2, 31, 31) ** 8
    cells = torch.arange(61, dtype=torch.float64) - 30
    kernel = torch.exp(-4 * math.log(2) * (cells[:, None].square() + cells.square()) / 13**2)
    padded = F.pad(attention[:, None], (30, 30, 30, 30), mode="replicate")
    coordinates = ((torch.arange(91, dtype=torch.float64) - 30) / 30 * 2 - 1).expand(91, 91)

    def convolved(maps: Tensor) -> Tensor:
        return (maps.unfold(2, 61, 1).unfold(3, 61, 1) * kernel).sum((4, 5))

    mass = convolved(padded)
    x, y = (convolved(padded * basis) / mass for basis in (coordinates, coordinates.T))
    expected = torch.cat((x, y), 1).clamp(-1, 1)
    here = lattice((31, 31), like=expected)
    torch.testing.assert_close(here + displacement(attention), expected, rtol=0, atol=1e-10)
    full = F.interpolate(expected, (64, 48), mode="bilinear", align_corners=True).permute(0, 2, 3, 1)
    torch.testing.assert_close(sampling_grid(attention, (64, 48)), full, rtol=0, atol=1e-10)


@pytest.mark.parametrize("value", [1.0, 0.09, 0.0, 1e-30, 1e9])
@pytest.mark.parametrize("shape", [(31, 31), (7, 4), (1, 5), (1, 1)])
def test_an_even_attention_changes_nothing(value: float, shape: tuple[int, int]):
    attention = torch.full((2, *shape), value, requires_grad=True)
    grid = sampling_grid(attention, (20, 36))
    torch.testing.assert_close(grid, identity(grid).expand_as(grid), rtol=0, atol=3e-7)
    pictures = uniform(2, 3, 20, 36).float()
    torch.testing.assert_close(resample(pictures, grid), pictures, rtol=0, atol=2e-5)
    (grid * torch.linspace(-1, 1, 36)[:, None]).sum().backward()
    assert attention.grad is not None
    assert attention.grad.isfinite().all()


def test_a_number_is_a_square_and_the_scale_of_the_attention_does_not_matter():
    attention = uniform(2, 9, 9)
    assert torch.equal(sampling_grid(attention, 12), sampling_grid(attention, (12, 12)))
    torch.testing.assert_close(sampling_grid(1e-7 * attention, 12), sampling_grid(attention, 12), rtol=0, atol=1e-12)


def test_the_kernel_grows_with_the_grid():
    coarse, fine = bump(7, 10, side=16, width=2), bump(14, 20, side=31, width=4)
    actual, expected = sampling_grid(coarse, 40), sampling_grid(fine, 40)
    assert (expected - identity(expected)).abs().max() > 0.15
    torch.testing.assert_close(actual, expected, rtol=0, atol=0.02)


@pytest.mark.parametrize(("y", "x"), [(15, 15), (8, 21), (25, 6)])
def test_the_peak_is_shown_larger_and_what_surrounds_it_smaller(y: int, x: int):
    def area(of: tuple[int, int]) -> tuple[float, float]:
        """Of a square around a cell of the attention, before and after."""
        picture = torch.zeros(1, 1, 121, 121, dtype=torch.float64)
        picture[..., 4 * of[0] - 6 : 4 * of[0] + 7, 4 * of[1] - 6 : 4 * of[1] + 7] = 1
        return picture.sum().item(), resample(picture, sampling_grid(bump(y, x), 121)).sum().item()

    before, after = area((y, x))
    assert after > 2 * before
    before, after = area((y, x - 12 if x > 15 else x + 12))
    assert after < 0.9 * before


def test_without_a_floor_one_peak_is_all_that_is_seen():
    alone = sampling_grid(bump(15, 15) - 0.09, 61)
    assert alone.abs().max() < 0.5
    assert sampling_grid(bump(15, 15), 61).abs().max() > 0.9


@pytest.mark.parametrize(("y", "x"), [(15, 15), (9, 20), (22, 7)])
def test_a_heatmap_of_the_picture_comes_back_to_its_place(y: int, x: int):
    attention = bump(11, 13) + 0.6 * bump(20, 22)
    spot = bump(y, x, width=2.5)[:, None] - 0.09
    drawn = resample(spot, sampling_grid(attention, 31))
    back = resample(drawn, inverse_grid(attention, 31))
    assert (drawn - spot).abs().max() > 0.3
    assert divmod(back.argmax().item(), 31) == (y, x)
    torch.testing.assert_close(back, spot, rtol=0, atol=0.12)


@pytest.mark.parametrize("shape", [(31, 31), (12, 20)])
def test_there_and_back_is_the_identity_inside(shape: tuple[int, int]):
    attention = 0.09 + uniform(1, *shape) ** 12
    grid = sampling_grid(attention, 61).permute(0, 3, 1, 2)
    back = resample(grid, inverse_grid(attention, 61))
    inner = (back - lattice((61, 61), like=back))[..., 10:-10, 10:-10]
    assert (grid - lattice((61, 61), like=grid)).abs().max() > 0.1
    assert inner.abs().max() < 0.2 * 2 / min(shape)


def test_the_way_back_from_an_even_attention_changes_nothing():
    grid = inverse_grid(torch.ones(2, 31, 31), (20, 36))
    torch.testing.assert_close(grid, identity(grid).expand_as(grid), rtol=0, atol=3e-7)
    with pytest.raises(UserError, match="at least 2 x 2 cells, not 1 x 5"):
        inverse_grid(torch.ones(2, 1, 5), 31)


def test_gradients():
    attention = (0.1 + uniform(2, 4, 3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda q: sampling_grid(q, (5, 6)), attention)
    picture = uniform(1, 2, 6, 6, seed=1).cumsum(2).cumsum(3)
    single = (0.1 + uniform(1, 4, 4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda q: resample(picture, sampling_grid(q, 5)[:, 1:-1, 1:-1]), single)


def test_localised_sums_the_branches_maps_where_the_image_shows_them():
    attention, own, drawn = bump(9, 20), uniform(1, 1, 6, 7), uniform(1, 1, 6, 7, seed=1)

    def scaled(maps: Tensor) -> Tensor:
        return (maps - maps.min()) / (maps.max() - maps.min())

    first = scaled(enlarged(own, 31)[:, 0])
    second = scaled(resample(enlarged(drawn, 31), inverse_grid(attention, 31))[:, 0])
    for actual, expected in zip(on_image([(3 * own, None), (drawn, attention)], 31), (first, second), strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(localised([first, second]), scaled(first + second), rtol=0, atol=1e-10)
    assert torch.equal(localised([first]), first)
    flat = torch.full_like(own, 0.7)
    assert (torch.stack(on_image([(flat, None), (flat, attention)], 31)) == 0).all()
    assert (localised([torch.zeros(1, 31, 31)] * 2) == 0).all()


def test_positions_are_exact_under_autocast_and_pictures_keep_their_dtype():
    attention = bump(9, 20).float()
    grid = sampling_grid(attention, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(sampling_grid(attention, 40), grid)
    assert sampling_grid(attention.bfloat16(), 40).dtype == torch.float32
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        assert resample(torch.zeros(1, 3, 8, 8, dtype=dtype), grid).dtype == dtype


def test_pictures_keep_their_order_in_memory():
    pictures, grid = uniform(2, 3, 8, 9), sampling_grid(uniform(2, 5, 5), 12)
    turned = pictures.contiguous(memory_format=torch.channels_last)
    drawn = resample(turned, grid)
    assert drawn.is_contiguous(memory_format=torch.channels_last)
    assert resample(pictures, grid).is_contiguous()
    assert torch.equal(drawn, resample(pictures, grid))


@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 1000), st.sampled_from([1, 4, 16]))
@settings(max_examples=40, deadline=None)
def test_pictures_never_fold_and_stay_inside(height: int, width: int, seed: int, power: int):
    grid = sampling_grid(uniform(1, height, width, seed=seed) ** power, (15, 17))
    assert grid.abs().max() <= 1 + 1e-12
    assert grid[:, :, 1:, 0].sub(grid[:, :, :-1, 0]).min() >= -1e-5
    assert grid[:, 1:, :, 1].sub(grid[:, :-1, :, 1]).min() >= -1e-5


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_mirrored_attention_gives_a_mirrored_picture(seed: int):
    attention, picture = uniform(1, 9, 9, seed=seed), uniform(1, 1, 14, 14, seed=seed + 1)
    straight = resample(picture, sampling_grid(attention, 14))
    mirrored = resample(picture.flip(3), sampling_grid(attention.flip(2), 14))
    torch.testing.assert_close(mirrored.flip(3), straight, rtol=0, atol=1e-10)
