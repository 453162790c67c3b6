"""A network with one class more answers the old ones as before, and gives its old tensors back, bit for bit."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fieldmark.building import build_learner, classes_named
from fieldmark.core.contract import Encoded, Method, TrainOutput
from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner
from fieldmark.errors import UserError
from fieldmark.new_classes.adding import Given
from fieldmark.new_classes.widening import with_one_less, with_one_more
from fieldmark.recipe import Model, Part, Pixels, Recipe
from fieldmark.recipes import COMPOSITIONS
from own_parts import own

CLASSES, SIZE = 6, 64
EXPANSION = Part("ChannelExpansion", {"xi": 2})
OTHERS = {
    "released head": {"pool": Part("Maximum"), "head": Part("TwoLayerHead", {"hidden": 16})},
    "channels of classes": {"neck": EXPANSION, "terms": (Part("MutualChannelLoss"), Part("PairwiseConfusion"))},
    "soft labels": {"terms": (Part("SoftChannelLabels"), Part("PairwiseConfusion"))},
    "soft labels after the neck of cin": {
        "neck": Part("SelfChannelInteraction"),
        "terms": (Part("SoftChannelLabels"), Part("ContrastiveChannelInteraction")),
    },
    "adjusted": {"criterion": Part("CrossEntropy", {"adjust": True})},
    **{f"s3n {branches}": {"method": Part("S3N", {"branches": branches})} for branches in ("O", "D", "DC", "OD")},
}
ALL = OTHERS | {
    each.name: {name: getattr(each, name) for name in ("method", "neck", "pool", "head", "terms")}
    for each in COMPOSITIONS
    if each.head.name == "Linear"
}


def built(parts: dict[str, object], *external: type) -> tuple[Recipe, Learner]:
    """With every tensor random, as after training."""
    model = Model(backbone="test_resnet", weights="none", **parts)  # pyright: ignore[reportArgumentType]
    recipe = Recipe(model, Pixels(SIZE, SIZE))
    learner = build_learner(recipe, classes=CLASSES, external=classes_named(external)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in (layer for group in learner.method.scorers() for layer in group):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
            layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator))
        for buffer in (term.means for term in learner.terms if hasattr(term, "means")):
            assert isinstance(buffer, Tensor)
            buffer.copy_(torch.rand(buffer.shape, generator=generator))
    return recipe, learner


def images() -> Tensor:
    return torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize("name", ALL)
def test_there_and_back(name: str) -> None:
    recipe, learner = built(ALL[name])
    wider, target, left = with_one_more(learner, recipe, classes=CLASSES, external={})
    before, after = learner.method(images()), target.method(images())
    assert after.shape == (3, CLASSES + 1)
    assert torch.allclose(before, after[:, :CLASSES], atol=1e-4)
    assert (after.argmax(1) == before.argmax(1)).all()
    again = with_one_less(target, recipe=recipe, rows=range(CLASSES), others=left, external={})
    old, new = learner.state_dict(), again.state_dict()
    assert old.keys() == new.keys()
    assert all(torch.equal(value, new[key]) for key, value in old.items())
    per_class = {"MutualChannelLoss", "SoftChannelLabels", "CenterLoss"}
    assert [term.name for term in wider.model.terms] == [
        term.name for term in recipe.model.terms if term.name not in per_class
    ]


@torch.no_grad()
@pytest.mark.parametrize("name", ALL)
def test_what_every_layer_that_scores_is_given_is_known_for_each_image(name: str) -> None:
    method = built(ALL[name])[1].method
    for group in method.scorers():
        given = Given(method, group)(images())
        assert given.shape == (3, sum(layer.in_features for layer in group))
    assert torch.allclose(method.scorers()[-1][-1](given[:, -group[-1].in_features :]), method(images()), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("branches", ["ODC", "DC"])
def test_s3n_answers_as_before_until_a_row_is_filled(branches: str) -> None:
    recipe, learner = built({"method": Part("S3N", {"branches": branches})})
    _, target, _ = with_one_more(learner, recipe, classes=CLASSES, external={})
    assert torch.allclose(learner.method(images()), target.method(images())[:, :CLASSES], atol=1e-4)
    assert [len(group) for group in target.method.scorers()] == [1, len(branches.replace("O", "")) + 1]


@torch.no_grad()
def test_a_class_from_the_middle_goes_and_the_others_keep_their_rows() -> None:
    recipe, learner = built(OTHERS["released head"])
    rows = [0, 1, 2, 4, 5]
    target = with_one_less(learner, recipe=recipe, rows=rows, external={})
    assert torch.allclose(target.method(images()), learner.method(images())[:, rows], atol=1e-4)


class Unnamed(nn.Module):
    """A head that does not name the layer that scores the classes."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, classes)

    def forward(self, embedding: Tensor) -> Tensor:
        return self.inner(embedding)


class Named(Unnamed):
    """One that does."""

    @property
    def scorer(self) -> nn.Linear:
        return self.inner


class WithoutBias(nn.Linear):
    """A head without a bias."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(width, classes, bias=False)


class Beside(Method):
    """A method with a classifier of its own that it does not name."""

    def __init__(self, classifier, criterion) -> None:
        super().__init__(classifier, criterion)
        self.second = nn.Linear(4, classifier.classes)

    def objective(self, encoded: Encoded, labels: Tensor, draws: Draws) -> TrainOutput:
        losses = {"cross_entropy": self.criterion(encoded.logits, labels)}
        return TrainOutput(losses, encoded.logits, labels, encoded.features, {})


class Growing(nn.Module):
    """A neck whose size depends on the number of classes, without a word on how it can stay."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, 2 * classes, 1)

    def forward(self, maps: Tensor) -> Tensor:
        return self.mix(maps)


def test_a_head_of_ones_own_that_names_its_layer_is_widened() -> None:
    model = Model(backbone="test_resnet", weights="none", head=own(Named))
    external = classes_named([Named])
    recipe = Recipe(model, Pixels(SIZE, SIZE))
    learner = build_learner(recipe, classes=CLASSES, external=external).eval()
    _, target, _ = with_one_more(learner, recipe, classes=CLASSES, external=external)
    with torch.no_grad():
        assert torch.allclose(target.method(images())[:, :CLASSES], learner.method(images()), atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "parts", "said"),
    [
        (Unnamed, lambda part: {"head": part}, "Unnamed as head names no linear layer"),
        (WithoutBias, lambda part: {"head": part}, "has no bias"),
        (Beside, lambda part: {"method": part}, r"method.second.weight depends on the number of classes"),
        (Growing, lambda part: {"neck": part}, r"neck.mix.weight depends on the number of classes"),
    ],
)
def test_what_cannot_be_widened_is_refused(kind: type, parts: Callable[[Part], dict[str, Part]], said: str) -> None:
    external = classes_named([kind])
    model = Model(backbone="test_resnet", weights="none", **parts(own(kind)))  # pyright: ignore[reportArgumentType]
    recipe = Recipe(model, Pixels(SIZE, SIZE))
    learner = build_learner(recipe, classes=CLASSES, external=external)
    with pytest.raises(UserError, match=said) as refused:
        with_one_more(learner, recipe, classes=CLASSES, external=external)
    assert len(str(refused.value).splitlines()) <= 3
