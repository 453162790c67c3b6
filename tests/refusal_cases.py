"""Arguments that every public loss, layer, term, method, criterion and function of the papers and the core takes."""

from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fieldmark.core import class_maps, classifier, pairs, sketch
from fieldmark.core.classifier import Average, Classifier, Linear
from fieldmark.core.contract import Method
from fieldmark.core.criterion import CrossEntropy
from fieldmark.core.draws import Draws
from fieldmark.papers import (
    angular_softmax,
    bilinear_cnn,
    center_loss,
    congenerous_cosine,
    focal_loss,
    gaussian_mixture,
    generalized_non_local,
    large_margin_cosine,
    multi_attention,
    non_local,
    pairwise_confusion,
    plain,
    squeeze_excitation,
    triplet_network,
)
from fieldmark.papers.api_net import ApiInteraction, ApiNet, method, mutual
from fieldmark.papers.channel_interaction import contrastive, interaction
from fieldmark.papers.channel_interaction.interaction import SelfChannelInteraction
from fieldmark.papers.mutual_channel import loss, soft_labels
from fieldmark.papers.nts_net import NTS, anchors, ranking
from fieldmark.papers.nts_net import method as nts
from fieldmark.papers.selective_sparse_sampling import S3N, attention, sampler
from golden_step import tiny_backbone


class Sizes(NamedTuple):
    images: int = 4
    classes: int = 3
    channels: int = 12


class Case(NamedTuple):
    """A class or function, arguments of it, and for a class how an instance is called."""

    kind: Callable[..., Any]
    arguments: Callable[[Sizes], dict[str, Any]]
    call: Callable[[Any, Sizes], Any] = lambda value, sizes: value

    def outcome(self, sizes: Sizes) -> Any:
        torch.manual_seed(0)
        return self.call(self.kind(**self.arguments(sizes)), sizes)


def numbers(*shape: int) -> Tensor:
    return torch.rand(shape).requires_grad_()


def maps(sizes: Sizes, *, side: int = 4) -> Tensor:
    return numbers(sizes.images, sizes.channels, side, side)


def responses(sizes: Sizes) -> Tensor:
    return numbers(sizes.images, 4, 4)


def vectors(sizes: Sizes) -> Tensor:
    return numbers(sizes.images, sizes.channels)


def logits(sizes: Sizes) -> Tensor:
    return numbers(sizes.images, sizes.classes)


def labels(sizes: Sizes) -> Tensor:
    return torch.arange(sizes.images) % max(sizes.classes, 1)


def mask(*shape: int) -> Tensor:
    return torch.rand(shape) < 0.5


def boxes(*shape: int) -> Tensor:
    """Of sides of 1 to 4 pixels, (..., 4)."""
    first = torch.randint(0, 8, (*shape, 2))
    return torch.cat([first, first + torch.randint(1, 5, (*shape, 2))], -1).float()


def groups(sizes: Sizes) -> tuple[int, ...]:
    classes, channels = sizes.classes, sizes.channels
    return (channels // classes,) * classes if classes and channels else ()


def weights(sizes: Sizes) -> Tensor:
    return numbers(sizes.images, sizes.channels, sizes.channels)


def whole(sizes: Sizes) -> Classifier:
    backbone = tiny_backbone()
    head = Linear(backbone.channels, sizes.classes)
    return Classifier(backbone, neck=nn.Identity(), pool=Average(), head=head, classes=sizes.classes)


def step(built: Method, sizes: Sizes) -> Any:
    images = torch.rand(sizes.images, 3, 12, 12)
    results = vars(built.eval().evidence(images)).values()
    tensors = chain.from_iterable(value.values() if isinstance(value, dict) else [value] for value in results)
    return built.train().loss(images, labels(sizes)), *tensors


def contrast(term: nn.Module, sizes: Sizes) -> Tensor:
    return term(SelfChannelInteraction(sizes.channels).interact(maps(sizes)), labels(sizes))


def of_pairs(layer: nn.Module, sizes: Sizes) -> Any:
    return layer(vectors(sizes), vectors(sizes), Draws(0))


def margin(head: nn.Module, sizes: Sizes) -> Any:
    embedding = vectors(sizes)
    logits = head(embedding)
    trained = head.with_margin(logits, embedding, labels(sizes)) if isinstance(head, classifier.MarginHead) else logits
    return logits, trained


def width(sizes: Sizes) -> dict[str, Any]:
    return {"width": sizes.channels}


def dropping(sizes: Sizes) -> dict[str, Any]:
    return {"width": sizes.channels, "dropout": 0.5}


CASES = [
    *(
        Case(kind, lambda s: {"p": logits(s).softmax(1), "q": logits(s).softmax(1)})
        for kind in (pairwise_confusion.jeffreys_divergence, pairwise_confusion.euclidean_confusion)
    ),
    Case(
        pairwise_confusion.jeffreys_bound, lambda s: {"delta1": numbers(s.images) / 3, "delta2": numbers(s.images) / 3}
    ),
    *(
        Case(kind, lambda s: {"first": logits(s), "second": logits(s)})
        for kind in (pairwise_confusion.confusion_between, pairwise_confusion.energy_distance)
    ),
    Case(pairwise_confusion.confusion_within, lambda s: {"points": logits(s)}),
    Case(
        pairwise_confusion.PairwiseConfusion,
        lambda s: {"weight": 2.0},
        lambda term, s: term(logits(s), labels(s)),
    ),
    Case(loss.channel_groups, lambda s: {"channels": s.channels, "classes": s.classes}),
    Case(
        loss.channel_attention, lambda s: {"groups": groups(s) or (1,), "drop": 0.5, "draws": Draws(0), "like": maps(s)}
    ),
    *(
        Case(kind, lambda s: {"maps": maps(s), "groups": groups(s), "keep": mask(s.channels)})
        for kind in (loss.discriminality_logits, loss.average_logits)
    ),
    Case(loss.diversity, lambda s: {"maps": maps(s), "groups": groups(s)}),
    Case(loss.discriminality, lambda s: {"logits": logits(s), "labels": labels(s)}),
    *(
        Case(
            loss.MutualChannelLoss,
            lambda s, options=options: {"classes": s.classes, **options},
            lambda term, s: term(maps(s), labels(s)),
        )
        for options in ({"weight": 1.0}, {"across": "average", "of": "label"}, {"form": "released"})
    ),
    Case(
        loss.ChannelExpansion,
        lambda s: {"channels": s.channels, "classes": s.classes},
        lambda neck, s: neck.eval()(maps(s)),
    ),
    Case(
        loss.HiddenMaximum,
        lambda s: {"channels": s.channels},
        lambda pool, s: pool.eval()(maps(s)),
    ),
    Case(
        loss.TwoLayerHead,
        lambda s: {"width": s.channels, "classes": s.classes},
        lambda head, s: head.eval()(vectors(s)),
    ),
    *(Case(kind, lambda s: {"maps": maps(s)}) for kind in (soft_labels.after_relu, soft_labels.spatial_softmax)),
    Case(soft_labels.ChannelLabels, lambda s: {"channels": s.channels}, lambda layer, s: layer(maps(s))),
    Case(soft_labels.class_maxima, lambda s: {"soft": vectors(s), "labels": labels(s), "classes": s.classes}),
    *(
        Case(kind, lambda s: {"maxima": numbers(s.classes, s.channels)})
        for kind in (soft_labels.intra_class, soft_labels.inter_class)
    ),
    Case(
        soft_labels.SoftChannelLabels,
        lambda s: {"channels": s.channels, "classes": s.classes},
        lambda term, s: term(maps(s), labels(s)),
    ),
    Case(method.gate, lambda s: {"mutual": vectors(s), "x": vectors(s)}),
    Case(method.interact, lambda s: dict.fromkeys(("x1", "x2", "g1", "g2"), vectors(s))),
    Case(method.score_ranking, lambda s: {"self_scores": numbers(s.images), "other_scores": numbers(s.images)}),
    *(
        Case(
            ApiInteraction,
            lambda s, options=options: {"width": s.channels, **options},
            lambda part, s: part(vectors(s), labels(s), Linear(s.channels, s.classes)),
        )
        for options in ({}, {"intra": None, "inter": None}, {"gate": "single", "mates": 2}, {"mutual": "individual"})
    ),
    Case(ApiNet, lambda s: {"classifier": whole(s), "criterion": CrossEntropy(), "width": 12}, step),
    Case(mutual.dropped, lambda s: {"values": vectors(s), "purpose": "a", "dropout": 0.5, "draws": Draws(0)}),
    Case(
        mutual.TwoLayers,
        lambda s: {"inputs": s.channels, "outputs": s.channels, "dropout": 0.5},
        lambda layer, s: layer(vectors(s), Draws(0)),
    ),
    *(Case(kind, dropping, of_pairs) for kind in (mutual.Mlp, mutual.Individual, mutual.WeightAttention)),
    Case(mutual.CompactBilinear, width, of_pairs),
    *(Case(kind, lambda s: {}, of_pairs) for kind in (mutual.SubtractSquare, mutual.Sum, mutual.Product)),
    Case(mutual.make_mutual, lambda s: {"operation": "mlp", **dropping(s)}, of_pairs),
    *(
        Case(kind, lambda s: {"x": maps(s).flatten(2)})
        for kind in (interaction.channel_weights, interaction.self_channel_interaction)
    ),
    Case(interaction.weighted, lambda s: {"rows": maps(s).flatten(2).mT, "weights": weights(s)}),
    Case(interaction.window_averages, lambda s: {"maps": maps(s)}),
    Case(
        SelfChannelInteraction,
        lambda s: {"channels": s.channels},
        lambda neck, s: (neck(maps(s)), neck.pooled(maps(s)), neck.interact(maps(s)).z),
    ),
    Case(contrastive.contrast_weights, lambda s: {"w_a": weights(s), "w_b": weights(s), "eta": numbers(s.images)}),
    Case(
        contrastive.pair_contrastive,
        lambda s: {"h_a": vectors(s), "h_b": vectors(s), "same": mask(s.images)},
    ),
    Case(contrastive.triplet, lambda s: dict.fromkeys(("h_a", "h_b"), numbers(2 * s.images, s.channels))),
    Case(
        contrastive.contrasted,
        lambda s: {
            "weights": weights(s),
            "rows": maps(s).flatten(2).mT,
            "eta": numbers(2, s.images // 2),
            "pairs": torch.arange(s.images // 2 * 2).view(2, -1),
            "operation": "subtract",
            "lower": torch.float32,
        },
    ),
    *(
        Case(
            contrastive.ContrastiveChannelInteraction,
            lambda s, options=options: {"channels": s.channels, **options},
            contrast,
        )
        for options in (
            {},
            {"pairs": "all", "operation": "concatenate"},
            {"loss": "triplet"},
            {"pairs": "hard", "operation": "none"},
            {"positions": 16, "normalise": True},
        )
    ),
    Case(attention.top_entropy, lambda s: {"logits": logits(s)}),
    Case(
        attention.combined,
        lambda s: {"maps": numbers(s.images, s.classes, 4, 4), "entropy": numbers(s.images), "threshold": 0.2},
    ),
    Case(attention.rounding_of, lambda s: {"maps": maps(s)}),
    Case(attention.min_max, lambda s: {"maps": responses(s), "rounding": numbers(s.images)}),
    Case(
        attention.response_map,
        lambda s: {"class_maps": numbers(s.images, s.classes, 4, 4), "logits": logits(s)},
    ),
    Case(attention.saliency_map, lambda s: {"scores": responses(s)}),
    Case(attention.local_peaks, lambda s: {"response": responses(s)}),
    Case(
        attention.partition,
        lambda s: {"response": responses(s), "peaks": mask(s.images, 4, 4), "draws": responses(s)},
    ),
    Case(attention.extremes, lambda s: {"response": responses(s), "peaks": mask(s.images, 4, 4)}),
    Case(
        attention.sparse_attention,
        lambda s: {"response": responses(s), "peaks": mask(s.images, 4, 4), "beta": 3.0},
    ),
    Case(sampler.displacement, lambda s: {"attention": responses(s)}),
    Case(sampler.displacement, lambda s: {"attention": responses(s), "kernel": numbers(7, 7)}),
    Case(sampler.gaussian_kernel, lambda s: {"height": 4, "width": 5}),
    *(
        Case(kind, lambda s: {"attention": responses(s), "size": 8})
        for kind in (sampler.sampling_grid, sampler.inverse_grid)
    ),
    Case(sampler.resample, lambda s: {"pictures": maps(s), "grid": numbers(s.images, 4, 4, 2)}),
    Case(sampler.enlarged, lambda s: {"maps": maps(s), "size": 8}),
    *(
        Case(S3N, lambda s, options=options: {"classifier": whole(s), **options}, step)
        for options in ({}, {"partition": "random"}, {"attention": "saliency", "branches": "OD"})
    ),
    Case(
        multi_attention.MultiExcitation, lambda s: {"channels": s.channels, "width": 4}, lambda pool, s: pool(maps(s))
    ),
    Case(
        multi_attention.n_pair,
        lambda s: {"features": numbers(s.images, 2, s.channels), "labels": labels(s), "photos": torch.arange(s.images)},
    ),
    Case(multi_attention.MultiAttentionMultiClass, lambda s: {}, lambda term, s: term(vectors(s), labels(s))),
    Case(triplet_network.distance_ratio, lambda s: {"near": numbers(s.images), "far": numbers(s.images)}),
    *(
        Case(triplet_network.Triplet, lambda s, form=form: {"form": form}, lambda term, s: term(vectors(s), labels(s)))
        for form in ("ratio", "margin")
    ),
    Case(pairs.root, lambda s: {"squared": numbers(s.images)}),
    Case(anchors.levels_of, lambda s: {"height": 4, "width": 5}),
    Case(anchors.anchor_boxes, lambda s: {"size": (64, 48), "positions": (4, 3), "like": logits(s)}),
    Case(anchors.overlap, lambda s: {"boxes": boxes(s.images), "others": boxes(5)}),
    Case(anchors.propose, lambda s: {"scores": numbers(s.images, 7), "boxes": boxes(7), "count": 3}),
    Case(anchors.crop_grid, lambda s: {"boxes": boxes(s.images, 3), "size": (12, 12), "side": 4}),
    Case(anchors.crops, lambda s: {"images": maps(s), "grid": numbers(s.images, 3, 4, 4, 2)}),
    Case(ranking.Navigator, lambda s: {"channels": s.channels}, lambda layer, s: layer(maps(s))),
    Case(ranking.score_map, lambda s: {"scores": numbers(s.images, 6 * 4 + 6 + 9), "height": 2, "width": 2}),
    Case(ranking.ranking_loss, lambda s: {"scores": numbers(s.images, 6), "losses": numbers(s.images, 6)}),
    Case(nts.dropped, lambda s: {"values": vectors(s), "numbers": vectors(s), "dropout": 0.5}),
    Case(NTS, lambda s: {"classifier": whole(s), "criterion": None, "channels": 12, "width": 12}, step),
    Case(plain.Plain, lambda s: {"classifier": whole(s), "criterion": CrossEntropy()}, step),
    *(
        Case(class_maps.class_response_maps, lambda s, of=of: {"maps": maps(s), "weight": of(s)})
        for of in (lambda s: numbers(s.classes, s.channels), lambda s: numbers(s.images, 2, s.channels))
    ),
    Case(bilinear_cnn.outer_products, lambda s: {"maps": maps(s)}),
    Case(bilinear_cnn.signed_root, lambda s: {"values": vectors(s)}),
    *(
        Case(kind, lambda s: {"channels": s.channels}, lambda part, s: part.eval()(maps(s)))
        for kind in (
            bilinear_cnn.Bilinear,
            bilinear_cnn.CompactBilinearPool,
            generalized_non_local.GeneralizedNonLocal,
            non_local.NonLocal,
            squeeze_excitation.SqueezeExcitation,
        )
    ),
    Case(squeeze_excitation.squeezed, lambda s: {"maps": maps(s)}),
    Case(
        generalized_non_local.generalized_attention,
        lambda s: dict.fromkeys(("theta", "phi", "g"), maps(s)) | {"groups": 2},
    ),
    Case(focal_loss.focal_loss, lambda s: {"log_probabilities": logits(s).log_softmax(1)}),
    Case(focal_loss.FocalLoss, lambda s: {"smoothing": 0.1}, lambda part, s: part(logits(s), labels(s))),
    Case(
        center_loss.center_steps,
        lambda s: {"embeddings": vectors(s), "labels": labels(s), "centers": numbers(s.classes, s.channels)},
    ),
    Case(
        center_loss.CenterLoss,
        lambda s: {"classes": s.classes, "width": s.channels},
        lambda term, s: term(vectors(s), labels(s)),
    ),
    Case(angular_softmax.psi, lambda s: {"cosine": vectors(s), "m": 4}),
    Case(congenerous_cosine.least_scale, lambda s: {"classes": s.classes}),
    *(
        Case(kind, lambda s: {"width": s.channels, "classes": s.classes}, margin)
        for kind in (
            angular_softmax.AngularSoftmax,
            congenerous_cosine.CongenerousCosine,
            gaussian_mixture.GaussianMixture,
            large_margin_cosine.LargeMarginCosine,
        )
    ),
    Case(
        gaussian_mixture.squared_distances,
        lambda s: {
            "embedding": vectors(s),
            **dict.fromkeys(("means", "log_variances"), numbers(s.classes, s.channels)),
        },
    ),
    Case(gaussian_mixture.GaussianLikelihood, lambda s: {"weight": 0.1}, lambda term, s: term(logits(s), labels(s))),
    *(Case(kind, lambda s: {}, lambda pool, s: pool(maps(s))) for kind in (classifier.Average, classifier.Maximum)),
    Case(Linear, lambda s: {"width": s.channels, "classes": s.classes}, lambda head, s: head(vectors(s))),
    *(
        Case(CrossEntropy, of, lambda part, s: part(logits(s), labels(s)))
        for of in (
            lambda s: {"smoothing": 0.1},
            lambda s: {"adjust": True, "counts": torch.arange(1, s.classes + 1)},
        )
    ),
    Case(pairs.halves, lambda s: {"count": s.images, "order": torch.randperm(s.images), "like": logits(s)}),
    Case(pairs.mine_pairs, lambda s: {"embeddings": vectors(s), "labels": labels(s), "rows": torch.arange(s.images)}),
    Case(pairs.random_pairs, lambda s: {"labels": labels(s), "count": 5, "draws": Draws(0)}),
    Case(
        pairs.different,
        lambda s: {"images": s.images, **dict.fromkeys(("anchor", "mate", "rows"), torch.arange(s.images))},
    ),
    Case(
        sketch.TensorSketch,
        lambda s: {"inputs": s.channels, "outputs": s.channels},
        lambda part, s: part(vectors(s), vectors(s)),
    ),
]
