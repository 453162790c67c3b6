"""Anchors, proposals and crops of NTS-Net against loops over shapes, images, boxes and pixels."""

import math

import pytest
import torch
from torch import Tensor

from fieldmark.papers.nts_net.anchors import anchor_boxes, crop_grid, crops, levels_of, overlap, propose
from naive_regions import naive_crop, naive_overlap, naive_proposals

DOUBLE = torch.zeros(0, dtype=torch.float64)
CUBE = 2 ** (1 / 3)
RELEASED = (
    (32, 48, (CUBE, CUBE**2)),
    (64, 96, (CUBE, CUBE**2)),
    (128, 192, (1.0, CUBE, CUBE**2)),
)
"""Of the released code, for 448 x 448: the stride of a level, the side of its anchors and their scales."""


def released_anchors() -> list[tuple[int, int, int, int]]:
    """Of 448 x 448, one after the other; the code adds 224 pixels of padding and cuts the decimals off."""
    boxes = []
    for stride, side, scales in RELEASED:
        count = math.ceil(448 / stride)
        for scale in scales:
            for ratio in (0.667, 1, 1.5):
                down, across = side * scale / ratio**0.5, side * scale * ratio**0.5
                for row in range(count):
                    for column in range(count):
                        y, x = stride / 2 + stride * row, stride / 2 + stride * column
                        edges = (y - down / 2, x - across / 2, y + down / 2, x + across / 2)
                        boxes.append(tuple(int(edge + 224) - 224 for edge in edges))
    return boxes


def random_boxes(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(-6, 14, (count, 2), generator=generator)
    return torch.cat([first, first + torch.randint(1, 15, (count, 2), generator=generator)], 1).double()


def test_the_anchors_of_the_paper_s_images_are_the_released_ones():
    boxes = anchor_boxes((448, 448), (14, 14), like=DOUBLE)
    assert boxes.shape == (1614, 4)
    assert [tuple(box) for box in boxes.long().tolist()] == released_anchors()


@pytest.mark.parametrize(("size", "positions"), [((224, 224), (7, 7)), ((64, 256), (2, 8)), ((12, 12), (3, 3))])
def test_anchors_of_other_images_are_the_same_shares_of_them(size: tuple[int, int], positions: tuple[int, int]):
    boxes = anchor_boxes(size, positions, like=DOUBLE)
    assert levels_of(*positions)[0] == positions
    counts = [shapes * rows * columns for shapes, (rows, columns) in zip((6, 6, 9), levels_of(*positions), strict=True)]
    assert len(boxes) == sum(counts)
    assert ((boxes[:, 2:] - boxes[:, :2]) >= 1).all()
    root = math.sqrt(size[0] * size[1])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    for level, (side, part) in enumerate(zip((48, 96, 192), areas.split(counts), strict=True)):
        smallest = (side / 448 * root * (CUBE if level < 2 else 1)) ** 2
        edge = math.sqrt(smallest) + 1
        assert abs(part[0].item() - smallest) <= 3 * edge  # a pixel at most along each side
    middle = (boxes[0, :2] + boxes[0, 2:]) / 2
    cell = torch.tensor([size[0] / positions[0], size[1] / positions[1]], dtype=torch.float64)
    assert ((middle - cell / 2).abs() <= 1).all()


def test_an_anchor_may_be_larger_than_the_image():
    boxes = anchor_boxes((64, 256), (2, 8), like=DOUBLE)
    tall = boxes[:, 2] - boxes[:, 0]
    assert tall.max() > 64
    box, picture = boxes[tall.argmax()], torch.ones(1, 3, 64, 256, dtype=torch.float64)
    part = crops(picture, crop_grid(box[None, None], (64, 256), 32))
    assert part.eq(1).any()
    assert part.eq(0).any()
    torch.testing.assert_close(part[0], naive_crop(picture[0], box.long().tolist(), 32))


def test_overlap_is_intersection_over_union():
    boxes, others = random_boxes(7), random_boxes(9, seed=1)
    expected = [[naive_overlap(a, b) for b in others.tolist()] for a in boxes.tolist()]
    torch.testing.assert_close(overlap(boxes, others), torch.tensor(expected, dtype=torch.float64))
    assert (overlap(boxes, boxes).diagonal() == 1).all()


@pytest.mark.parametrize("threshold", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("count", [1, 6, 40])
def test_proposals_are_those_of_a_loop_over_images(count: int, threshold: float):
    boxes = random_boxes(40)
    scores = torch.randn(5, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = propose(scores, boxes, count, threshold)
    expected = [naive_proposals(row, boxes.tolist(), count, threshold) for row in scores.tolist()]
    assert found.tolist() == expected


def test_proposals_of_the_paper_s_anchors_do_not_overlap():
    boxes = anchor_boxes((448, 448), (14, 14), like=DOUBLE)
    scores = torch.randn(3, len(boxes), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = propose(scores, boxes, 6)
    assert found.tolist() == [naive_proposals(row, boxes.tolist(), 6, 0.25) for row in scores.tolist()]
    assert (scores.gather(1, found).diff(dim=1) < 0).all()
    for image in found:
        assert overlap(boxes[image], boxes[image]).fill_diagonal_(0).max() < 0.25


def test_of_equal_scores_the_first_counts_and_none_is_proposed_twice():
    boxes = anchor_boxes((64, 64), (2, 2), like=DOUBLE)
    found = propose(torch.zeros(2, len(boxes), dtype=torch.float64), boxes, len(boxes))
    assert found[0, 0] == 0
    assert torch.equal(found[0], found[1])
    assert found[0].sort().values.tolist() == list(range(len(boxes)))


def test_more_proposals_than_anchors_repeat_some():
    found = propose(torch.tensor([[1.0, 3.0, 2.0]]), random_boxes(3), 5)
    assert sorted(set(found[0].tolist())) == [0, 1, 2]


@pytest.mark.parametrize("side", [1, 4, 9])
def test_crops_are_those_of_a_loop_over_boxes(side: int):
    pictures = torch.rand(3, 2, 10, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    boxes = random_boxes(15, seed=3).view(3, 5, 4)
    found = crops(pictures, crop_grid(boxes, (10, 13), side))
    assert found.shape == (15, 2, side, side)
    for image in range(3):
        for number in range(5):
            expected = naive_crop(pictures[image], boxes[image, number].long().tolist(), side)
            torch.testing.assert_close(found[number * 3 + image], expected, rtol=0, atol=1e-12)


def test_the_crop_of_the_whole_image_is_the_image():
    pictures = torch.rand(2, 3, 8, 8, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    whole = torch.tensor([0.0, 0, 8, 8], dtype=torch.float64).expand(2, 1, 4)
    found = crops(pictures, crop_grid(whole, (8, 8), 8))
    torch.testing.assert_close(found, pictures)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_crops_have_the_images_type_and_a_gradient():
    grid = crop_grid(random_boxes(4).view(2, 2, 4), (10, 13), 3)
    assert crops(torch.rand(2, 3, 10, 13).bfloat16(), grid).dtype == torch.bfloat16
    pictures = torch.rand(2, 1, 10, 13, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: crops(values, grid), pictures)
