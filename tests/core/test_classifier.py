"""Backbone, neck, pool and head in a row."""

import pytest
import torch
from torch import nn

from fieldmark.core.backbone import Backbone
from fieldmark.core.classifier import Average, Classifier, Linear, Maximum
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
