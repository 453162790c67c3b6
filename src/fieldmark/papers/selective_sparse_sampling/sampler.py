"""The sampler of Selective Sparse Sampling: an image resampled, enlarged where an attention map is high.

Ding, Zhou, Zhu, Ye, Jiao, "Selective Sparse Sampling for Fine-Grained Image Recognition", ICCV 2019, Sec. 3.3, after
Recasens, Kellnhofer, Stent, Matusik, Torralba, "Learning to Zoom: a Saliency-Based Sampling Layer for Neural
Networks", ECCV 2018, arXiv:1809.03355.

Equations
    Eq. 7   displacement    where each cell of the new picture samples the image, horizontally
    Eq. 8   displacement    the same, vertically

Paper and released code
    The numbers are those of the S3N paper. It leaves the kernel k and the borders open; the default is the released
    code's: on a grid of 31 x 31 cells a Gaussian of 13 cells full width at half maximum that reaches 30 cells far, the
    attention repeated and the coordinates continued beyond the borders, positions held to the image, bilinear, corners
    of pixels aligned. For other grids all of this scales with the number of cells.
    The code learns the kernel too (at rate 1e-7): the functions take a kernel of any values, ``gaussian_kernel`` to
    begin with.

Written as displacement, sum Q k (v' - v) / sum Q k, so that what cancels for a uniform Q cancels exactly. A Gaussian is
a product of its rows and columns: with the borders folded in, each sum is Q between two matrices of the grid's size. A
kernel of any values is a convolution.
"""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from fieldmark.core.inputs import refuse_misfits
from fieldmark.errors import UserError
from fieldmark.ops.precision import full_precision, raised
from fieldmark.papers.selective_sparse_sampling.attention import Maps, min_max, rounding_of
from fieldmark.plain import Count

Pictures = Annotated[Tensor, "B K H W"]
FWHM = 13 / 31
"""Full width at half maximum of the Gaussian kernel, as a fraction of the grid's side."""


def displacement(attention: Maps, kernel: Annotated[Tensor, "y x"] | None = None) -> Tensor:
    """How far from itself each cell of the new picture samples the image: attention Q (B, h, w), at least 0, to (B, 2,
    h, w).

    x then y, in coordinates that run from -1 to 1 over the image; differentiable. 0 if Q is constant or all 0 (with a
    kernel that is symmetric).

    Args:
        attention: Q.
        kernel: k, (2h - 1, 2w - 1), as from ``gaussian_kernel``; None is that one, by a shorter way.
    """
    refuse_misfits(displacement, attention)
    sizes = {"y": 2 * attention.shape[1] - 1, "x": 2 * attention.shape[2] - 1}
    refuse_misfits(displacement, attention, kernel, sizes=sizes)
    attention = raised(attention)
    with full_precision(attention):
        largest = attention.detach().amax((1, 2), keepdim=True)  # the result does not depend on Q's scale
        q = attention / torch.where(largest > 0, largest, torch.ones_like(largest))
        mass, x, y = _gaussian_sums(q) if kernel is None else _sums(q, raised(kernel))
        mass = torch.where(mass > 0, mass, torch.ones_like(mass))
        x = x / mass  # Eq. 7
        y = y / mass  # Eq. 8
    shift, cells = torch.stack((x, y), 1), lattice((q.shape[1], q.shape[2]), like=q)
    return (cells + shift).clamp(-1, 1) - cells


def gaussian_kernel(height: Count, width: Count) -> Tensor:
    """The kernel k of a grid of ``height`` x ``width`` cells, (2 height - 1, 2 width - 1) with 1 in its middle."""
    refuse_misfits(gaussian_kernel, height, width)
    down, across = (_gaussian(torch.arange(1.0 - side, side), side) for side in (height, width))
    return down[:, None] * across


def sampling_grid(attention: Tensor, size: int | tuple[int, int], kernel: Tensor | None = None) -> Tensor:
    """Where each pixel of the new picture samples the image: attention (B, h, w), at least 0, to (B, H, W, 2).

    For ``resample``, or ``grid_sample(align_corners=True)``: x and y between -1 and 1. Differentiable; a constant or
    zero attention gives the identity. Bilinear between the attention's cells.

    Args:
        attention: Q.
        size: pixels (H, W) of the new picture, or one number for both.
        kernel: as in ``displacement``.
    """
    return _upsampled(displacement(attention, kernel), size)


def inverse_grid(attention: Tensor, size: int | tuple[int, int], kernel: Tensor | None = None) -> Tensor:
    """Where in the new picture each pixel of the image went: attention (B, h, w) to (B, H, W, 2), without gradient.

    ``resample(heatmap, inverse_grid(attention, size))`` maps a heatmap of the new picture back to the image. What the
    picture leaves out shows the picture's border.
    The cell that samples nearest is searched among all, then corrected once along the map's slope.

    Raises:
        UserError: an attention of a single row or column.
    """
    with torch.no_grad(), full_precision(attention):
        shift = displacement(attention, kernel)
        _, _, height, width = shift.shape
        if min(height, width) < 2:
            raise UserError(f"inverse_grid needs an attention map of at least 2 x 2 cells, not {height} x {width}")
        cells = lattice((height, width), like=shift)
        targets = cells.flatten(1).T.expand(len(shift), -1, -1)
        sampled = (cells + shift).flatten(2)
        nearest = torch.cdist(targets, sampled.mT, compute_mode="donot_use_mm_for_euclid_dist").argmin(2)
        missing = targets.mT - _at(sampled, nearest)
        step = _solved(_slopes(shift).flatten(2), missing, at=nearest)
        cell = shift.new_tensor([2 / (width - 1), 2 / (height - 1)])[:, None]
        places = (_at(cells.flatten(1).expand_as(sampled), nearest) + step.clamp(-cell, cell)).clamp(-1, 1)
        return _upsampled(places.view_as(shift) - cells, size)


def on_image(
    maps: Sequence[tuple[Tensor, Tensor | None]], size: int | tuple[int, int], kernel: Tensor | None = None
) -> list[Tensor]:
    """Where in an image each of its branches responds: heatmaps (B, H, W) in [0, 1]; a constant map gives 0.

    Args:
        maps: for each branch a map (B, 1, h, w) and the attention (B, h', w') that made its picture, None for the
            image.
        size: pixels (H, W) of the heatmaps, or one number for both.
        kernel: as in ``displacement``.
    """
    scaled = []
    for small, attention in maps:
        large = enlarged(small, size)
        large = large if attention is None else resample(large, inverse_grid(attention, size, kernel))
        scaled.append(min_max(large[:, 0], rounding=rounding_of(small)))
    return scaled


def localised(heatmaps: Sequence[Tensor]) -> Tensor:
    """What the branches' heatmaps (B, H, W) show together (the localisation of Table 2): their sum, in [0, 1]."""
    return min_max(torch.stack([*heatmaps]).sum(0))


def resample(pictures: Pictures, grid: Annotated[Tensor, "B y x 2"]) -> Tensor:
    """``pictures`` (B, K, H, W) sampled at ``grid`` (B, H', W', 2): (B, K, H', W').

    In the pictures' dtype and memory format.
    """
    refuse_misfits(resample, pictures, grid)
    dtype = torch.promote_types(pictures.dtype, grid.dtype)
    options = {"mode": "bilinear", "padding_mode": "border", "align_corners": True}
    sampled = F.grid_sample(pictures.to(dtype), grid.to(dtype), **options).to(pictures.dtype)
    last = torch.channels_last
    return sampled.contiguous(memory_format=last) if pictures.is_contiguous(memory_format=last) else sampled


def enlarged(maps: Pictures, size: int | tuple[int, int]) -> Tensor:
    """Maps (B, K, h, w) to (B, K, H, W), bilinear, corners aligned."""
    refuse_misfits(enlarged, maps)
    return F.interpolate(maps, _sides(size), mode="bilinear", align_corners=True)


def lattice(size: tuple[int, int], *, like: Tensor) -> Tensor:
    """The identity: x and y of each cell, (2, h, w), from -1 to 1; 0 along a side of one cell."""
    y, x = (_places(count, like) for count in size)
    return torch.stack((x.expand(size), y[:, None].expand(size)))


def _sides(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise UserError(f"a picture has 1 x 1 pixels or more, not {height} x {width}")
    return height, width


def _places(count: int, like: Tensor) -> Tensor:
    return (torch.arange(count, dtype=like.dtype, device=like.device) - (count - 1) / 2) * (2 / max(count - 1, 1))


def _gaussian(away: Tensor, count: int) -> Tensor:
    """The kernel along a side of ``count`` cells, at a distance in cells."""
    return torch.exp(-4 * math.log(2) * (away / (FWHM * count)).square())


def _gaussian_sums(q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The sums of Q k, and of Q k (v' - v) across and down, for the Gaussian k: each (B, h, w)."""
    rows, row_moment = _axis(q.shape[1], q)
    columns, column_moment = _axis(q.shape[2], q)
    return rows @ q @ columns.T, rows @ q @ column_moment.T, row_moment @ q @ columns.T


def _sums(q: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same for any kernel (2h - 1, 2w - 1)."""
    height, width = q.shape[1:]
    around = F.pad(q[:, None], (width - 1, width - 1, height - 1, height - 1), mode="replicate")
    across, down = 2 * lattice(
        (2 * height - 1, 2 * width - 1), like=q
    )  # from k's middle to its border is the whole grid
    mass, x, y = F.conv2d(around, torch.stack((kernel, kernel * across, kernel * down))[:, None]).unbind(1)
    return mass, x, y


def _axis(count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Two (n, n) matrices that take Q along one axis to the sums of Q k and of Q k (v' - v), borders included."""
    reach = count - 1
    cells = torch.arange(count, device=like.device)
    beyond = torch.arange(-reach, count + reach, device=like.device)  # positions that the kernel may reach
    away = (beyond - cells[:, None]).to(like.dtype)
    kernel = _gaussian(away, count) * (away.abs() <= reach)
    repeated = (beyond.clamp(0, reach)[:, None] == cells).to(like.dtype)
    return kernel @ repeated, (kernel * away * (2 / max(reach, 1))) @ repeated


def _upsampled(shift: Tensor, size: int | tuple[int, int]) -> Tensor:
    """A displacement (B, 2, h, w) at another size, added to the identity: (B, H, W, 2)."""
    return (enlarged(shift, size) + lattice(_sides(size), like=shift)).permute(0, 2, 3, 1)


def _at(values: Tensor, index: Tensor) -> Tensor:
    """Columns ``index`` (B, N) of ``values`` (B, K, N)."""
    return values.gather(2, index[:, None].expand(-1, values.shape[1], -1))


def _slopes(shift: Tensor) -> Tensor:
    """The map's Jacobian at each cell, (B, 4, h, w): dx/dx, dx/dy, dy/dx, dy/dy."""
    height, width = shift.shape[2:]
    by_y, by_x = torch.gradient(shift, dim=(2, 3))
    by_y, by_x = by_y * (height - 1) / 2, by_x * (width - 1) / 2
    return torch.stack((by_x[:, 0] + 1, by_y[:, 0], by_x[:, 1], by_y[:, 1] + 1), 1)


def _solved(slopes: Tensor, missing: Tensor, *, at: Tensor) -> Tensor:
    """The step (B, 2, N) that moves the map by ``missing`` (B, 2, N), by the (B, 4, N) slopes of the cells ``at``."""
    a, b, c, d = _at(slopes, at).unbind(1)
    x, y = missing.unbind(1)
    determinant = (a * d - b * c).clamp_min(1e-3)  # where the map is flat any step will do
    return torch.stack((d * x - b * y, a * y - c * x), 1) / determinant[:, None]
