"""Class maps against loops over classes, channels and positions."""

import torch

from fieldmark.core.class_maps import class_response_maps
from random_values import drawn

Rows = list[list[float]]


def by_loops(maps: list[Rows], weight: list[list[float]]) -> list[Rows]:
    """M_c = sum over d of W[c, d] S_d, of one image."""
    sides = range(len(maps[0])), range(len(maps[0][0]))
    return [
        [[sum(w * s[y][x] for w, s in zip(row, maps, strict=True)) for x in sides[1]] for y in sides[0]]
        for row in weight
    ]


def test_maps_are_sums_over_channels():
    maps, weight = drawn(2, 4, 3, 5), drawn(6, 4, seed=1)
    expected = torch.tensor([by_loops(image.tolist(), weight.tolist()) for image in maps], dtype=torch.float64)
    torch.testing.assert_close(class_response_maps(maps, weight), expected, rtol=0, atol=1e-10)


def test_classes_chosen_for_each_image_have_the_same_maps():
    maps, weight = drawn(2, 4, 3, 5), drawn(6, 4, seed=1)
    chosen = torch.tensor([[5, 0], [2, 2]])
    every = class_response_maps(maps, weight)
    few = class_response_maps(maps, weight[chosen])
    torch.testing.assert_close(few, torch.stack([every[i][chosen[i]] for i in range(2)]), rtol=0, atol=1e-12)


def test_maps_average_to_the_scores_of_a_linear_head():
    maps, weight = drawn(2, 4, 3, 5), drawn(6, 4, seed=1)
    averaged = class_response_maps(maps, weight).mean((2, 3))
    torch.testing.assert_close(averaged, maps.mean((2, 3)) @ weight.T, rtol=0, atol=1e-12)


def test_gradients():
    maps, weight = drawn(2, 3, 2, 3).requires_grad_(), drawn(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(class_response_maps, (maps, weight))


def test_half_types_are_raised_also_under_autocast():
    maps, weight = drawn(2, 4, 3, 5).bfloat16(), drawn(6, 4, seed=1).bfloat16()
    exact = class_response_maps(maps.double(), weight.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps_of = class_response_maps(maps, weight)
    assert maps_of.dtype == torch.float32
    torch.testing.assert_close(maps_of.double(), exact, rtol=1e-5, atol=1e-5)
