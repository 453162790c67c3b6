"""The regions of NTS-Net: anchors, which of them are proposed, and their crops.

Yang, Luo, Wang, Hu, Gao, Wang, "Learning to Navigate for Fine-grained Classification", ECCV 2018, Sec. 3.3 and 4.2,
arXiv:1809.00287.

Formulas
    anchor_boxes  boxes of 21 shapes, 6, 6 and 9 at the positions of three levels of maps
    overlap       intersection over union
    propose       the highest scores, none of whose boxes overlaps a higher one by 0.25 or more
    crop_grid     where the pixels of a crop lie in the image

Paper and released code
    Anchors are as in the code, of 448 x 448 pixels: 48, 96 and 192 pixels, each by cube roots of 2 and of 4 (192 by 1
    as well) and in shapes of 2 to 3, 1 to 1 and 3 to 2, 1,614 in all. Of other images they are the same shares of the
    image's side (of the root of its area), at as many positions as the network's maps have: 426 of 224 x 224. As in the
    code, corners are whole pixels, rounded down, and a box may reach beyond the image, where its crop has the mean
    colour (0 of normalised images). A crop is square, whatever its box is.
    Where overlaps leave too few boxes, as on a tiny image, the code fails; here the best of the others follow. Of equal
    scores the first counts, in the order of levels, shapes and positions; in the code it is any.
"""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from fieldmark.core.inputs import refuse_misfits
from fieldmark.ops.precision import raised
from fieldmark.plain import Count, Share

SIDES = (48 / 448, 96 / 448, 192 / 448)
"""The side of each level's anchors, before their scales, as a share of the image's."""
SCALES = ((2 ** (1 / 3), 2 ** (2 / 3)), (2 ** (1 / 3), 2 ** (2 / 3)), (1.0, 2 ** (1 / 3), 2 ** (2 / 3)))
RATIOS = (0.667, 1.0, 1.5)
"""Width over height."""
SHAPES = tuple(len(scales) * len(RATIOS) for scales in SCALES)
"""How many shapes each level has: 6, 6 and 9."""

Boxes = Annotated[Tensor, "N 4"]


def levels_of(height: Count, width: Count) -> list[tuple[int, int]]:
    """The sizes of three levels of maps: that given, half of it and half of that, rounded up."""
    refuse_misfits(levels_of, height, width)
    return [(math.ceil(height / 2**level), math.ceil(width / 2**level)) for level in range(len(SIDES))]


def anchor_boxes(size: tuple[int, int], positions: tuple[int, int], *, like: Tensor) -> Tensor:
    """All anchors, (N, 4): top, left, bottom and right in pixels, the last two exclusive.

    In the order in which the navigator scores them: levels, their shapes, rows, columns.

    Args:
        size: of the image, (H, W).
        positions: of the backbone's maps, (h, w).
        like: gives the type (float32 or better) and the device.
    """
    like = raised(like)
    cell, side = [pixels / count for pixels, count in zip(size, positions, strict=True)], math.sqrt(size[0] * size[1])
    boxes = []
    for level, (rows, columns) in enumerate(levels_of(*positions)):
        y, x = (
            (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) * (pixels * 2**level)
            for count, pixels in zip((rows, columns), cell, strict=True)
        )
        for scale in SCALES[level]:
            for ratio in RATIOS:
                down, across = (SIDES[level] * side * scale * ratio**power / 2 for power in (-0.5, 0.5))
                edges = (y[:, None] - down, x - across, y[:, None] + down, x + across)
                boxes.append(torch.stack([edge.expand(rows, columns) for edge in edges], 2).flatten(0, 1))
    first, last = torch.cat(boxes).floor().chunk(2, 1)
    return torch.cat([first, torch.maximum(last, first + 1)], 1)


def overlap(boxes: Annotated[Tensor, "P 4"], others: Boxes) -> Tensor:
    """Intersection over union of every two boxes: (P, 4) and (N, 4) to (P, N)."""
    refuse_misfits(overlap, boxes, others)
    first = torch.maximum(boxes[:, None, :2], others[:, :2])
    last = torch.minimum(boxes[:, None, 2:], others[:, 2:])
    shared = (last - first).clamp_min(0).prod(2)
    areas, other_areas = ((each[:, 2:] - each[:, :2]).prod(1) for each in (boxes, others))
    return shared / (areas[:, None] + other_areas - shared)


def propose(scores: Annotated[Tensor, "B N"], boxes: Boxes, count: Count, threshold: Share = 0.25) -> Tensor:
    """The anchors that each image proposes, best first: scores (B, N) and boxes (N, 4) to indices (B, count) long.

    Greedily, for all images at once: the highest score, then the highest of those boxes that overlap no earlier one by
    ``threshold`` or more. Where none is left, the highest of the others; where there are none, the first again.
    """
    refuse_misfits(propose, scores, boxes, count, threshold)
    number = scores.shape[1]
    anchors = torch.arange(number, device=scores.device)
    order = scores.detach().argsort(dim=1, descending=True, stable=True)
    # whole numbers, so that equal scores keep an order that is the same everywhere
    place = torch.zeros_like(order).scatter(1, order, anchors.expand_as(order))
    suppressed, taken, chosen = torch.zeros_like(place), torch.zeros_like(place), []
    for _ in range(count):
        best = (place + number * (suppressed + taken)).argmin(1)
        chosen.append(best)
        suppressed = suppressed | (overlap(boxes[best], boxes) >= threshold).long()
        taken = taken | (anchors == best[:, None]).long()
    return torch.stack(chosen, 1)


def crop_grid(boxes: Annotated[Tensor, "B M 4"], size: tuple[int, int], side: Count) -> Tensor:
    """Where each pixel of the boxes' crops lies, (B, M, side, side, 2), for ``grid_sample(align_corners=True)``.

    x and y, from the middle of a box's first pixel to that of its last; beyond -1 and 1 it is outside the image.

    Args:
        boxes: (B, M, 4): top, left, bottom and right.
        size: of the image, (H, W).
        side: of the crops, in pixels.
    """
    refuse_misfits(crop_grid, boxes, size, side)
    boxes = raised(boxes)
    steps = torch.arange(side, dtype=boxes.dtype, device=boxes.device) / max(side - 1, 1)
    places = [
        (boxes[..., axis, None] + (boxes[..., axis + 2, None] - 1 - boxes[..., axis, None]) * steps)
        * (2 / max(size[axis] - 1, 1)) - 1
        for axis in (0, 1)
    ]  # fmt: skip
    y, x = places[0][..., :, None], places[1][..., None, :]
    return torch.stack(torch.broadcast_tensors(x, y), -1)


def crops(images: Annotated[Tensor, "B K H W"], grid: Annotated[Tensor, "B M y x 2"]) -> Tensor:
    """All crops of all images by one call: images (B, K, H, W) and ``crop_grid``'s places to (M * B, K, side, side).

    The best of all images first, then their second. Bilinear, 0 outside the image; in the images' type and memory
    format.
    """
    refuse_misfits(crops, images, grid)
    count, side = grid.shape[1], grid.shape[2]
    kind = torch.promote_types(images.dtype, grid.dtype)
    # an image's crops, one below the other, are one picture sampled from it: so no image is copied
    sampled = F.grid_sample(
        images.to(kind), grid.flatten(1, 2).to(kind), mode="bilinear", padding_mode="zeros", align_corners=True
    )
    parts = sampled.to(images.dtype).unflatten(2, (count, side)).permute(2, 0, 1, 3, 4).flatten(0, 1)
    last = torch.channels_last
    return parts.contiguous(memory_format=last) if images.is_contiguous(memory_format=last) else parts
