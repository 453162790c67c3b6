"""From a recipe to modules, or to one line that says why not."""

import dataclasses
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fieldmark import building
from fieldmark.batches import Balanced, Batches, ExhaustivePairs, Shuffled, ShuffledPairs
from fieldmark.building import build_learner, check_part, class_of, classes_named, refuse_parts
from fieldmark.core.classifier import Classifier, Maximum
from fieldmark.core.criterion import Criterion
from fieldmark.core.learner import Learner
from fieldmark.errors import UserError
from fieldmark.papers.pairwise_confusion import PairwiseConfusion
from fieldmark.papers.plain import Plain
from fieldmark.recipe import Model, Part, Pixels, Recipe
from golden_step import SIZE, tiny_backbone
from own_parts import own

MODEL = Model(backbone="tiny", weights="none")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Every backbone is the twelve-channel one; the list has what was asked for."""
    asked: list[dict[str, object]] = []

    def make(name: str, *, weights: str, size: int, output_stride: int):
        asked.append({"name": name, "weights": weights, "size": size, "output_stride": output_stride})
        return tiny_backbone()

    monkeypatch.setattr(building, "make_backbone", make)
    return asked


def recipe(**parts: object) -> Recipe:
    return Recipe(dataclasses.replace(MODEL, **parts), pixels=Pixels(size=SIZE))  # pyright: ignore[reportArgumentType]


def built(recipe: Recipe, **options: Tensor | str | None) -> Learner:
    """Of four classes, with the classes of this file at hand."""
    kinds = (Doubling, Corners, Deep, OnEmbeddings, WrongChannels, nn.Identity)
    return build_learner(recipe, classes=4, external=classes_named(kinds), **options)  # pyright: ignore[reportArgumentType]


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
    learner = built(recipe(neck=own(Doubling), pool=own(Corners), head=own(Deep, hidden=9)))
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
    method = built(recipe(method=own(OnEmbeddings), neck=own(Doubling), pool=own(Corners))).method
    assert isinstance(method, OnEmbeddings)
    assert method.numbers == (48, 12)
    assert all(module.training for module in method.modules())


def test_the_seed_decides_the_initial_values():
    doubled = recipe(neck=own(Doubling))
    first, again = (built(doubled).state_dict() for _ in range(2))
    other = built(dataclasses.replace(doubled, seed=1)).state_dict()
    key = "method.classifier.neck.conv.weight"
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first[key], other[key])


def test_weights_and_size_reach_the_backbone(tiny: list[dict[str, object]]):
    built(recipe(weights="hub"))
    built(recipe(weights="hub"), weights="none")
    assert [asked["weights"] for asked in tiny] == ["hub", "none"]
    assert tiny[0] == {"name": "tiny", "weights": "hub", "size": SIZE, "output_stride": 0}


def test_the_criterion_has_the_recipes_smoothing_and_adjustment():
    counts = torch.tensor([1, 3, 4, 0])
    plain = built(recipe(), counts=counts).method.criterion
    assert (plain.smoothing, plain.adjustment) == (0.1, None)
    options = {"smoothing": 0.25, "adjust": True}
    adjusted = built(recipe(criterion=Part("CrossEntropy", options)), counts=counts).method.criterion
    assert adjusted.smoothing == 0.25
    prior = adjusted.adjustment
    assert prior is not None
    assert prior.isfinite().all()
    torch.testing.assert_close(prior[2] - prior[1], torch.tensor(4 / 3).log())
    even = built(recipe(criterion=Part("CrossEntropy", options))).method.criterion.adjustment
    torch.testing.assert_close(even, torch.full((4,), 0.25).log())


def test_terms_are_built_with_their_options():
    term = Part("PairwiseConfusion", {"weight": 2.5, "on": "logits"})
    (confusion,) = built(recipe(terms=(term,))).terms
    assert isinstance(confusion, PairwiseConfusion)
    assert (confusion.weight, confusion.on, confusion.squared) == (2.5, "logits", True)


class WrongChannels(nn.Module):
    """A neck that cannot take the backbone's maps."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps @ torch.zeros(5, 5)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"terms": (Part("PairwiseConfusion", {"wieght": 2}),)}, r"no option 'wieght'; did you mean weight\?"),
        ({"terms": (Part("PairwiseConfusion", {"weight": "much"}),)}, "weight of PairwiseConfusion is 'much'"),
        ({"terms": (Part("PairwiseConfusion", {"weight": math.nan}),)}, "is nan; it must be at least 0"),
        ({"terms": (Part("MutualChannelLoss", {"weight": math.nan}),)}, "is nan; it must be at least 0"),
        ({"terms": (Part("PairwiseConfusion", {"on": "maps"}),)}, "is 'maps'; choose probabilities, logits"),
        ({"terms": (Part("PairwiseConfusion", {"weight": -1.0}),)}, "at least 0"),
        ({"terms": (Part("Average"),)}, "there is no term 'Average', which is a pool; choose "),
        ({"terms": (own(nn.Identity),)}, "Identity is not a Term"),
        ({"method": Part("Linear")}, "'Linear', which is a head; did you mean Plain|choose "),
        ({"method": own(nn.Identity)}, "Identity is not a Method"),
        ({"method": Part("Plian")}, r"there is no method 'Plian'; did you mean Plain\?"),
        ({"head": Part("Linear", {"classes": 9})}, "Linear has no option 'classes'"),
        ({"head": Part("TwoLayerHead", {"hidden": 0})}, "hidden of TwoLayerHead is 0; it must be at least 1"),
        ({"terms": (Part("SoftChannelLabels", {"reduction": 0}),)}, "SoftChannelLabels is 0; it must be at least 1"),
        ({"head": own(Deep)}, "Deep cannot serve as head: it needs the option 'hidden'"),
        ({"head": own(Deep, hiden=9)}, r"Deep has no option 'hiden'; did you mean hidden\?"),
        ({"neck": own(WrongChannels)}, "WrongChannels cannot serve as neck"),
        ({"neck": Part("nowhere:Neck")}, r"nowhere:Neck is not a class of Fieldmark's; .*--external nowhere:Neck\)"),
        ({"pool": own(nn.Identity)}, "Identity cannot serve as pool"),
        ({"pool": Part("Maximum", {"size": 3})}, "Maximum has no option 'size'; there are none"),
        ({"criterion": own(nn.Identity)}, "Identity is not a Criterion"),
        ({"criterion": Part("CrossEntropy", {"smoothing": 1})}, "smoothing of CrossEntropy is 1.0; .* below 1"),
        ({"criterion": Part("CrossEntropy", {"adjust": "yes"})}, "'yes'; it must be true or false"),
        ({"criterion": Part("CrossEntropy", {"counts": 3})}, "CrossEntropy has no option 'counts'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused_in_one_line(parts: dict[str, object], message: str):
    with pytest.raises(UserError, match=message) as caught:
        built(recipe(**parts))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("term", "batches", "pieces", "message"),
    [
        (None, Balanced(4, 4), 3, ""),
        ("SoftChannelLabels", Shuffled(16), 1, ""),
        ("SoftChannelLabels", Shuffled(16), 2, "would change which"),
        ("PairwiseConfusion", Shuffled(16), 8, ""),
        ("PairwiseConfusion", Shuffled(16, even=True), 3, ""),  # of 6, 6 and 4
        ("PairwiseConfusion", Shuffled(16), 4, ""),
        ("PairwiseConfusion", Shuffled(16), 6, "last photo of 3 would have no partner"),
        ("PairwiseConfusion", Shuffled(16), 16, "last photo of 1 would have no partner"),
        ("PairwiseConfusion", Balanced(4, 4), 2, "would change which"),  # its pieces have fewer classes
        ("PairwiseConfusion", ShuffledPairs(16), 2, "would change which"),  # its halves are the pairs
        ("PairwiseConfusion", ExhaustivePairs(16), 2, "would change which"),
    ],
)
def test_accumulation_is_refused_where_it_would_change_which_images_meet(
    term: str | None, batches: Batches, pieces: int, message: str
):
    model = dataclasses.replace(MODEL, terms=(Part(term),) if term else ())
    accumulated = dataclasses.replace(recipe(), model=model, batches=batches, accumulate=pieces)
    if not message:
        assert built(accumulated)
        return
    with pytest.raises(UserError, match=message) as caught:
        built(accumulated)
    assert "use --micro-batch in place of --accumulate" in str(caught.value)


def test_one_class_is_refused():
    with pytest.raises(UserError, match="at least two classes"):
        build_learner(recipe(), classes=1)


def test_parts_are_looked_at_before_a_network_is_built(tiny: list[dict[str, object]]):
    term, other = Part("PairwiseConfusion"), Part("MutualChannelLoss", {"drop": "half"})
    model = dataclasses.replace(MODEL, neck=own(Doubling), terms=(term, other))
    places = ["neck", "pool", "head", "criterion", "method", "term", "term"]
    assert [place for place, _ in model.parts] == places
    assert list(MODEL.parts) == [(place, getattr(MODEL, place)) for place in places[1:5]]
    looked_at = dataclasses.replace(recipe(), model=model)
    with pytest.raises(UserError, match=f"--external {__name__}:Doubling"):
        refuse_parts(looked_at, {})
    with pytest.raises(UserError, match="the option drop of MutualChannelLoss is 'half'; it must be a number"):
        refuse_parts(looked_at, classes_named([Doubling]))
    refuse_parts(recipe(neck=own(Doubling), terms=(term,)), classes_named([Doubling]))
    assert not tiny


def test_a_part_is_checked_against_what_its_place_fills_in():
    assert check_part(Part("Linear"), place="head", external={}).__name__ == "Linear"
    linear = "fieldmark.core.classifier:Linear"
    with pytest.raises(UserError, match="Linear cannot serve as pool: it needs the option 'width'"):
        check_part(Part(linear), place="pool", external=classes_named([linear]))


MODULE = """
from fieldmark.papers.plain import Plain

class Mine:
    class Inner:
        pass

number = 3
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module in the working folder, which is not on Python's path."""
    (tmp_path / "fieldmark_test_own.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.delitem(sys.modules, "fieldmark_test_own", raising=False)
    return "fieldmark_test_own"


def test_classes_from_elsewhere_by_themselves_or_by_name_also_from_the_working_folder(own_module: str):
    before = list(sys.path)
    names = (f"{own_module}:Mine", f"{own_module}:Mine.Inner", "fieldmark.core.classifier:Maximum")
    classes = classes_named([*names, Doubling])
    assert list(classes) == [*names, f"{__name__}:Doubling"]
    assert [kind.__qualname__ for kind in classes.values()] == ["Mine", "Mine.Inner", "Maximum", "Doubling"]
    assert classes[names[2]] is Maximum is class_of(Part("Maximum"), {}, place="pool")
    assert class_of(Part(names[1], {"a": 2}), classes, place="method") is classes[names[1]]
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no.such.module:Class", "^no.such.module:Class: No module named 'no'; .* is named package.module:Class$"),
        ("fieldmark.recipe:Nothing", "has no attribute 'Nothing'"),
        ("fieldmark.recipe:", "is named package.module:Class"),
        ("fieldmark.recipe", "is named package.module:Class"),
        (":Class", "is named package.module:Class"),
        ("..recipe:Class", "is named package.module:Class"),
        ("fieldmark.recipe:FORMAT_VERSION", "^fieldmark.recipe:FORMAT_VERSION is not a class$"),
        ("a\nb:Class", r"^a\\nb:Class: "),
    ],
)
def test_what_is_no_class_from_elsewhere_gets_one_line(name: str, message: str):
    with pytest.raises(UserError, match=message) as caught:
        classes_named([name])
    assert len(str(caught.value).splitlines()) == 1
