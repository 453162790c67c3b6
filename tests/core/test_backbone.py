"""Backbones: tokens as maps, frozen stages and norms, pixel statistics."""

import pytest
import torch
from torch import nn

from fieldmark.core.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, NoMapError
from fieldmark.core.networks import make_backbone
from fieldmark.errors import UserError


def test_tokens_become_a_map_in_reading_order():
    """A network that averages each patch, with two tokens before those of the patches."""

    class Patches(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            means = torch.nn.functional.avg_pool2d(images, 4).flatten(2).transpose(1, 2)
            return torch.cat([torch.full((len(images), 2, 3), -1.0), means], 1)

    backbone = Backbone(Patches(), example=torch.zeros(1, 3, 16, 16), prefix=2)
    images = torch.randn(2, 3, 8, 12)
    assert (backbone.channels, backbone.stride) == (3, 4)
    torch.testing.assert_close(backbone(images), torch.nn.functional.avg_pool2d(images, 4))


class Gives(nn.Module):
    """A network that gives this, whatever it is shown."""

    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def forward(self, images: torch.Tensor) -> object:
        return self.output


@pytest.mark.parametrize(
    "output",
    [
        [torch.zeros(1, 3, 4, 4)],
        *(torch.zeros(shape) for shape in ((1, 3), (1, 16, 3), (1, 1, 3), (1, 0, 3), (1, 3, 2, 4, 4))),
    ],
)
def test_what_is_no_map_is_refused(output: object):
    with pytest.raises(NoMapError):
        Backbone(Gives(output), example=torch.zeros(1, 3, 16, 16), prefix=1)


def moved(backbone: Backbone) -> set[str]:
    """The names of parameters and statistics that a step in training mode changes."""
    with torch.no_grad():  # some scales start at 0, and what they scale has no gradient
        for parameter in backbone.parameters():
            parameter += 0.1 * torch.rand_like(parameter)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    optimiser = torch.optim.SGD(backbone.trained_parameters(), lr=1.0)
    (
        backbone.train()(torch.randn(4, 3, 64, 64)) * torch.linspace(-1, 1, backbone.channels)[:, None, None]
    ).sum().backward()
    optimiser.step()
    return {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit"])
def test_frozen_stages_do_not_move_and_all_others_do(name: str):
    torch.manual_seed(0)
    backbone = make_backbone(name, weights="none", size=64)
    everything = set(backbone.state_dict()) - {"mean", "std"}
    backbone.freeze(stages=2)
    changed = moved(backbone)
    still = {name for name, p in backbone.named_parameters() if not p.requires_grad}
    assert still
    frozen, unchanged = ({name.rsplit(".", 1)[0] for name in names} for names in (still, everything - changed))
    assert frozen == unchanged
    assert not frozen & {name.rsplit(".", 1)[0] for name in changed}, "nor do statistics"
    assert all(p.grad is None for p in backbone.parameters() if not p.requires_grad)
    order = [name for name, _ in backbone.named_parameters()]
    assert {*order[: len(still)]} == still, "the first ones"
    assert not backbone.eval().training


def test_frozen_norms_keep_their_statistics_and_still_learn():
    torch.manual_seed(0)
    backbone = make_backbone("test_resnet", weights="none", size=64)
    backbone.freeze(norms=True)
    changed = moved(backbone)
    assert not [name for name in changed if "running" in name or "tracked" in name]
    assert {name for name, _ in backbone.named_parameters()} == changed
    backbone.eval()
    assert not any(module.training for module in backbone.train(False).modules())


def test_more_frozen_stages_than_there_are_say_so():
    with pytest.raises(UserError, match="frozen_stages is 9: this backbone has 5 stages"):
        make_backbone("test_resnet", weights="none", size=64).freeze(stages=9)
    layers = torch.nn.Conv2d(3, 4, 3, padding=1)
    with pytest.raises(UserError, match="frozen_stages is 1: this backbone has no stages"):
        Backbone(layers, example=torch.zeros(1, 3, 8, 8)).freeze(stages=1)


def test_normalise_is_the_statistics_in_single_precision():
    backbone = make_backbone("test_efficientnet", weights="none", size=64)
    pixels = torch.randint(256, (2, 5, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = backbone.normalise(pixels)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    torch.testing.assert_close(images, ((pixels / 255 - mean) / std).permute(0, 3, 1, 2), rtol=0, atol=1e-5)


def test_statistics_travel_with_the_model():
    backbone = make_backbone("test_vit", weights="none", size=64)
    assert {"mean", "std"} <= set(backbone.state_dict())
