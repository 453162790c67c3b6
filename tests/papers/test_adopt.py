"""Every method can begin as a linear classifier on pooled features: the untrained network answers as it does."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.building import build_learner
from fieldmark.core.contract import Method
from fieldmark.errors import UserError
from fieldmark.recipe import AVERAGE, Model, Part, Pixels, Recipe
from fieldmark.recipes import COMPOSITIONS

CLASSES, SIZE = 5, 64
BRANCHES = [Part("S3N", {"branches": branches}) for branches in ("OD", "OC", "O")]


def built(**parts: object) -> Method:
    model = Model(backbone="test_resnet", weights="none", **parts)  # pyright: ignore[reportArgumentType]
    return build_learner(Recipe(model, Pixels(SIZE, SIZE)), classes=CLASSES).method


def numbers() -> tuple[Tensor, Tensor, Tensor]:
    """Images (3, 3, S, S), a weight (C, E) for 128 features and a bias (C,)."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 3, SIZE, SIZE), (CLASSES, 128), (CLASSES,))
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)  # pyright: ignore[reportReturnType]


def adopted(method: Method) -> tuple[Tensor, Tensor]:
    """The method's own logits after it adopted a classifier, and that classifier's."""
    images, weight, bias = numbers()
    method.eval()
    with torch.no_grad():
        width = method.classifier.pooled(images).shape[1]
        weight = weight.repeat(1, 1 + width // 128)[:, :width].contiguous()
        expected = F.linear(method.classifier.pool(method.classifier.backbone(images)), weight, bias)
        method.adopt(weight, bias)
        return method(images), expected


OTHERS = [each for each in COMPOSITIONS if each.head.name != "Linear"]
WIDE = [each for each in COMPOSITIONS if each.pool.name == "Bilinear"]
"""More numbers than a probe is fitted to."""
GATED = [each for each in COMPOSITIONS if each.neck and each.neck.name == "SqueezeExcitation"]
LINEAR = [each for each in COMPOSITIONS if each not in (*OTHERS, *WIDE, *GATED)]


@pytest.mark.parametrize("composition", LINEAR, ids=lambda composition: composition.name)
def test_the_untrained_network_answers_as_the_probe_does(composition) -> None:
    parts = {name: getattr(composition, name) for name in ("method", "neck", "pool", "head", "terms")}
    own, expected = adopted(built(**parts))
    assert (own - expected).abs().max() <= 1e-4
    assert expected.std() > 0.1


@pytest.mark.parametrize("composition", [*OTHERS, *GATED], ids=lambda composition: composition.name)
def test_what_cannot_begin_so_refuses(composition) -> None:
    method = built(neck=composition.neck, head=composition.head, terms=composition.terms)
    with pytest.raises(UserError, match=r"cannot begin as (a probe|the identity), as --start probe needs; use zero"):
        adopted(method)


@pytest.mark.parametrize("method", BRANCHES, ids=lambda part: part.options["branches"])
def test_s3n_does_with_every_choice_of_branches_that_has_the_image_itself(method: Part) -> None:
    own, expected = adopted(built(method=method))
    assert (own - expected).abs().max() <= 1e-4


@pytest.mark.parametrize("branches", ["DC", "D", "C"])
def test_s3n_without_the_image_itself_answers_as_the_probe_does_for_what_its_branches_see(branches: str) -> None:
    method = built(method=Part("S3N", {"branches": branches, "attention": "class_response"}))
    own, _ = adopted(method)
    images = numbers()[0]
    with torch.no_grad():
        views = method.evidence(images).branches
    sampled = [views[name] for name in ("discriminative", "complementary") if name in views]
    torch.testing.assert_close(own, torch.stack(sampled).mean(0), rtol=0, atol=1e-4)


def test_a_maximum_and_a_neck_that_steps_aside_do() -> None:
    for parts in ({"pool": Part("Maximum")}, {"neck": Part("SelfChannelInteraction"), "pool": AVERAGE}):
        own, expected = adopted(built(**parts))
        assert (own - expected).abs().max() <= 1e-4


def test_a_neck_that_steps_aside_still_learns() -> None:
    method = built(neck=Part("SelfChannelInteraction"))
    images, weight, bias = numbers()
    width = method.classifier.backbone.channels
    method.adopt(weight.repeat(1, max(width // 128, 1))[:, :width], bias)
    method.loss(images, torch.tensor([0, 1, 2])).backward()
    phi = dict(method.classifier.neck.named_parameters())["phi.weight"]
    assert phi.grad is not None
    assert phi.grad.any()


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({"head": Part("TwoLayerHead")}, "TwoLayerHead"),
        ({"neck": Part("ChannelExpansion")}, "ChannelExpansion"),
    ],
)
def test_others_say_that_they_cannot(parts: dict[str, Part], name: str) -> None:
    with pytest.raises(UserError, match=f"{name} cannot begin as .*--start probe.*use zero"):
        adopted(built(**parts))


def test_a_classifier_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="Linear cannot begin as a probe"):
        built().adopt(torch.zeros(CLASSES + 1, 7), torch.zeros(CLASSES + 1))


def test_modules_are_what_they_were() -> None:
    """Adopting copies: what was given may change afterwards."""
    method, (_, weight, bias) = built(), numbers()
    width = method.classifier.backbone.channels
    weight = weight.repeat(1, max(width // 128, 1))[:, :width].contiguous()
    method.adopt(weight, bias)
    weight.zero_()
    assert isinstance(method.classifier.head, nn.Linear)
    assert method.classifier.head.weight.any()
