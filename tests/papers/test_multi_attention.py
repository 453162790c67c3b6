"""OSME against one gate after the other, and MAMC's N-pair loss against loops over anchors, positives and negatives."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fieldmark.building import build_learner
from fieldmark.core.classifier import Average
from fieldmark.core.draws import Draws
from fieldmark.errors import UserError
from fieldmark.papers.multi_attention import MultiAttentionMultiClass, MultiExcitation, n_pair
from fieldmark.recipe import Model, Part, Pixels, Recipe
from fieldmark.recipes.multi_attention import COMPOSITION
from golden_step import check_golden, numbers_of_a_step, tiny_learner

LABELS = torch.tensor([0, 1, 0, 2, 1, 0])
Index = tuple[int, int]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def naive_loss(features: list[list[list[float]]], labels: list[int], photos: list[int], anchor: Index) -> float:
    """Of one anchor, an image and an attention: Eq. 11 of the paper, its sets written out."""
    image, attention = anchor
    others = [(i, p) for i in range(len(features)) for p in range(len(features[0]))]

    def product(index: Index) -> float:
        own, other = features[image][attention], features[index[0]][index[1]]
        return sum(a * b for a, b in zip(own, other, strict=True))

    def those(*, attention_alike: bool, class_alike: bool) -> list[Index]:
        return [
            (i, p)
            for i, p in others
            if (p == attention) == attention_alike and (labels[i] == labels[image]) == class_alike
        ]

    sasc = [(i, p) for i, p in those(attention_alike=True, class_alike=True) if photos[i] != photos[image]]
    sadc, dasc = those(attention_alike=True, class_alike=False), those(attention_alike=False, class_alike=True)
    dadc = those(attention_alike=False, class_alike=False)
    total = 0.0
    for positives, negatives in ((sasc, [*sadc, *dasc, *dadc]), (sadc, dadc), (dasc, dadc)):
        for positive in positives:
            total += math.log(1 + sum(math.exp(product(negative) - product(positive)) for negative in negatives))
    return total


@pytest.mark.parametrize("photos", [None, torch.tensor([4, 5, 4, 6, 7, 8])], ids=["all differ", "a copy"])
@pytest.mark.parametrize("attentions", [1, 2, 3])
def test_the_loss_is_that_of_loops_over_anchors_and_their_sets(attentions: int, photos: Tensor | None):
    features = numbers(len(LABELS), attentions, 4)
    which = list(range(len(LABELS))) if photos is None else photos.tolist()
    expected = [
        [naive_loss(features.tolist(), LABELS.tolist(), which, (image, attention)) for attention in range(attentions)]
        for image in range(len(LABELS))
    ]
    found = n_pair(features, LABELS, photos=photos)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_the_term_is_lambda_times_the_sum_over_the_number_of_pairs():
    embedding = numbers(6, 8)
    term = MultiAttentionMultiClass(weight=0.3)
    total = n_pair(embedding.view(6, 2, 4), LABELS).sum()
    torch.testing.assert_close(term(embedding, LABELS), 0.3 * total / 3)
    rows = torch.tensor([4, 5, 4, 6, 7, 8])
    total = n_pair(embedding.view(6, 2, 4), LABELS, photos=rows).sum()
    torch.testing.assert_close(term(embedding, LABELS, draws=Draws(0, 0, rows)), 0.3 * total / 3)


def test_its_gradient_is_right():
    assert torch.autograd.gradcheck(lambda values: n_pair(values, LABELS), numbers(6, 2, 3).requires_grad_())


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0]], ids=str)
def test_without_positives_or_negatives_loss_and_gradient_are_finite(labels: list[int]):
    embedding = (1e3 * numbers(len(labels), 4)).requires_grad_()
    loss = MultiAttentionMultiClass()(embedding, torch.tensor(labels))
    loss.backward()
    assert loss.isfinite()
    assert embedding.grad is not None
    assert embedding.grad.isfinite().all()
    assert (loss == 0) == (len(set(labels)) == 1 and len(labels) == 1)


def test_the_pool_is_a_feature_of_each_set_of_gates():
    pool, maps = MultiExcitation(5, attentions=3, width=2, reduction=2).double(), numbers(4, 5, 3, 2)
    parts = []
    for excitation, feature in zip(pool.excitations, pool.features, strict=True):
        gated = excitation(maps)  # squeeze and excitation of the whole maps
        parts.append(feature(gated.mean((2, 3))))
    torch.testing.assert_close(pool(maps), torch.cat(parts, 1))
    assert pool(maps).shape == (4, 6)


def built(*parts: Part, pool: Part = COMPOSITION.pool) -> None:
    model = Model(backbone="test_resnet", weights="none", pool=pool, terms=parts)
    build_learner(Recipe(model, Pixels(64, 64)), classes=4)


def test_the_term_refuses_a_pool_that_does_not_fit_and_an_embedding_that_cannot_be_parted():
    three = Part("MultiAttentionMultiClass", {"attentions": 3})
    built(three, pool=Part("MultiExcitation", {"attentions": 3}))
    with pytest.raises(UserError, match="the pool has 2 attentions"):
        built(three)
    with pytest.raises(UserError, match="take the pool MultiExcitation"):
        built(*COMPOSITION.terms, pool=Part(Average.__name__))
    with pytest.raises(UserError, match="embeddings of 7 numbers are not the features of 2 attentions"):
        MultiAttentionMultiClass()(torch.zeros(6, 7), LABELS)


def test_one_step_is_the_golden_one(monkeypatch: pytest.MonkeyPatch):
    # at the paper's reduction a ReLU would leave nothing of the one hidden number
    composition = replace(COMPOSITION, pool=Part("MultiExcitation", {"reduction": 1, "width": 6}))
    check_golden("mamc", numbers_of_a_step(tiny_learner(composition, monkeypatch)))
