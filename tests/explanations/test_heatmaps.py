"""Where scores come from, for every method and family, beside autograd and known pictures."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from fieldmark.building import build_learner
from fieldmark.core.contract import Method
from fieldmark.core.recording import finer_layer
from fieldmark.errors import UserError
from fieldmark.explanations.heatmaps import Question, answer_and_rival, look
from fieldmark.explanations.maps import scaled
from fieldmark.recipe import Model, Pixels, Recipe
from fieldmark.recipes import PAPERS

COMPOSITIONS = {paper.COMPOSITION.name: paper.COMPOSITION for paper in PAPERS}
CLASSES = 5


def built(name: str = "plain", *, backbone: str = "test_resnet", size: int = 64, head: bool = True) -> Method:
    """A method with a drawn head, in eval mode."""
    parts = COMPOSITIONS[name]
    model = Model(
        parts.method, parts.pool, parts.head, backbone=backbone, weights="none", neck=parts.neck, terms=parts.terms
    )
    torch.manual_seed(0)
    recipe = Recipe(model, pixels=Pixels(size=size, eval_size=size))
    method = build_learner(recipe, classes=CLASSES).method.eval()
    for parameter in method.parameters() if head else ():
        if parameter.ndim > 1 and not parameter.any():  # heads begin at zero
            nn.init.normal_(parameter, std=0.1)
    return method


def images(size: int = 64, count: int = 3) -> Tensor:
    return torch.randn((count, 3, size, size), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", COMPOSITIONS)
@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_vit"])
def test_every_method_and_family_is_explained(name: str, backbone: str):
    method, pictures = built(name, backbone=backbone), images()
    with torch.no_grad():
        logits = method(pictures)
    looked = look(method, pictures)
    torch.testing.assert_close(looked.evidence.logits, logits)
    first, second = logits.topk(2, 1).indices.T
    assert torch.equal(looked.questions[0].classes, first)
    assert looked.questions[0].against is None
    assert torch.equal(looked.questions[1].classes, first)
    assert looked.questions[1].against is not None
    assert torch.equal(looked.questions[1].against, second)
    for heatmap in looked.heatmaps:
        assert heatmap.shape == (3, 16, 16)
        assert not heatmap.requires_grad
        assert heatmap.min() >= 0
        assert set(heatmap.amax((1, 2)).tolist()) <= {0.0, 1.0}
    assert (looked.heatmaps[1].amax((1, 2)) == 1).all()
    assert all(parameter.grad is None for parameter in method.parameters())
    assert not looked.evidence.logits.requires_grad


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_a_photo_is_explained_alike_in_any_batch(name: str):
    method, pictures = built(name).double(), images().double()
    together = look(method, pictures).heatmaps
    alone = look(method, pictures[1:2]).heatmaps
    for whole, one in zip(together, alone, strict=True):
        torch.testing.assert_close(whole[1:2], one, rtol=0, atol=1e-9)


def test_two_layers_answer_together():
    method, pictures = built(backbone="tf_efficientnet_lite0", size=96), images(96)
    backbone = method.classifier.backbone
    assert finer_layer(backbone) == "stage4"
    both, coarse = look(method, pictures).heatmaps, look(method, pictures, layer="maps").heatmaps
    for fused, plain in zip(both, coarse, strict=True):
        assert not fused[plain == 0].any()
        assert not torch.equal(fused, plain)


def test_a_class_may_be_asked_for_and_gamma_weighs_the_other():
    method, pictures = built().double(), images().double()
    classes, others = torch.tensor([4, 0, 2]), torch.tensor([1, 1, 3])

    def ask(_: Tensor) -> Sequence[Question]:
        return [Question(classes), Question(others), Question(classes, others)]

    weight = method.classifier.head.weight
    assert isinstance(weight, Tensor)
    maps = method.classifier.backbone(pictures).detach()
    for gamma in (0.0, 0.6, 1.0):
        heatmaps = look(method, pictures, ask, gamma=gamma, layer="maps").heatmaps
        for row in range(3):
            difference = weight[classes[row]] - gamma * weight[others[row]]
            response = torch.einsum("d,dhw->hw", difference, maps[row])[None, None]
            large = nn.functional.interpolate(response, (16, 16), mode="bilinear", align_corners=False)[:, 0]
            torch.testing.assert_close(heatmaps[2][row : row + 1], scaled(large), rtol=0, atol=1e-9)
    torch.testing.assert_close(
        look(method, pictures, ask, gamma=0.0).heatmaps[2], look(method, pictures, ask).heatmaps[0]
    )


@pytest.mark.parametrize("name", ["plain", "pc", "mc-loss", "api-net", "cin"])
def test_responses_are_those_that_add_up(name: str):
    method, pictures = built(name).double(), images().double()
    responses = look(method, pictures, layer="response")
    plain = look(method, pictures, layer="maps")
    torch.testing.assert_close(responses.evidence.logits, method(pictures).detach())
    if name != "cin":  # its neck stands between the backbone's maps and the head
        for ours, theirs in zip(responses.heatmaps, plain.heatmaps, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_what_is_no_sum_over_positions_has_no_responses():
    with pytest.raises(UserError, match="no sum over positions"):
        look(built("s3n"), images(), layer="response")


def test_a_layer_may_be_named_and_must_be_there():
    method, pictures = built(), images()
    named = look(method, pictures, layer="model.layer3").heatmaps
    for ours, theirs in zip(named, look(method, pictures, layer="stage4").heatmaps, strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(UserError, match="--layer 'stage7'"):
        look(method, pictures, layer="stage7")


def test_where_a_bright_patch_decides_the_heatmap_lies_on_it():
    """A head that adds up brightness: the class is where the patch is."""
    method = built(head=False).double()
    backbone, head = method.classifier.backbone, method.classifier.head
    pictures = torch.zeros(1, 3, 64, 64, dtype=torch.float64)
    pictures[:, :, 40:56, 8:24] = 5
    with torch.no_grad():
        change = backbone(pictures) - backbone(torch.zeros_like(pictures))
        assert isinstance(head, nn.Linear)
        head.weight[1] = change.mean((0, 2, 3))
    heatmap = look(method, pictures).heatmaps[0][0]
    y, x = divmod(int(heatmap.argmax()), 16)
    assert 8 <= 4 * x + 2 <= 32
    assert 32 <= 4 * y + 2 <= 64


def test_inference_tensors_are_taken():
    method = built()
    with torch.inference_mode():
        looked = look(method, images())
    assert looked.heatmaps[0].max() == 1


def test_the_likeliest_and_the_next():
    questions = answer_and_rival(torch.tensor([[0.0, 3.0, 2.0], [5.0, 1.0, 4.0]]))
    assert questions[0].classes.tolist() == questions[1].classes.tolist() == [1, 0]
    against = questions[1].against
    assert against is not None
    assert against.tolist() == [2, 2]
