"""From a recipe to modules, or to one line that says why not."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from fieldmark.core import building
from fieldmark.core.building import build_learner
from fieldmark.core.classifier import Average, Classifier, Linear, Maximum
from fieldmark.core.criterion import Criterion
from fieldmark.errors import UserError
from fieldmark.papers.pairwise_confusion import PairwiseConfusion
from fieldmark.papers.plain import Plain
from fieldmark.recipe import Model, Part, Pixels, Recipe
from golden_step import SIZE, tiny_backbone

MODEL = Model(Part(Plain), Part(Average), Part(Linear), backbone="tiny", weights="none")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Every backbone is the twelve-channel one; the list has what was asked for."""
    asked: list[dict[str, object]] = []

    def make(name: str, *, weights: str, size: int):
        asked.append({"name": name, "weights": weights, "size": size})
        return tiny_backbone()

    monkeypatch.setattr(building, "make_backbone", make)
    return asked


def recipe(**parts: object) -> Recipe:
    return Recipe(dataclasses.replace(MODEL, **parts), pixels=Pixels(size=SIZE))  # pyright: ignore[reportArgumentType]


class Doubling(nn.Module):
    """A neck that doubles the channels."""

    def __init__(self, channels: int, gain: float = 1.0) -> None:
        super().__init__()
        self.conv, self.gain = nn.Conv2d(channels, 2 * channels, 1), gain

    def forward(self, maps: Tensor) -> Tensor:
        return self.gain * self.conv(maps)


class Corners(nn.Module):
    """A pool that keeps the mean and the first position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps.mean((2, 3)), maps[:, :, 0, 0]], 1)

    def width(self, channels: int) -> int:
        return 2 * channels


class Deep(nn.Sequential):
    """A head of two layers."""

    def __init__(self, width: int, classes: int, *, hidden: int) -> None:
        super().__init__(nn.Linear(width, hidden), nn.Linear(hidden, classes))


def test_widths_pass_from_part_to_part():
    parts = {"neck": Part(Doubling), "pool": Part(Corners), "head": Part(Deep, {"hidden": 9})}
    learner = build_learner(recipe(**parts), classes=4)
    features = learner.method.classifier.features(torch.randn(2, 3, SIZE, SIZE))
    assert [part.shape[1] for part in features[:4]] == [12, 24, 48, 4]
    assert learner.method.classifier.pool.channels == 24
    assert all(module.training for module in learner.modules())


class OnEmbeddings(Plain):
    """A method that asks for what depends on its place."""

    def __init__(self, classifier: Classifier, criterion: Criterion, width: int, channels: int) -> None:
        super().__init__(classifier, criterion)
        self.numbers = (width, channels)


def test_a_method_may_ask_for_the_width_of_the_embedding():
    parts = {"method": Part(OnEmbeddings), "neck": Part(Doubling), "pool": Part(Corners)}
    method = build_learner(recipe(**parts), classes=4).method
    assert isinstance(method, OnEmbeddings)
    assert method.numbers == (48, 12)
    assert all(module.training for module in method.modules())


def test_the_seed_decides_the_initial_values():
    neck = Part(Doubling)
    first, again = (build_learner(recipe(neck=neck), classes=4).state_dict() for _ in range(2))
    other = build_learner(dataclasses.replace(recipe(neck=neck), seed=1), classes=4).state_dict()
    key = "method.classifier.neck.conv.weight"
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first[key], other[key])


def test_weights_and_size_reach_the_backbone(tiny: list[dict[str, object]]):
    build_learner(recipe(weights="hub"), classes=4)
    build_learner(recipe(weights="hub"), classes=4, weights="none")
    assert [asked["weights"] for asked in tiny] == ["hub", "none"]
    assert tiny[0] == {"name": "tiny", "weights": "hub", "size": SIZE}


def test_the_criterion_has_the_recipes_smoothing_and_adjustment():
    counts = torch.tensor([1, 3, 4, 0])
    plain = build_learner(recipe(), classes=4, counts=counts).method.criterion
    adjusted = build_learner(dataclasses.replace(recipe(), balance="logit-adjust"), classes=4, counts=counts)
    assert plain.smoothing == 0.1
    assert plain.adjustment is None
    prior = adjusted.method.criterion.adjustment
    assert prior is not None
    assert prior.isfinite().all()
    torch.testing.assert_close(prior[2] - prior[1], torch.tensor(4 / 3).log())


def test_terms_are_built_with_their_options():
    term = Part(PairwiseConfusion, {"weight": 2.5, "on": "logits"})
    (built,) = build_learner(recipe(terms=(term,)), classes=4).terms
    assert isinstance(built, PairwiseConfusion)
    assert (built.weight, built.on, built.squared) == (2.5, "logits", True)


class WrongChannels(nn.Module):
    """A neck that cannot take the backbone's maps."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps @ torch.zeros(5, 5)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"terms": (Part(PairwiseConfusion, {"wieght": 2}),)}, "no option 'wieght'; its options: weight, label"),
        ({"terms": (Part(PairwiseConfusion, {"weight": "much"}),)}, "weight.*'much'"),
        ({"terms": (Part(PairwiseConfusion, {"on": "maps"}),)}, "'maps'.*'probabilities'"),
        ({"terms": (Part(PairwiseConfusion, {"weight": -1.0}),)}, "at least 0"),
        ({"terms": (Part(Average),)}, "Average is no Term"),
        ({"method": Part(Linear)}, "Linear"),
        ({"method": Part(Average)}, "Average is no Method"),
        ({"head": Part(Linear, {"classes": 9})}, "Linear has no option 'classes'"),
        ({"head": Part(Deep)}, "Deep.*'hidden'"),
        ({"neck": Part(WrongChannels)}, "WrongChannels cannot stand as neck"),
        ({"pool": Part(nn.Identity)}, "Identity cannot stand as pool"),
        ({"pool": Part(Maximum, {"size": 3})}, "Maximum has no option 'size'; its options: none"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused_in_one_line(parts: dict[str, object], message: str):
    with pytest.raises(UserError, match=message) as caught:
        build_learner(recipe(**parts), classes=4)
    assert len(str(caught.value).splitlines()) == 1


def test_accumulation_is_refused_where_images_meet():
    pieces = dataclasses.replace(recipe(), accumulate=2)
    assert build_learner(pieces, classes=4)
    meeting = dataclasses.replace(pieces, model=dataclasses.replace(MODEL, terms=(Part(PairwiseConfusion),)))
    with pytest.raises(UserError, match="use --accumulate 1"):
        build_learner(meeting, classes=4)


def test_one_class_is_refused():
    with pytest.raises(UserError, match="at least two classes"):
        build_learner(recipe(), classes=1)
