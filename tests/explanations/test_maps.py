"""From maps and gradients to heatmaps, beside naive loops, known values and the grad-cam package."""

import numpy as np
import pytest
import torch
from torch import Tensor

from fieldmark.core.class_maps import class_response_maps
from fieldmark.core.networks import make_backbone
from fieldmark.core.recording import layer_of, recorded
from fieldmark.errors import UserError
from fieldmark.explanations.maps import (
    contributions,
    enlarged,
    grad_cam,
    involvement,
    peak,
    returned,
    scaled,
    smoothed,
)


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Maps and gradients (2, 3, 4, 5)."""
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, 4, 5)
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))  # pyright: ignore[reportReturnType]


def test_sums_by_hand(pair: tuple[Tensor, Tensor]):
    maps, gradients = pair
    for image in range(2):
        weights = [sum(gradients[image, d].flatten().tolist()) / 20 for d in range(3)]
        for y in range(4):
            for x in range(5):
                cam = sum(weights[d] * maps[image, d, y, x] for d in range(3))
                products = [maps[image, d, y, x] * gradients[image, d, y, x] for d in range(3)]
                torch.testing.assert_close(grad_cam(maps, gradients)[image, y, x], cam)
                torch.testing.assert_close(contributions(maps, gradients)[image, y, x], sum(products))
                torch.testing.assert_close(involvement(maps, gradients)[image, y, x], sum(map(abs, products)))


def test_half_types_are_raised_and_misfits_refused(pair: tuple[Tensor, Tensor]):
    maps, gradients = (tensor.bfloat16() for tensor in pair)
    assert {function(maps, gradients).dtype for function in (grad_cam, contributions, involvement)} == {torch.float32}
    with pytest.raises(UserError, match="gradients of grad_cam"):
        grad_cam(maps, gradients[:, :2])


def test_under_average_pooling_grad_cam_is_the_class_response_map():
    torch.manual_seed(0)
    backbone = make_backbone("test_resnet", weights="none", size=64).double().eval()
    weight, images = torch.randn(5, backbone.channels, dtype=torch.float64), torch.randn(2, 3, 64, 64).double()
    with recorded(backbone, ["maps"]) as recording:
        logits = backbone(images).mean((2, 3)) @ weight.T
        gradients = recording.gradients(logits[:, 3].sum())
    response = class_response_maps(recording.maps("maps"), weight)[:, 3]
    positions = response[0].numel()
    torch.testing.assert_close(grad_cam(recording.maps("maps"), gradients["maps"]) * positions, response)
    torch.testing.assert_close(contributions(recording.maps("maps"), gradients["maps"]).sum((1, 2)), logits[:, 3])


@pytest.mark.parametrize("layer", ["stage3", "maps"])
def test_it_is_that_of_the_grad_cam_package(layer: str):
    reason = "the grad-cam package is an oracle: pip install grad-cam"
    package = pytest.importorskip("pytorch_grad_cam", reason=reason, exc_type=ImportError)
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    torch.manual_seed(0)
    backbone = make_backbone("resnet18", weights="none", size=64).eval()
    model = torch.nn.Sequential(backbone, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(512, 5))
    images = torch.randn(2, 3, 64, 64)
    with package.GradCAM(model, [layer_of(backbone, layer)]) as cam:
        theirs = cam(images, [ClassifierOutputTarget(1), ClassifierOutputTarget(4)])
    with recorded(backbone, [layer]) as recording:
        logits = model(images)
        gradients = recording.gradients(logits[0, 1] + logits[1, 4])
    ours = grad_cam(recording.maps(layer), gradients[layer]).clamp_min(0)
    large = torch.nn.functional.interpolate(ours[:, None], (64, 64), mode="bilinear", align_corners=False)[:, 0]
    low, high = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
    large = (large - low) / (high - low)
    np.testing.assert_allclose(large.numpy(), theirs, atol=2e-3)  # it scales first, and enlarges with OpenCV


def test_enlarging_keeps_places_and_smoothing_keeps_sums():
    heatmap = torch.zeros(1, 7, 7)
    heatmap[0, 2, 5] = 1
    large = enlarged(heatmap, (56, 56))
    torch.testing.assert_close(peak(large), torch.tensor([[5.5 / 7, 2.5 / 7]]), atol=0.5 / 56 + 1e-6, rtol=0)
    soft = smoothed(enlarged(heatmap, (21, 21)), 1.0)
    torch.testing.assert_close(soft.sum(), enlarged(heatmap, (21, 21)).sum(), rtol=1e-3, atol=0)
    assert torch.equal(smoothed(heatmap, 0.0), heatmap)
    row = smoothed(heatmap, 0.7)[0, 2]
    torch.testing.assert_close(row[4] / row[5], torch.tensor(np.exp(-1 / (2 * 0.49)), dtype=torch.float32))
    with pytest.raises(UserError):
        smoothed(heatmap, -1.0)


def test_scaling_leaves_nothing_below_zero_and_nothing_out_of_nothing():
    heatmaps = torch.tensor([[[-1.0, 2.0]], [[-1.0, 0.0]], [[-3.0, -2.0]]])
    assert torch.equal(scaled(heatmaps), torch.tensor([[[0.0, 1.0]], [[0.0, 0.0]], [[0.0, 0.0]]]))


def lattice(size: int) -> Tensor:
    """The grid of the identity, (1, size, size, 2)."""
    line = torch.linspace(-1, 1, size, dtype=torch.float64)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)[None]


def test_a_heatmap_of_the_whole_image_returns_to_its_place():
    heatmap = torch.rand(1, 14, 14, dtype=torch.float64)
    back = returned(heatmap, lattice(224))
    torch.testing.assert_close(back.sum(), heatmap.sum())
    torch.testing.assert_close(back, heatmap, atol=0.1, rtol=0)  # pixel centres at the outer edge: a small shift


def test_a_heatmap_of_a_corner_returns_there_with_its_sum():
    corner = lattice(224) / 2 - 0.5  # the upper left quarter
    heatmap = torch.rand(2, 14, 14, dtype=torch.float64)
    back = returned(heatmap, corner.expand(2, -1, -1, -1))
    torch.testing.assert_close(back.sum((1, 2)), heatmap.sum((1, 2)))
    assert back[:, 8:].abs().max() == 0
    assert back[:, :, 8:].abs().max() == 0
    one = torch.zeros(1, 14, 14, dtype=torch.float64)
    one[0, 10, 4] = 1
    torch.testing.assert_close(peak(returned(one, corner)), torch.tensor([[4.5 / 28, 10.5 / 28]]), atol=0.036, rtol=0)


def test_what_a_picture_shows_of_the_outside_returns_nowhere():
    half = lattice(224) + torch.tensor([1.0, 0.0])  # its left half is the image's right half, the rest lies beyond
    heatmap = torch.rand(2, 14, 14, dtype=torch.float64)
    back = returned(heatmap, half.expand(2, -1, -1, -1))
    torch.testing.assert_close(back.sum((1, 2)), heatmap[:, :, :7].sum((1, 2)))
    assert back[:, :, :6].abs().max() == 0
