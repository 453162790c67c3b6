"""From a recipe's data to the modules that it describes."""

from typing import Any

import torch
from torch import Tensor

from fieldmark.backbone import make_backbone
from fieldmark.classifier import Classifier
from fieldmark.contract import Method, Term
from fieldmark.criterion import Criterion
from fieldmark.errors import UserError
from fieldmark.learner import Learner
from fieldmark.recipe import Model, Part, Recipe


def build_classifier(model: Model, *, classes: int, size: int, weights: str) -> Classifier:
    """Backbone ► neck ► pool ► head.

    Args:
        model: the recipe's part.
        classes: C.
        size: pixels a side of the images.
        weights: where the backbone starts from; "none" where saved tensors follow.

    Raises:
        UserError: parts that do not fit each other.
    """
    backbone = make_backbone(model.backbone, weights=weights, size=size)
    context = {"channels": backbone.channels, "classes": classes}
    neck = model.neck.build(context) if model.neck else torch.nn.Identity()
    with torch.no_grad():
        channels = neck.eval()(torch.zeros(1, backbone.channels, 2, 2)).shape[1]
    neck.train()
    context["channels"] = channels
    pool = model.pool.build(context)
    context["width"] = pool.width(channels)
    return Classifier(backbone, neck=neck, pool=pool, head=model.head.build(context), classes=classes)


def build_learner(
    recipe: Recipe, *, classes: int, counts: Tensor | None = None, weights: str | None = None
) -> Learner:
    """The method with its terms, seeded with the recipe's seed.

    Args:
        recipe: what to build.
        classes: C.
        counts: (C,) photos a class in training, needed where ``balance`` is "logit-adjust".
        weights: in place of the recipe's, "none" where saved tensors follow.

    Raises:
        UserError: parts that do not fit each other, or batch-wide ones under gradient accumulation.
    """
    torch.manual_seed(recipe.seed)
    size = recipe.pixels.size
    weights = recipe.model.weights if weights is None else weights
    classifier = build_classifier(recipe.model, classes=classes, size=size, weights=weights)
    adjusted = counts if recipe.balance == "logit-adjust" else None
    criterion = Criterion(smoothing=recipe.smoothing, counts=adjusted)
    context = {"classifier": classifier, "criterion": criterion, "classes": classes}
    context["channels"] = classifier.backbone.channels
    method = recipe.model.method.build(context)
    if not isinstance(method, Method):
        raise UserError(f"{recipe.model.method.kind.__name__} is no Method: see fieldmark.contract.Method")
    learner = Learner(method, [_build_term(part, context) for part in recipe.model.terms])
    if recipe.accumulate > 1 and learner.batch_wide:
        raise UserError(
            "gradient accumulation changes which images a method or term that compares images of a batch sees:\n"
            "use --accumulate 1 and a smaller batch or image"
        )
    return learner


def _build_term(part: Part, context: dict[str, Any]) -> Term:
    own = {key: value for key, value in context.items() if key in ("classes", "channels")}
    term = part.build(own)
    if not isinstance(term, Term):
        needed = "check, batch_wide and a call, see fieldmark.contract.Term"
        raise UserError(f"{part.kind.__name__} is no Term: it needs {needed}")
    return term
