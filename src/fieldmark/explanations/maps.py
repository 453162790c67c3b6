"""From maps and gradients to heatmaps: free functions, each of one paper's equation or of our own.

Shapes: B images, D channels, h and w positions; heatmaps (B, h, w), in float32 or better.
"""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from fieldmark.core.inputs import refuse_misfits
from fieldmark.ops.precision import full_precision, raised
from fieldmark.plain import NotNegative

Maps = Annotated[Tensor, "B D h w"]
Heatmaps = Annotated[Tensor, "B h w"]


def grad_cam(maps: Maps, gradients: Maps) -> Tensor:
    """Grad-CAM before its ReLU: each channel weighted by the mean of its gradient, (B, h, w).

    Selvaraju et al., ICCV 2017, Eq. 1 and 2. With the gradients of logit A - gamma * logit B it is Finer-CAM (Zhang et
    al., CVPR 2025); under average pooling and a linear head it is the class-response map, but for a factor.
    """
    refuse_misfits(grad_cam, maps, gradients)
    maps, gradients = raised(maps), raised(gradients)
    with full_precision(maps):
        return torch.einsum("bd,bdhw->bhw", gradients.mean((2, 3)), maps)


def contributions(maps: Maps, gradients: Maps) -> Tensor:
    """What each position contributes to a score by a linear estimate: the sum of maps times gradients, (B, h, w).

    Unlike in Grad-CAM, a channel may count for a class at one position and against it at another, as it does in early
    stages (HiResCAM, Draelos and Carin, arXiv 2011.08891).
    """
    refuse_misfits(contributions, maps, gradients)
    return (raised(maps) * raised(gradients)).sum(1)


def involvement(maps: Maps, gradients: Maps) -> Tensor:
    """How much each position has to do with a score, for or against it: ``contributions`` without signs."""
    refuse_misfits(involvement, maps, gradients)
    return (raised(maps) * raised(gradients)).abs().sum(1)


def enlarged(heatmaps: Heatmaps, size: tuple[int, int]) -> Tensor:
    """Heatmaps (B, h, w) at another size (H, W), bilinear, a cell being a square of the image."""
    return F.interpolate(heatmaps[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def smoothed(heatmaps: Heatmaps, sigma: NotNegative) -> Tensor:
    """Heatmaps under a Gaussian of ``sigma`` cells; beyond the border there is nothing."""
    refuse_misfits(smoothed, heatmaps, sigma)
    if not sigma:
        return heatmaps
    reach = math.ceil(3 * sigma)
    away = torch.arange(-reach, reach + 1, dtype=heatmaps.dtype, device=heatmaps.device)
    kernel = torch.exp(-(away**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    rows = F.conv2d(heatmaps[:, None], kernel.view(1, 1, 1, -1), padding=(0, reach))
    return F.conv2d(rows, kernel.view(1, 1, -1, 1), padding=(reach, 0))[:, 0]


def scaled(heatmaps: Heatmaps) -> Tensor:
    """What is above 0, as a share of each heatmap's maximum; a heatmap that is nowhere above 0 is 0."""
    above = heatmaps.clamp_min(0)
    most = above.flatten(1).amax(1)
    return above / torch.where(most > 0, most, 1)[:, None, None]


def returned(heatmaps: Heatmaps, grid: Annotated[Tensor, "B y x 2"]) -> Tensor:
    """A heatmap of a resampled picture, put back on the image: (B, h, w), its sum unchanged but for what is outside.

    Args:
        heatmaps: (B, h, w) of the picture.
        grid: where in the image each pixel of the picture was sampled, as for ``grid_sample(align_corners=True)``; as
            fine or finer than the heatmap.
    """
    refuse_misfits(returned, heatmaps, grid)
    count, height, width = heatmaps.shape
    places = F.interpolate(grid.permute(0, 3, 1, 2), (height, width), mode="area").to(heatmaps.dtype)
    sides = places.new_tensor([width, height])[:, None, None]
    heatmaps = heatmaps * (places.abs() <= 1 + 1e-4).all(1)  # rounding aside
    pixels = sides * (places + 1) / 2 - 0.5  # corners of the image at the outer edges of its cells
    first = pixels.floor()
    share, image = pixels - first, heatmaps.new_zeros(count, height * width)
    for right, down in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (share[:, 0] if right else 1 - share[:, 0]) * (share[:, 1] if down else 1 - share[:, 1])
        x, y = (first[:, 0] + right).clamp(0, width - 1), (first[:, 1] + down).clamp(0, height - 1)
        image.scatter_add_(1, (y * width + x).long().flatten(1), (heatmaps * weight).flatten(1))
    return image.view_as(heatmaps)


def peak(heatmaps: Heatmaps) -> Tensor:
    """The middle of each heatmap's maximum, (B, 2): x and y as shares of the image's width and height."""
    height, width = heatmaps.shape[1:]
    at = heatmaps.flatten(1).argmax(1)
    return torch.stack([(at % width + 0.5) / width, (at // width + 0.5) / height], 1)
