"""NTS-Net's navigator against convolutions one by one, and its ranking loss against loops over pairs."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fieldmark.papers.nts_net.anchors import anchor_boxes
from fieldmark.papers.nts_net.ranking import Navigator, ranking_loss, score_map
from naive_regions import naive_ranking


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("margin", [0.0, 1.0, 2.5])
def test_the_loss_is_that_of_a_loop_over_pairs(margin: float):
    scores, losses = numbers(4, 6), numbers(4, 6, seed=1).abs()
    losses[1, 2] = losses[1, 4]
    expected = [naive_ranking(*rows, margin) for rows in zip(scores.tolist(), losses.tolist(), strict=True)]
    torch.testing.assert_close(ranking_loss(scores, losses, margin), torch.tensor(expected, dtype=torch.float64))


def test_it_moves_the_scores_alone():
    scores, losses = numbers(2, 5).requires_grad_(), numbers(2, 5, seed=1).requires_grad_()
    ranking_loss(scores, losses).sum().backward()
    assert losses.grad is None
    assert scores.grad is not None
    best = losses.argmin(1)
    assert (scores.grad[torch.arange(2), best] < 0).all()
    assert torch.autograd.gradcheck(lambda values: ranking_loss(values, losses), scores)


def test_proposals_that_are_equally_good_and_a_single_one_cost_nothing():
    for count in (1, 3):
        scores = numbers(2, count).requires_grad_()
        loss = ranking_loss(scores, torch.ones(2, count, dtype=torch.float64)).sum()
        loss.backward()
        assert loss.item() == 0
        assert scores.grad is not None


def test_a_well_ranked_pair_costs_nothing():
    assert ranking_loss(torch.tensor([[3.0, 1.5]]), torch.tensor([[0.1, 0.2]])).item() == 0
    assert ranking_loss(torch.tensor([[3.0, 1.5]]), torch.tensor([[0.2, 0.1]])).item() == 2.5


@pytest.mark.parametrize(("height", "width"), [(7, 7), (1, 1), (2, 5)])
def test_the_navigator_scores_each_anchor_in_their_order(height: int, width: int):
    navigator, maps = Navigator(3).double(), numbers(2, 3, height, width)
    scores = navigator(maps)
    boxes = anchor_boxes((32 * height, 32 * width), (height, width), like=scores)
    assert scores.shape == (2, len(boxes))
    levels: list[Any] = [*navigator.levels]
    finest = F.conv2d(maps, levels[0].weight, levels[0].bias, padding=1).relu()
    middle = F.conv2d(finest, levels[1].weight, levels[1].bias, stride=2, padding=1).relu()
    coarsest = F.conv2d(middle, levels[2].weight, levels[2].bias, stride=2, padding=1).relu()
    heads: list[Any] = [*navigator.scores]
    three = zip((finest, middle, coarsest), heads, strict=True)
    parts = [F.conv2d(own, layer.weight, layer.bias) for own, layer in three]
    assert [part.shape[1] for part in parts] == [6, 6, 9]
    torch.testing.assert_close(scores, torch.cat([part.flatten(1) for part in parts], 1))


def test_the_map_of_scores_has_the_best_anchor_of_each_position():
    scores = numbers(2, 6 * 15 + 6 * 6 + 9 * 2)
    expected = torch.full((2, 5, 3), -torch.inf, dtype=torch.float64)
    begin = 0
    for level, (shapes, rows, columns) in enumerate(((6, 5, 3), (6, 3, 2), (9, 2, 1))):
        part = scores[:, begin : begin + shapes * rows * columns].view(2, shapes, rows, columns)
        begin += shapes * rows * columns
        for image in range(2):
            for y in range(5):
                for x in range(3):
                    best = max(part[image, shape, y >> level, x >> level].item() for shape in range(shapes))
                    expected[image, y, x] = max(expected[image, y, x].item(), best)
    torch.testing.assert_close(score_map(scores, 5, 3), expected)
