"""Where the score of a class comes from, and where that of one class rather than another: any method, any backbone.

By default two layers answer together. The last maps know what they see, but a field mark is smaller than one of their
positions; an earlier stage sees finer, but each of its positions knows little. So the heatmap is Grad-CAM on the last
maps times the involvement of the stage whose positions are half as far apart, smoothed over one of them. Both come from
one forward and one backward pass.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fieldmark.core.class_maps import class_response_maps
from fieldmark.core.classifier import Average
from fieldmark.core.contract import Method
from fieldmark.core.evidence import Evidence
from fieldmark.core.recording import MAPS, finer_layer, recorded
from fieldmark.errors import UserError
from fieldmark.explanations.maps import enlarged, grad_cam, involvement, returned, scaled, smoothed

AUTO, RESPONSE = "auto", "response"
GAMMA = 1.0
"""Of the other class's logit."""
CELL = 4
"""Pixels of the image per cell of a heatmap."""


class Question(NamedTuple):
    """Why these classes (B,) long; or, with ``against`` (B,) long, why these rather than those."""

    classes: Tensor
    against: Tensor | None = None


class Looked(NamedTuple):
    """What a method says of images, and why.

    ``evidence`` is the method's own; ``heatmaps`` (B, h, w), one for each of ``questions``, lie in [0, 1], over the
    whole image; ``strengths`` (B,) are what 1 stands for, which can be compared between questions of one kind.
    """

    evidence: Evidence
    questions: tuple[Question, ...]
    heatmaps: tuple[Tensor, ...]
    strengths: tuple[Tensor, ...]


def _looked(evidence: Evidence, questions: tuple[Question, ...], raw: Sequence[Tensor]) -> Looked:
    strengths = tuple(heatmap.clamp_min(0).flatten(1).amax(1) for heatmap in raw)
    return Looked(evidence, questions, tuple(map(scaled, raw)), strengths)


def answer_and_rival(logits: Tensor) -> list[Question]:
    """Why the likeliest class, and why it rather than the next: of logits (B, C)."""
    first, second = logits.topk(2, 1).indices.unbind(1)
    return [Question(first), Question(first, second)]


def look(
    method: Method,
    images: Tensor,
    ask: Callable[[Tensor], Sequence[Question]] = answer_and_rival,
    *,
    gamma: float = GAMMA,
    layer: str = AUTO,
) -> Looked:
    """Where classes' scores come from, in one forward pass, and one backward pass for each question.

    Args:
        method: in eval mode.
        images: normalised, (B, 3, H, W).
        ask: what to ask, given the logits (B, C).
        gamma: "rather than" is of logit - gamma * other logit.
        layer: "auto" as described above; "maps", "stage4" or a submodule's path for Grad-CAM there; "response" for
            class-response maps.

    Raises:
        UserError: there is no such layer, it gives no maps, or scores are no sum over positions.
    """
    with torch.inference_mode(False):
        size = (images.shape[2] // CELL, images.shape[3] // CELL)
        images = images.clone() if images.is_inference() else images
        if layer == RESPONSE:
            return _responses(method, images, ask, gamma=gamma, size=size)
        finer = finer_layer(method.classifier.backbone) if layer == AUTO else None
        layers = [MAPS if layer == AUTO else layer, *([finer] if finer else [])]
        with recorded(method.classifier.backbone, layers) as recording:
            evidence = method.evidence(images)
            questions = tuple(ask(evidence.logits.detach()))
            scores = [_score(evidence.logits, question, gamma).sum() for question in questions]
            gradients = [recording.gradients(score) for score in scores]
        evidence, maps = evidence.detached(), {name: recording.maps(name) for name in layers}
        views = tuple(evidence.views.values())
        with torch.no_grad():
            return _looked(evidence, questions, [_heatmap(maps, each, views, size=size) for each in gradients])


def _heatmap(
    maps: dict[str, Tensor], gradients: dict[str, Tensor], views: Sequence[Tensor], *, size: tuple[int, int]
) -> Tensor:
    """Grad-CAM of the first layer, times the involvement of a second if there is one; with signs."""
    over_image = partial(_over_image, views=views, size=size)
    (coarse, *finer) = maps
    heatmap = over_image(grad_cam(maps[coarse], gradients[coarse]))
    for name in finer:
        fine = involvement(maps[name], gradients[name])
        heatmap = heatmap * smoothed(over_image(fine), size[0] / fine.shape[1])
    return heatmap


def _score(values: Tensor, question: Question, gamma: float) -> Tensor:
    """Of logits (B, C) or maps (B, C, h, w): (B,) or (B, h, w)."""
    rows = torch.arange(len(values), device=values.device)
    score = values[rows, question.classes]
    return score if question.against is None else score - gamma * values[rows, question.against]


def _over_image(heatmaps: Tensor, *, views: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """The heatmap of the image and those of its resampled views, (1 + V) * B rows, put together: (B, H, W)."""
    whole, *others = enlarged(heatmaps, size).unflatten(0, (1 + len(views), -1))
    return whole + sum(returned(other, grid) for other, grid in zip(others, views, strict=True))


def _responses(
    method: Method, images: Tensor, ask: Callable[[Tensor], Sequence[Question]], *, gamma: float, size: tuple[int, int]
) -> Looked:
    """Class-response maps, which add up to the score."""
    classifier, head = method.classifier, method.classifier.head
    is_own = type(method).forward is Method.forward  # the classifier's
    if not (is_own and isinstance(head, nn.Linear) and isinstance(classifier.pool, Average)):
        raise UserError(f"--layer {RESPONSE}: this network's scores are no sum over positions; leave it out")
    with torch.no_grad():
        evidence = method.evidence(images)
        refined = classifier.features_of(classifier.backbone(images)).refined
        assert refined is not None, "asked for"
        maps, questions = class_response_maps(refined, head.weight), tuple(ask(evidence.logits))
        return _looked(evidence, questions, [enlarged(_score(maps, each, gamma), size) for each in questions])
