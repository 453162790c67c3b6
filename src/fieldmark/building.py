"""Builds the modules that a recipe describes: only here does a part's name become a class."""

import importlib
import inspect
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fieldmark.batches import Shuffled
from fieldmark.core.classifier import Classifier
from fieldmark.core.contract import Method, Term
from fieldmark.core.criterion import Criterion
from fieldmark.core.inputs import refuse_option
from fieldmark.core.learner import Learner
from fieldmark.core.networks import make_backbone
from fieldmark.core.weights import neck_of_run
from fieldmark.errors import UserError, printable
from fieldmark.plain import did_you_mean, several, shown
from fieldmark.recipe import External, Model, Part, Recipe, external_name
from fieldmark.recipes import PARTS
from fieldmark.recipes.naming import refuse_unknown

Classes = Mapping[str, type]
"""Classes of the user's own, by their names in a recipe, "package.module:Class"."""
_OF_TERMS = ("channels", "classes")
_OF_METHODS = ("classifier", "criterion", *_OF_TERMS, "width")
GIVEN = {
    "neck": _OF_TERMS,
    "pool": (*_OF_TERMS, "first"),
    "head": (*_OF_TERMS, "width"),
    "criterion": ("classes", "counts"),
    "method": _OF_METHODS,
    "term": (*_OF_TERMS, "width"),
}
"""What the builder passes to a part at each place, if its constructor takes it."""
_BASES: Mapping[str, type] = {"criterion": Criterion, "method": Method, "term": Term}


def classes_named(names: External) -> Classes:
    """The classes of the user's own by name; names are imported, from the working folder too.

    Raises:
        UserError: an unknown module or class.
    """
    return {name if isinstance(name, str) else external_name(name): _imported(name) for name in several(names)}


def _imported(name: str | type) -> type:
    if isinstance(name, type):
        return name
    module, _, attribute = name.partition(":")
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        value: Any = importlib.import_module(module)
        for step in attribute.split("."):
            value = getattr(value, step)
    except (ImportError, AttributeError, TypeError, ValueError, SyntaxError) as error:
        raise UserError(f"{printable(name)}: {error}; a class of your own is named package.module:Class") from error
    finally:
        sys.path.remove(folder)
    if not isinstance(value, type):
        raise UserError(f"{printable(name)} is not a class")
    return value


def class_of(part: Part, external: Classes, *, place: str) -> type:
    """The class that a part's name stands for.

    Args:
        part: what stands at the place.
        external: classes of the user's own that parts may name.
        place: a key of ``GIVEN``.

    Raises:
        UserError: no part of that name for the place, or a class of the user's own that ``external`` lacks.
    """
    if part.name in external:
        return external[part.name]
    if ":" in part.name:
        name = printable(part.name)
        raise UserError(f"{name} is not a class of Fieldmark's; name it again to use it (--external {name})")
    refuse_unknown(place, part)
    return getattr(importlib.import_module(PARTS[place][part.name]), part.name)


def refuse_parts(recipe: Recipe, external: Classes) -> None:
    """Checks the names and options of all parts; no network is built and no weights are read.

    Raises:
        UserError: an unknown name or option, an option of the wrong type, or batch-wide parts under gradient
            accumulation.
    """
    kinds = [check_part(part, place=place, external=external) for place, part in recipe.model.parts]
    batch_wide = [kind for kind in kinds if getattr(kind, "batch_wide", False)]
    if recipe.accumulate > 1 and batch_wide:
        _refuse_pieces(recipe, batch_wide)


def _refuse_pieces(recipe: Recipe, batch_wide: Sequence[type]) -> None:
    """Raises ``UserError`` unless pieces of a batch mean the same as the whole where its images are compared."""
    in_pieces = all(getattr(kind, "in_pieces", False) for kind in batch_wide)
    if not (in_pieces and isinstance(recipe.batches, Shuffled)):
        raise UserError(
            "this method or term compares images of a batch, and gradient accumulation would change which:\n"
            "use --micro-batch in place of --accumulate: its losses are those of the whole batch"
        )
    size = recipe.batches.size
    if (piece := math.ceil(size / recipe.accumulate)) % 2:
        raise UserError(
            f"pairs are formed in each piece of a batch, and the last photo of {piece} would have no partner:\n"
            f"use --micro-batch in place of --accumulate, or divide the batch of {size} into pieces of an even number"
        )


def build_classifier(
    model: Model, *, classes: int, size: int, weights: str, external: Classes | None = None
) -> Classifier:
    """Backbone ► neck ► pool ► head.

    Args:
        model: of the recipe.
        classes: C.
        size: height and width of the network's input, in pixels.
        weights: initial weights of the backbone; "none" if saved tensors follow.
        external: classes of the user's own that parts may name.

    Raises:
        UserError: parts that do not fit together.
    """
    build = partial(build_part, external=external or {})
    backbone = make_backbone(model.backbone, weights=weights, size=size, output_stride=model.output_stride)
    context = {"channels": backbone.channels, "classes": classes}
    neck = build(model.neck, context, place="neck") if model.neck else nn.Identity()
    known = neck_of_run(weights, model.neck.name) if model.neck else {}
    if known and {key: value.shape for key, value in known.items()} == {
        k: v.shape for k, v in neck.state_dict().items()
    }:
        neck.load_state_dict(known)
        backbone.note = backbone.note.replace("the backbone of a run", "backbone and neck of a run")
    maps = _tried(neck, torch.zeros(1, backbone.channels, 2, 2), place="neck", dimensions=4)
    context["channels"] = maps.shape[1]
    context["first"] = backbone.first if context["channels"] == backbone.channels else 0
    pool = build(model.pool, context, place="pool")
    context["width"] = _tried(pool, maps, place="pool", dimensions=2).shape[1]
    head = build(model.head, context, place="head")
    logits = _tried(head, torch.zeros(1, context["width"]), place="head", dimensions=2)
    if logits.shape[1] != classes:
        raise UserError(f"{type(head).__name__} as head gives {logits.shape[1]} scores per image, not {classes}")
    return Classifier(backbone, neck=neck, pool=pool, head=head, classes=classes)


def build_part(part: Part, context: Mapping[str, Any], *, place: str, external: Classes) -> Any:
    """An instance of a part, given what its constructor takes from ``context``.

    Raises:
        UserError: what ``check_part`` refuses.
    """
    kind = check_part(part, place=place, external=external)
    return kind(**{name: context[name] for name in _parameters(kind) if name in GIVEN[place]}, **part.options)


def check_part(part: Part, *, place: str, external: Classes) -> type:
    """Checks a part's name and options, without building it, and returns its class.

    Args:
        part: to check.
        place: a key of ``GIVEN``.
        external: classes of the user's own that parts may name.

    Raises:
        UserError: an unknown name or option, an option of the wrong type, a missing one, or a class of another kind.
    """
    kind, name = class_of(part, external, place=place), part.name
    given, base = GIVEN[place], _BASES.get(place, object)
    if not issubclass(kind, base):
        raise UserError(f"{name} is not a {base.__name__}: see {base.__module__}.{base.__name__}")
    parameters = _parameters(kind)
    options = [key for key in parameters if key not in given]
    if unknown := [key for key in part.options if key not in options]:
        raise UserError(f"{name} has no option {shown(unknown[0])}; {did_you_mean(unknown[0], options)}")
    for key, parameter in parameters.items():
        if key in part.options:
            refuse_option(part.options[key], parameter.annotation, where=f"the option {key} of {name}")
        elif key not in given and parameter.default is parameter.empty:
            raise UserError(f"{name} cannot serve as {place}: it needs the option {key!r}")
    return kind


def is_per_class(part: Part, *, place: str, external: Classes) -> bool:
    """Whether a part is made for a number of classes."""
    return "classes" in _parameters(class_of(part, external, place=place))


def widened(model: Model, *, classes: int, external: Classes) -> Model:
    """The model for a network that gets further classes after training, so that all else keeps its size.

    Terms that are made for a number of classes are left out, as they matter in training alone. A neck whose size
    depends on it says by ``same_size(options, classes)`` with which options it has the size that it has now.

    Args:
        model: of the recipe.
        classes: C, before.
        external: classes of the user's own that parts may name.
    """
    terms = tuple(term for term in model.terms if not is_per_class(term, place="term", external=external))
    neck = model.neck
    if neck and (same_size := getattr(class_of(neck, external, place="neck"), "same_size", None)):
        neck = Part(neck.name, same_size(neck.options, classes))
    return replace(model, terms=terms, neck=neck)


def _parameters(kind: type) -> dict[str, inspect.Parameter]:
    """The parameters of a constructor that can be passed by name."""
    parameters = inspect.signature(kind).parameters.items()
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in parameters if parameter.kind in by_name}


def _tried(module: Any, example: Tensor, *, place: str, dimensions: int) -> Tensor:
    """A part's output for an example; raises ``UserError`` with the reason in one line if it cannot."""
    name = type(module).__name__
    if not isinstance(module, nn.Module):
        raise UserError(f"{name} cannot serve as {place}: it is not a torch.nn.Module")
    try:
        with torch.no_grad():
            output = module.eval()(example)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{name} cannot serve as {place}: {reason}") from error
    module.train()
    if not isinstance(output, Tensor) or output.ndim != dimensions or len(output) != len(example):
        raise UserError(f"{name} cannot serve as {place}: it must return one tensor of {dimensions} dimensions")
    return output


def _width(classifier: Classifier) -> int:
    """E, the width of the embedding that the head gets."""
    example = torch.zeros(1, classifier.backbone.channels, 2, 2)
    maps = _tried(classifier.neck, example, place="neck", dimensions=4)
    return _tried(classifier.pool, maps, place="pool", dimensions=2).shape[1]


def build_learner(
    recipe: Recipe,
    *,
    classes: int,
    counts: Tensor | None = None,
    weights: str | None = None,
    external: Classes | None = None,
) -> Learner:
    """The method with its terms, seeded with the recipe's seed.

    Args:
        recipe: what to build.
        classes: C.
        counts: (C,) photos per class in training, for a criterion that adjusts to them; None: equal for all classes.
        weights: instead of the recipe's, "none" if saved tensors follow.
        external: classes of the user's own that parts may name.

    Raises:
        UserError: parts that do not fit together, or batch-wide ones under gradient accumulation.
    """
    refuse_parts(recipe, external or {})
    torch.manual_seed(recipe.seed)
    model, build = recipe.model, partial(build_part, external=external or {})
    classifier = build_classifier(
        model, classes=classes, size=recipe.pixels.size, weights=weights or model.weights, external=external
    )
    # a class without a photo would have a prior of 0, and its logarithm would make the loss infinite
    counts = torch.ones(classes) if counts is None else counts.clamp_min(1)
    context = {"classifier": classifier, "classes": classes, "channels": classifier.backbone.channels}
    context |= {"counts": counts, "width": _width(classifier)}
    context["criterion"] = build(model.criterion, context, place="criterion")
    method = build(model.method, context, place="method")
    return Learner(method, [build(part, context, place="term") for part in model.terms])
