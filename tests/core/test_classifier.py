"""Backbone, neck, pool and head in a row."""

import pytest
import torch
from torch import nn

from fieldmark.core.backbone import Backbone
from fieldmark.core.classifier import Average, Classifier, Linear, Maximum, make_classifier, tried
from fieldmark.errors import UserError


def backbone() -> Backbone:
    return Backbone(nn.Conv2d(3, 8, 4, stride=4), example=torch.zeros(1, 3, 16, 16))


def test_features_are_the_stages_in_a_row():
    torch.manual_seed(0)
    neck = nn.Conv2d(8, 6, 1)
    head = nn.Linear(6, 5)
    model = Classifier(backbone(), neck=neck, pool=Average(), head=head, classes=5)
    images = torch.randn(3, 3, 16, 16)
    features = model.features(images)
    assert [tuple(part.shape) for part in features[:4]] == [(3, 8, 4, 4), (3, 6, 4, 4), (3, 6), (3, 5)]
    assert torch.equal(features.refined, neck(features.maps))
    torch.testing.assert_close(features.embedding, features.refined.sum((2, 3)) / 16)
    assert torch.equal(features.logits, head(features.embedding))
    assert torch.equal(model(images), features.logits)


def test_pools():
    maps = torch.arange(24.0).view(1, 2, 3, 4)
    assert Average()(maps).tolist() == [[5.5, 17.5]]
    assert Maximum()(maps).tolist() == [[11.0, 23.0]]
    assert Average().width(7) == Maximum().width(7) == 7


def test_the_default_head_starts_even():
    head = Linear(4, 3)
    assert (head(torch.randn(2, 4)) == 0).all()
    assert set(dict(head.named_parameters())) == {"weight", "bias"}


def test_one_class_is_refused():
    with pytest.raises(UserError, match="at least two classes, not 1"):
        Classifier(backbone(), neck=nn.Identity(), pool=Average(), head=Linear(8, 1), classes=1)


class Doubling(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, 2 * channels, 1), nn.BatchNorm2d(2 * channels))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.layers(maps)


def test_a_classifier_of_ones_own_has_parts_that_fit():
    plain = make_classifier("test_resnet", classes=4, weights="none", size=32)
    assert [type(part) for part in (plain.neck, plain.pool, plain.head)] == [nn.Identity, Average, Linear]
    made = make_classifier(
        "test_resnet", classes=4, neck=Doubling, pool=Maximum(), head=nn.Linear, weights="none", size=32
    )
    assert made(torch.randn(2, 3, 32, 32)).shape == (2, 4)
    assert isinstance(made.head, nn.Linear)
    assert made.head.in_features == 2 * made.backbone.channels
    assert all(module.training for module in made.modules())
    neck, head = nn.Conv2d(96, 8, 1), nn.Linear(8, 4)
    given = make_classifier("test_resnet", classes=4, neck=neck, head=head, weights="none", size=32)
    assert (given.neck, given.head) == (neck, head)


def test_trying_a_module_leaves_modes_and_statistics_as_they_were():
    module = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2).eval())
    assert tried(module, torch.ones(1, 2, 2, 2)).shape == (1, 2, 2, 2)
    assert [part.training for part in module.modules()] == [True, True, False]
    assert module.state_dict()["0.num_batches_tracked"] == 0
