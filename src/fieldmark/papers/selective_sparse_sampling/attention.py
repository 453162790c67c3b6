"""The attention of Selective Sparse Sampling: from a classifier's maps to what the two copies of an image enlarge.

Ding, Zhou, Zhu, Ye, Jiao, "Selective Sparse Sampling for Fine-Grained Image Recognition", ICCV 2019, Sec. 3.1 and 3.2
(not on arXiv). The class peak responses are those of Zhou, Zhu, Ye, Qiu, Jiao, CVPR 2018, arXiv:1804.00880.

Equations
    Eq. 2   top_entropy           how unsure the classifier is, over its five likeliest classes
    Eq. 3   combined              the likeliest class's map if it is sure, else the sum of the five
    Eq. 3   response_map          the same out of all classes' maps, then min-max
    Eq. 4   partition             strong peaks to the discriminative branch, weak ones to the complementary
    Eq. 5   sparse_attention      a Gaussian at each peak, its height and width by the peak's response
    Eq. 6   sparse_attention      their sum

Paper and released code
    The functions are the paper's. Left open there, and here as in the code: of equal neighbours only the first is a
    peak. In evaluation the paper's random numbers are 0.5; the code takes the highest peak alone for one branch and the
    lowest for the other: ``extremes``.
    The paper does not say that 1/R is unbounded: here a peak of less than a millionth has no Gaussian.
    It is silent, too, on these, which are as in the code: response map and attention on a grid of 31 x 31 cells,
    to which the class maps are enlarged; 0.09 added to both attention maps, so that the rest of the image stays in
    sight; radii of 31 sqrt(2) b cells at first, with b = 0.09 (discriminative) and 0.3 (complementary).
    It does not spell out dense attention (Table 3): the discriminative branch enlarges where the map is high, the
    complementary where it is low (one minus it). The map is the response map, or ``saliency_map`` of a 1x1
    convolution's scores.
"""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from fieldmark.core.inputs import refuse_misfits
from fieldmark.errors import UserError
from fieldmark.ops.precision import full_precision, raised
from fieldmark.plain import Count, NotNegative

TOP = 5
"""Number of likeliest classes that count."""
FAINTEST = 1e-6
"""A peak of at most this has no Gaussian."""
GRID = 31
"""Cells per side of S3N's response maps and attention."""
FLOOR = 0.09
"""What S3N adds to every attention map."""
RADII = {"D": 0.09, "C": 0.3}
"""S3N's initial radii by branch, as fractions of the grid's diagonal."""


Maps = Annotated[Tensor, "B h w"]
Mask = Annotated[Tensor, "B h w", bool]
Logits = Annotated[Tensor, "B C"]


def top_entropy(logits: Logits, k: Count = TOP) -> Tensor:
    """The share of the k largest probabilities in the entropy, in nats: (B, C) to (B,); of all C if C is below k."""
    refuse_misfits(top_entropy, logits, k)
    logarithms = raised(logits).log_softmax(1).topk(min(k, logits.shape[1]), 1).values
    return -(logarithms.exp() * logarithms).sum(1)  # Eq. 2


def combined(maps: Annotated[Tensor, "B k h w"], entropy: Annotated[Tensor, "B"], threshold: NotNegative) -> Tensor:
    """Maps of the k likeliest classes, likeliest first, to the response map: (B, k, h, w) to (B, h, w) in [0, 1].

    The first map if ``entropy`` (B,) is at most ``threshold``, else the sum of all. A map that is constant up to the
    rounding of what was summed becomes 0.
    """
    refuse_misfits(combined, maps, entropy, threshold)
    response = torch.where((entropy <= threshold)[:, None, None], maps[:, 0], maps.sum(1))  # Eq. 3
    return min_max(response, rounding=rounding_of(maps))


def rounding_of(maps: Annotated[Tensor, "B k h w"]) -> Tensor:
    """By how much a constant sum or average of these maps (B, k, h, w) may vary by rounding: (B,)."""
    refuse_misfits(rounding_of, maps)
    return 16 * torch.finfo(maps.dtype).eps * maps.detach().abs().amax((1, 2, 3))


def min_max(maps: Maps, *, rounding: Annotated[Tensor, "B"] | None = None) -> Tensor:
    """Each of the maps (B, h, w) shifted and scaled to [0, 1]; 0 if it is constant up to ``rounding`` (B,)."""
    refuse_misfits(min_max, maps, rounding)
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    uneven = high - low > (0 if rounding is None else rounding[:, None, None])
    return torch.where(uneven, (maps - low) / torch.where(uneven, high - low, torch.ones_like(low)), 0.0)


def response_map(
    class_maps: Annotated[Tensor, "B C h w"], logits: Logits, threshold: NotNegative = 0.2, k: Count = TOP
) -> Tensor:
    """R from class maps (B, C, h, w) and logits (B, C): (B, h, w) in [0, 1], 0 for a constant map.

    The likeliest class's map if ``top_entropy`` is at most ``threshold``, else the sum of the k likeliest.
    """
    refuse_misfits(response_map, class_maps, logits, threshold, k)
    likeliest = logits.topk(min(k, logits.shape[1]), 1).indices[:, :, None, None]
    maps = raised(class_maps).gather(1, likeliest.expand(-1, -1, *class_maps.shape[2:]))
    return combined(maps, top_entropy(logits, k), threshold)  # Eq. 3


def saliency_map(scores: Maps) -> Tensor:
    """The softmax of scores (B, h, w) over the positions, divided by its largest value: (B, h, w) in (0, 1]."""
    refuse_misfits(saliency_map, scores)
    return torch.exp(scores - scores.amax((1, 2), keepdim=True))


def local_peaks(response: Maps, window: Count = 3) -> Tensor:
    """Where the response (B, h, w) is the largest in the window around it: bool (B, h, w).

    Of equal values in a window only the first, row by row, is a peak: a plateau is not all peaks.

    Raises:
        UserError: a window without a middle.
    """
    refuse_misfits(local_peaks, response, window)
    if window % 2 == 0:
        raise UserError(f"a window of peaks is an odd number of cells, not {window}")
    _, largest = F.max_pool2d(response[:, None], window, stride=1, padding=window // 2, return_indices=True)
    height, width = response.shape[1:]
    return largest[:, 0] == torch.arange(height * width, device=response.device).view(height, width)


def partition(response: Maps, peaks: Mask, draws: Maps) -> tuple[Tensor, Tensor]:
    """The peaks of the discriminative and of the complementary branch: two bool masks (B, h, w), together ``peaks``.

    Args:
        response: R, (B, h, w).
        peaks: bool (B, h, w).
        draws: uniform numbers (B, h, w); 0.5 everywhere in evaluation.
    """
    refuse_misfits(partition, response, peaks, draws)
    strong = response > draws  # Eq. 4
    return peaks & strong, peaks & ~strong


def extremes(response: Maps, peaks: Mask) -> tuple[Tensor, Tensor]:
    """The highest and the lowest peak of each response (B, h, w), as two bool masks: the released code's test rule.

    One peak per mask, of equal ones the first, row by row; none if there is no peak.
    """
    refuse_misfits(extremes, response, peaks)
    highest = response.masked_fill(~peaks, -math.inf).flatten(1).argmax(1)
    lowest = response.masked_fill(~peaks, math.inf).flatten(1).argmin(1)
    height, width = response.shape[1:]
    cells = torch.arange(height * width, device=response.device).view(height, width)
    return peaks & (cells == highest[:, None, None]), peaks & (cells == lowest[:, None, None])


def sparse_attention(
    response: Maps, peaks: Mask, beta: Annotated[Tensor, ""] | NotNegative, inverse: bool = False
) -> Tensor:
    """The sum of all peaks' Gaussians, (B, h, w), differentiable in ``response`` and ``beta``.

    A Gaussian is the product of its rows and its columns, so the sum over peaks is one product of matrices.

    Args:
        response: R, (B, h, w), in [0, 1]; a peak of 0 has no Gaussian.
        peaks: bool (B, h, w).
        beta: the radius of a peak of 1, in cells; a number or a scalar.
        inverse: height 1/R instead of R (the complementary branch).
    """
    refuse_misfits(sparse_attention, response, peaks, beta, inverse)
    response = raised(response)
    visible = peaks & (response > FAINTEST)
    value = torch.where(visible, response, torch.ones_like(response))
    spread = (value * beta**2).clamp_min(FAINTEST)[..., None]  # a Gaussian this narrow covers one cell in any case
    size = (value.reciprocal() if inverse else value) * visible
    by_row, by_column = (torch.arange(side, device=response.device) for side in response.shape[1:])
    rows = torch.exp(-(by_row[:, None, None] - by_row).square() / spread)  # Eq. 5
    columns = torch.exp(-(by_column[:, None] - by_column).square() / spread)  # Eq. 5
    with full_precision(response):
        return (size[..., None] * rows).flatten(1, 2).mT @ columns.flatten(1, 2)  # Eq. 6
