"""From a recipe's data to the modules that it describes."""

import inspect
from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args, get_origin

import torch
from torch import Tensor, nn

from fieldmark.core.backbone import make_backbone
from fieldmark.core.classifier import Classifier
from fieldmark.core.contract import Method, Term
from fieldmark.core.criterion import Criterion
from fieldmark.core.learner import Learner
from fieldmark.errors import UserError
from fieldmark.recipe import Model, Part, Recipe

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_OF_TERMS = ("channels", "classes")
_OF_METHODS = ("classifier", "criterion", *_OF_TERMS, "width")
GIVEN = {"neck": _OF_TERMS, "pool": _OF_TERMS, "head": (*_OF_TERMS, "width"), "method": _OF_METHODS, "term": _OF_TERMS}
"""What is filled in at each place where its constructor asks for it."""


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
    neck = build_part(model.neck, context, place="neck") if model.neck else nn.Identity()
    maps = _tried(neck, torch.zeros(1, backbone.channels, 2, 2), place="neck", dimensions=4)
    context["channels"] = maps.shape[1]
    pool = build_part(model.pool, context, place="pool")
    context["width"] = _tried(pool, maps, place="pool", dimensions=2).shape[1]
    head = build_part(model.head, context, place="head")
    logits = _tried(head, torch.zeros(1, context["width"]), place="head", dimensions=2)
    if logits.shape[1] != classes:
        raise UserError(f"{type(head).__name__} as head gives {logits.shape[1]} scores an image, not {classes}")
    return Classifier(backbone, neck=neck, pool=pool, head=head, classes=classes)


def build_part(part: Part, context: Mapping[str, Any], *, place: str) -> Any:
    """The part, after a look at whether it can be built at this place with these options.

    Raises:
        UserError: what ``check_part`` refuses.
    """
    check_part(part, context, place=place)
    return part.build(context)


def check_part(part: Part, given: Collection[str], *, place: str) -> None:
    """A look at a part's options, without building it; ``given`` is what the place fills in.

    Raises:
        UserError: something that its constructor needs is not there, or an option is none or has another type.
    """
    name = part.kind.__name__
    for key, parameter in inspect.signature(part.kind).parameters.items():
        if key in part.options:
            _check_option(part.options[key], parameter.annotation, where=f"the option {key} of {name}")
        elif key not in given and parameter.default is parameter.empty and parameter.kind not in _OPEN:
            raise UserError(f"{name} cannot stand as {place}: it needs {key!r}, which is neither there nor given")
    if wrong := [key for key in part.options if key not in part.accepted or key in given]:
        choices = ", ".join(key for key in part.accepted if key not in given) or "none"
        raise UserError(f"{name} has no option {wrong[0]!r}; its options: {choices}")


def _check_option(value: object, annotation: Any, *, where: str) -> None:
    """Options come from a command line or a file; those with a plain annotation are held to it."""
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        if value not in choices:
            raise UserError(f"{where} is {value!r}; choose {', '.join(map(repr, choices))}")
    elif annotation in (int, float, bool, str):
        fits = type(value) is annotation or (annotation is float and type(value) is int)
        if not fits:
            raise UserError(f"{where} is {value!r}; it has to be {_WORDS[annotation]}")


def _tried(module: Any, example: Tensor, *, place: str, dimensions: int) -> Tensor:
    """What a part makes of an example; the reason in one line where it cannot."""
    name = type(module).__name__
    if not isinstance(module, nn.Module):
        raise UserError(f"{name} cannot stand as {place}: it is no torch.nn.Module")
    try:
        with torch.no_grad():
            made = module.eval()(example)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{name} cannot stand as {place}: {reason}") from error
    module.train()
    if not isinstance(made, Tensor) or made.ndim != dimensions or len(made) != len(example):
        raise UserError(f"{name} cannot stand as {place}: it has to give one tensor of {dimensions} dimensions")
    return made


def _width(classifier: Classifier) -> int:
    """E, what the head is given."""
    example = torch.zeros(1, classifier.backbone.channels, 2, 2)
    maps = _tried(classifier.neck, example, place="neck", dimensions=4)
    return _tried(classifier.pool, maps, place="pool", dimensions=2).shape[1]


def build_learner(recipe: Recipe, *, classes: int, counts: Tensor | None = None, weights: str | None = None) -> Learner:
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
    # a class without a photo would have the prior 0, whose logarithm no loss survives
    adjusted = counts.clamp_min(1) if recipe.balance == "logit-adjust" and counts is not None else None
    criterion = Criterion(smoothing=recipe.smoothing, counts=adjusted)
    context = {"classifier": classifier, "criterion": criterion, "classes": classes}
    context["channels"] = classifier.backbone.channels
    context["width"] = _width(classifier)
    method = build_part(recipe.model.method, context, place="method")
    if not isinstance(method, Method):
        raise UserError(f"{recipe.model.method.kind.__name__} is no Method: see fieldmark.core.contract.Method")
    learner = Learner(method, [_build_term(part, context) for part in recipe.model.terms])
    if recipe.accumulate > 1 and learner.batch_wide:
        raise UserError(
            "gradient accumulation changes which images a method or term that compares images of a batch sees:\n"
            "use --accumulate 1 and a smaller batch or image"
        )
    return learner


def _build_term(part: Part, context: dict[str, Any]) -> Term:
    own = {key: context[key] for key in GIVEN["term"]}
    term = build_part(part, own, place="term")
    if not isinstance(term, Term):
        raise UserError(f"{part.kind.__name__} is no Term: see fieldmark.core.contract.Term")
    return term
