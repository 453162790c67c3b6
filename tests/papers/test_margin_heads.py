"""What heads with a margin share: the method that takes them, and those that cannot."""

import pytest
import torch
from torch import Tensor

from fieldmark.building import build_learner
from fieldmark.core.classifier import MarginHead
from fieldmark.core.draws import Draws
from fieldmark.errors import UserError
from fieldmark.recipe import Model, Part, Pixels, Recipe

HEADS = ("LargeMarginCosine", "AngularSoftmax", "GaussianMixture")
ROWS = torch.arange(4)


def learner_of(head: str, method: str = "Plain", **options: object):
    model = Model(Part(method), head=Part(head, options), backbone="test_resnet", weights="none")
    return build_learner(Recipe(model, pixels=Pixels(64, 64)), classes=5)


def loss_of(learner, images: Tensor, labels: Tensor) -> float:
    return learner(images, labels, Draws(0, 0, ROWS)).losses["cross_entropy"].item()


@pytest.mark.parametrize("head", HEADS)
def test_training_is_harder_than_inference(head: str):
    learner, images, labels = learner_of(head), torch.randn(4, 3, 64, 64), torch.arange(4)
    assert isinstance(learner.method.classifier.head, MarginHead)
    learner.eval()
    output = learner(images, labels, Draws(0, 0, ROWS))
    assert torch.equal(output.logits, learner.method(images))
    plain = learner.method.criterion(output.logits, labels).item()
    assert output.losses["cross_entropy"].item() > plain


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("method", ["ApiNet", "S3N"])
def test_methods_that_score_more_than_the_embedding_refuse_them(head: str, method: str):
    with pytest.raises(UserError) as caught:
        learner_of(head, method)
    assert str(caught.value) == f"{head} as head has a margin, and {method} scores more than each image's own embedding"


def test_without_a_margin_the_loss_is_that_of_inference():
    images, labels = torch.randn(4, 3, 64, 64), torch.arange(4)
    for head, options in (
        ("LargeMarginCosine", {"margin": 0.0}),
        ("AngularSoftmax", {"m": 1}),
        ("GaussianMixture", {"margin": 0.0}),
    ):
        learner = learner_of(head, **options).eval()
        own = learner.method.criterion(learner.method(images), labels).item()
        assert loss_of(learner, images, labels) == pytest.approx(own, rel=1e-5)
