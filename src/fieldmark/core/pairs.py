"""Pairs of images, for several papers. Index arithmetic only: nothing is read back to the host."""

from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from fieldmark.core.device import moved
from fieldmark.core.draws import Draws
from fieldmark.core.inputs import refuse_misfits
from fieldmark.errors import UserError
from fieldmark.ops.precision import raised
from fieldmark.plain import Count, Natural

Mate = Literal["similar", "dissimilar"]
Indices = Annotated[Tensor, "B", int]


def halves(count: Natural, *, order: Indices | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """The two halves of a batch, zipped: two (count // 2,) index tensors; an odd image is left over.

    Args:
        count: B, images in the batch.
        order: (B,) long, a permutation applied first, or None.
        like: gives the device.
    """
    refuse_misfits(halves, count, order, sizes={"B": count})
    order = torch.arange(count, device=like.device) if order is None else order
    pairs = count // 2
    return order[:pairs], order[pairs : 2 * pairs]


class Pairs(NamedTuple):
    """Pairs of images of a batch, each field (P,).

    ``anchor`` and ``mate`` are long indices of images, ``same`` says whether their labels agree, and ``valid`` is False
    where the anchor has no such mate; its mate is then itself.
    """

    anchor: Tensor
    mate: Tensor
    same: Tensor
    valid: Tensor


def mine_pairs(
    embeddings: Annotated[Tensor, "B D"],
    labels: Indices,
    intra: Mate | None = "similar",
    inter: Mate | None = "similar",
    mates: Count = 1,
    *,
    rows: Indices | None = None,
) -> Pairs:
    """Each image with its nearest or farthest mates, in its class and in the other classes (API-Net, Section 3).

    By Euclidean distance, in float32 or better, without gradient. P is B * (number of kinds) * mates: intra pairs
    first, within a kind by image, an image's mates in order. Of mates at equal distance the first in the batch counts.

    Args:
        embeddings: (B, D).
        labels: (B,) long.
        intra: which mate of the same class, "similar" or "dissimilar"; None makes no such pairs.
        inter: which mate of another class.
        mates: per image and kind.
        rows: (B,) long, which photo each image is, if a batch may hold a photo twice: two copies are not a pair.

    Raises:
        UserError: both kinds are None, an unknown word, no mates, or tensors of other shapes.
    """
    refuse_misfits(mine_pairs, embeddings, labels, intra, inter, mates, rows)
    if intra is None and inter is None:
        raise UserError("mine_pairs(intra=None, inter=None): ask for 'similar' or 'dissimilar' of one kind or both")
    if not len(labels):
        none = torch.empty(0, dtype=torch.long, device=labels.device)
        return Pairs(none, none, none > 0, none > 0)
    with torch.no_grad():
        points = raised(embeddings)
        # by differences: computed from dot products, the distances of near images would be lost to rounding
        distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
        alike = labels[:, None] == labels
        photos = torch.arange(len(labels), device=labels.device) if rows is None else moved(rows, labels.device)
        distinct = photos[:, None] != photos
        kinds: list[tuple[Mate | None, Tensor]] = [(intra, alike & distinct), (inter, ~alike)]
        mined = [_mates(distances, among, rule=rule, mates=mates) for rule, among in kinds if rule is not None]
    mate, valid = (torch.cat(parts) for parts in zip(*mined, strict=True))
    anchor = torch.arange(len(mate), device=labels.device) // mates % len(labels)
    mate = torch.where(valid, mate, anchor)
    return Pairs(anchor, mate, labels[anchor] == labels[mate], valid)


def _mates(distances: Tensor, among: Tensor, *, rule: Mate, mates: int) -> tuple[Tensor, Tensor]:
    """The first ``mates`` of each row, candidates (``among``) first, and which are candidates: (B * mates,) each."""
    # finite, so that images that are not candidates come last
    signed = torch.nan_to_num(distances if rule == "similar" else -distances)
    order = signed.masked_fill(~among, torch.inf).argsort(dim=1, stable=True)
    # an image is never its own candidate, so the last of a row is not one: it fills all places beyond the row's end
    places = torch.arange(mates, device=order.device).clamp_max(order.shape[1] - 1)
    chosen = order.index_select(1, places)
    return chosen.flatten(), among.gather(1, chosen).flatten()


def random_pairs(labels: Indices, count: Natural, draws: Draws) -> Pairs:
    """``count`` pairs of two different images, drawn from the batch of any classes (API-Net, Table 4).

    No ordered pair is repeated before all B * (B - 1) have been drawn. In a batch of one no pair is valid; a
    pair of two copies of a photo, by the ``rows`` of ``draws``, never is. An empty batch has no pairs.

    Raises:
        UserError: a number of pairs below 0, or labels or rows that are not (B,).
    """
    refuse_misfits(random_pairs, labels, count)
    images, count = len(labels), count if len(labels) else 0
    place = torch.arange(count, device=labels.device)
    if images < 2:
        first = torch.zeros_like(place)
        return Pairs(first, first, first == 0, first > 0)
    total = images * (images - 1)
    pair = draws.permutation("random pairs", total, like=labels)[place % total]
    anchor, other = pair // (images - 1), pair % (images - 1)
    mate = other + (other >= anchor)
    return Pairs(anchor, mate, labels[anchor] == labels[mate], different(images, anchor, mate, draws.rows))


def different(
    images: Natural, anchor: Annotated[Tensor, "P", int], mate: Annotated[Tensor, "P", int], rows: Indices | None
) -> Tensor:
    """Whether each pair of B ``images``, indices (P,) and (P,), is of two photos by ``rows`` (B,); bool (P,)."""
    refuse_misfits(different, images, anchor, mate, rows, sizes={"B": images})
    if rows is None:
        return torch.ones_like(anchor, dtype=torch.bool)
    rows = moved(rows, anchor.device)
    return rows[anchor] != rows[mate]


def root(squared: Annotated[Tensor, "P"]) -> Tensor:
    """Distances of squared ones (P,), with the gradient 0, not infinity, where they are 0."""
    refuse_misfits(root, squared)
    return torch.where(squared > 0, squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt(), squared)
