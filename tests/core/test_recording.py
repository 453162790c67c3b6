"""Recorded layers: the maps that were there, the gradients of autograd, and a network as it was before."""

import pytest
import torch
from torch import Tensor, nn

from fieldmark.core.backbone import Backbone
from fieldmark.core.networks import make_backbone
from fieldmark.core.recording import finer_layer, layer_of, layers_of, recorded
from fieldmark.errors import UserError

# name, pixels a side, the layer with positions half as far apart as those of the maps
FAMILIES = [
    ("test_resnet", 64, None),
    ("resnet18", 64, "stage4"),
    ("vgg11", 64, "stage4"),
    ("densenet121", 64, "stage4"),
    ("tf_efficientnet_lite0", 64, "stage4"),
    ("convnext_atto", 64, "stage3"),
    ("test_vit", 64, None),
    ("swin_tiny_patch4_window7_224", 224, "stage3"),
    ("googlenet", 64, None),
]


def scored(backbone: Backbone, images: Tensor) -> Tensor:
    return backbone(images).square().mean((2, 3)).sum()


@pytest.mark.parametrize(("name", "size", "finer"), FAMILIES)
def test_every_layer_of_a_family_gives_maps_and_gradients(name: str, size: int, finer: str | None):
    torch.manual_seed(0)
    backbone, images = make_backbone(name, weights="none", size=size).eval(), torch.randn(2, 3, size, size)
    assert name == "test_resnet" or finer_layer(backbone) == finer
    expected = backbone(images).detach()
    layers = layers_of(backbone)
    with recorded(backbone, layers) as recording:
        score = scored(backbone, images)
        gradients = recording.gradients(score)
    assert torch.equal(recording.maps("maps"), expected)
    widths = [recording.maps(layer).shape[-1] for layer in layers]
    assert widths == sorted(widths, reverse=True)
    for layer in layers:
        assert gradients[layer].shape == recording.maps(layer).shape
        assert gradients[layer].norm() > 0
        assert not recording.maps(layer).requires_grad
    torch.testing.assert_close(scored(backbone, images), score.detach(), rtol=0, atol=0)
    assert not any("forward" in vars(module) for module in backbone.modules() if module.training)
    assert all(parameter.grad is None for parameter in backbone.parameters())


def test_gradients_are_those_of_autograd():
    torch.manual_seed(0)
    backbone = make_backbone("test_resnet", weights="none", size=64).double().eval()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with recorded(backbone, ["stage3", "maps"]) as recording:
        gradients = recording.gradients(scored(backbone, images))
    at = layer_of(backbone, "stage3")
    shift = torch.randn_like(recording.maps("stage3"))
    forward = at.forward

    def value(step: float) -> Tensor:
        at.forward = lambda *inputs: forward(*inputs) + step * shift
        with torch.no_grad():
            result = scored(backbone, images)
        del at.forward
        return result

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    torch.testing.assert_close((gradients["stage3"] * shift).sum(), slope, rtol=1e-7, atol=0)
    maps = recording.maps("maps")
    expected = 2 * maps / (maps.shape[2] * maps.shape[3])
    torch.testing.assert_close(gradients["maps"], expected, rtol=1e-12, atol=0)


def test_what_comes_before_the_first_layer_runs_without_a_graph():
    backbone = make_backbone("test_resnet", weights="none", size=64).eval()
    seen: dict[str, bool] = {}
    for name in ("stage2", "stage4"):
        layer_of(backbone, name).register_forward_hook(
            lambda _, __, output, name=name: seen.update({name: output.requires_grad})
        )
    with torch.no_grad(), recorded(backbone, ["stage3"]) as recording:
        score = scored(backbone, torch.randn(1, 3, 64, 64))
        assert recording.gradients(score)["stage3"].norm() > 0
    assert seen == {"stage2": False, "stage4": True}


def test_a_second_call_adds_rows_and_modes_come_back():
    backbone, images = make_backbone("test_resnet", weights="none", size=64).eval(), torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        with recorded(backbone, ["maps"]) as recording:
            first = scored(backbone, images[:1])
            backbone(images)
            assert torch.is_grad_enabled()
            gradients = recording.gradients(first)["maps"]
        assert not torch.is_grad_enabled()
    assert len(gradients) == len(recording.maps("maps")) == 4
    assert gradients[0].norm() > 0
    assert not gradients[1:].any()


def test_maps_of_smaller_pictures_are_repeated_and_share_their_gradients():
    torch.manual_seed(0)
    backbone = make_backbone("test_resnet", weights="none", size=64).double().eval()
    large, small = (torch.randn(2, 3, side, side, dtype=torch.float64) for side in (64, 32))
    with recorded(backbone, ["maps"]) as recording:
        whole, part = backbone(large), backbone(small)
        gradients = recording.gradients((whole * 2).sum() + (part * part.detach()).sum())["maps"]
    maps = recording.maps("maps")
    height, width = part.shape[2:]
    assert maps.shape == gradients.shape == (4, *whole.shape[1:])
    assert whole.shape[2:] == (2 * height, 2 * width)
    assert torch.equal(maps[:2], whole.detach())
    assert torch.equal(maps[2:, :, ::2, 1::2], part.detach())
    assert torch.equal(gradients[:2], torch.full_like(whole, 2))
    torch.testing.assert_close(gradients[2:] * 4, maps[2:])
    torch.testing.assert_close((maps * gradients)[2:].sum(), part.detach().square().sum())


def test_a_layer_that_works_in_place_on_a_recorded_one_does_not_change_it():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True))
    backbone = Backbone(network, example=torch.zeros(1, 3, 8, 8)).eval()
    with recorded(backbone, ["0"]) as recording:
        backbone(torch.randn(1, 3, 8, 8))
    assert (recording.maps("0") < 0).any()


def test_an_error_leaves_the_network_as_it_was():
    backbone = make_backbone("test_resnet", weights="none", size=64).eval()
    with pytest.raises(RuntimeError), recorded(backbone, ["stage1", "maps"]):
        backbone(torch.randn(1, 5, 64, 64))
    assert not any("forward" in vars(module) for module in (backbone, backbone.network, layer_of(backbone, "stage1")))
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("layer", "message"),
    [("stage9", "did you mean|choose stage"), ("", "has no such layer"), ("model.layer3.7", "choose model.layer3")],
)
def test_a_layer_that_is_not_there_gets_a_line(layer: str, message: str):
    backbone = make_backbone("test_resnet", weights="none", size=64)
    with pytest.raises(UserError, match=message):
        layer_of(backbone, layer)


class TwoParts(nn.Module):
    """A layer without positions, one that gives a tuple, and one that never runs, beside the maps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.pair, self.unused = nn.Conv2d(3, 4, 1), nn.LSTM(4, 4), nn.Identity()
        self.flat = nn.Flatten()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images)
        self.pair(maps[:, :, 0].permute(2, 0, 1))
        self.flat(maps)
        return maps


@pytest.mark.parametrize(
    ("layer", "message"), [("pair", "no tensor"), ("unused", "does not run once"), ("flat", "no map of the image")]
)
def test_what_is_no_map_gets_a_line(layer: str, message: str):
    backbone = Backbone(TwoParts(), example=torch.zeros(1, 3, 8, 8)).eval()
    with pytest.raises(UserError, match=message), recorded(backbone, [layer]) as recording:
        backbone(torch.randn(1, 3, 8, 8))
        recording.maps(layer)
