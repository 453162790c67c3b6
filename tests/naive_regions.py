"""NTS-Net's regions and their ranking, one box, image and pair at a time, for tests of the vectorised ones."""

import torch.nn.functional as F
from torch import Tensor


def naive_overlap(a: list[float], b: list[float]) -> float:
    down, across = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = down * across if down > 0 and across > 0 else 0.0
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def naive_proposals(scores: list[float], boxes: list[list[float]], count: int, threshold: float) -> list[int]:
    """Of one image: from the best on, what overlaps nothing that is kept; then the best of the rest."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    kept: list[int] = []
    for index in order:
        if len(kept) < count and all(naive_overlap(boxes[index], boxes[other]) < threshold for other in kept):
            kept.append(index)
    return (kept + [index for index in order if index not in kept])[:count]


def naive_crop(picture: Tensor, box: list[int], side: int) -> Tensor:
    """(K, H, W) to (K, side, side): cut out of the picture in a frame of zeros, then resized."""
    margin = 2 * max(picture.shape[1:])
    framed = F.pad(picture, (margin,) * 4)
    top, left, bottom, right = (edge + margin for edge in box)
    cut = framed[None, :, top:bottom, left:right]
    return F.interpolate(cut, (side, side), mode="bilinear", align_corners=True)[0]


def naive_ranking(scores: list[float], losses: list[float], margin: float) -> float:
    total = 0.0
    for score, loss in zip(scores, losses, strict=True):
        for other_score, other_loss in zip(scores, losses, strict=True):
            if loss < other_loss:
                total += max(0.0, margin - score + other_score)
    return total
