"""Two networks as one backbone: the channels of both, each seeing pixels as its own weights want them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from fieldmark.building import build_classifier
from fieldmark.core.networks import make_backbone, refuse_backbone
from fieldmark.core.two_streams import TwoStreams
from fieldmark.core.weights import MODEL
from fieldmark.errors import UserError
from fieldmark.papers.bilinear_cnn import Bilinear
from fieldmark.recipe import Model, Part

PAIR = "test_resnet+test_efficientnet"


def streams(name: str = PAIR, *, size: int = 64):
    torch.manual_seed(0)
    return make_backbone(name, weights="none", size=size).eval()


@pytest.mark.parametrize("name", [PAIR, "test_efficientnet+vgg11", "vgg11+test_resnet", "resnet18+googlenet"])
def test_maps_are_those_of_both_side_by_side(name: str):
    """Networks of strides 32 and 16 in both orders; the second's statistics are others."""
    backbone = streams(name)
    network = backbone.network
    assert isinstance(network, TwoStreams)
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    first, second = (stream(stream.normalise(pixels)) for stream in (network.first, network.second))
    if second.shape[2] > first.shape[2]:
        second = F.adaptive_avg_pool2d(second, first.shape[2:])
    elif second.shape[2] < first.shape[2]:
        second = F.interpolate(second, first.shape[2:], mode="bilinear")
    found = backbone(backbone.normalise(pixels))
    assert (backbone.first, backbone.channels, backbone.stride) == (
        first.shape[1],
        found.shape[1],
        64 // first.shape[2],
    )
    torch.testing.assert_close(found, torch.cat([first, second], 1), rtol=1e-4, atol=1e-4)


def test_a_bilinear_pool_multiplies_the_one_with_the_other():
    model = Model(backbone=PAIR, weights="none", pool=Part("Bilinear"))
    classifier = build_classifier(model, classes=3, size=64, weights="none").train()
    pool = classifier.pool
    assert isinstance(pool, Bilinear)
    assert (pool.first, pool.channels) == (classifier.backbone.first, classifier.backbone.channels)
    logits = classifier.head(classifier.features_of(classifier.backbone(torch.randn(2, 3, 64, 64))).embedding)
    logits.square().sum().backward()
    lacking = [name for name, value in classifier.backbone.named_parameters() if value.grad is None]
    assert not lacking


def test_a_neck_of_other_channels_makes_them_one_network():
    model = Model(backbone=PAIR, weights="none", neck=Part("ChannelExpansion"), pool=Part("Bilinear"))
    pool = build_classifier(model, classes=3, size=64, weights="none").pool
    assert isinstance(pool, Bilinear)
    assert pool.first == 0


def test_weights_are_of_both_or_of_each(tmp_path: Path):
    backbone = streams()
    network = backbone.network
    assert isinstance(network, TwoStreams)
    files = [tmp_path / name for name in ("both.safetensors", "first.safetensors", "second.safetensors")]
    for module, file in zip((network, network.first.network, network.second.network), files, strict=True):
        save_file({key: value.clone() for key, value in module.state_dict().items()}, file)
    for source in (str(files[0]), f"{files[1]}+{files[2]}"):
        refuse_backbone(PAIR, weights=source)
        torch.manual_seed(1)
        loaded = make_backbone(PAIR, weights=source, size=64).state_dict()
        assert loaded.keys() == backbone.state_dict().keys()
        assert all(torch.equal(value, loaded[key]) for key, value in backbone.state_dict().items()), source


def test_each_network_sees_pixels_as_the_run_that_it_comes_from(own_run: Path):
    tensors = load_file(own_run / MODEL)
    tensors["method.classifier.backbone.mean"] = torch.tensor((0.1, 0.2, 0.3))
    save_file(tensors, own_run / MODEL)
    of_run, own = torch.tensor((0.1, 0.2, 0.3)), make_backbone("test_resnet", weights="none", size=64).mean
    for weights, first, second in ((f"{own_run}+none", of_run, own), (f"none+{own_run}", own, of_run)):
        backbone = make_backbone("test_resnet+test_resnet", weights=weights, size=64)
        network = backbone.network
        assert isinstance(network, TwoStreams)
        for expected, actual in ((first, backbone.mean), (first, network.first.mean), (second, network.second.mean)):
            assert torch.equal(actual, expected)


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("test_resnet+resnt18", "none", "no backbone is called 'resnt18'; did you mean resnet18"),
        ("test_resnet+", "none", r"--backbone test_resnet\+: name one network, or two with a \+ between them"),
        ("a+b+c", "none", "name one network, or two"),
        (PAIR, "gone.safetensors", "gone.safetensors: no such file"),
        ("test_resnet+tf_efficientnet_lite0", "none+gone.safetensors", "gone.safetensors: no such file"),
    ],
)
def test_what_cannot_be_built_is_refused_at_once(name: str, weights: str, said: str):
    with pytest.raises(UserError, match=said):
        refuse_backbone(name, weights=weights)
