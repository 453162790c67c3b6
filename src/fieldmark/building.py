"""From a recipe's data to the modules that it describes: here, and only here, a part's name becomes a class."""

import importlib
import inspect
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import torch
from torch import Tensor, nn

from fieldmark.core.backbone import make_backbone
from fieldmark.core.classifier import Classifier
from fieldmark.core.contract import Method, Term
from fieldmark.core.criterion import Criterion
from fieldmark.core.learner import Learner
from fieldmark.errors import UserError, printable
from fieldmark.plain import Finite, did_you_mean, from_plain, shown
from fieldmark.recipe import Model, Part, Recipe, external_name
from fieldmark.recipes import MODULES

Classes = Mapping[str, type]
"""Classes from elsewhere that the user has named, by their names in a recipe, "package.module:Class"."""
_OF_TERMS = ("channels", "classes")
_OF_METHODS = ("classifier", "criterion", *_OF_TERMS, "width")
GIVEN = {
    "neck": _OF_TERMS,
    "pool": _OF_TERMS,
    "head": (*_OF_TERMS, "width"),
    "criterion": ("classes", "counts"),
    "method": _OF_METHODS,
    "term": _OF_TERMS,
}
"""What is filled in at each place where its constructor asks for it."""


def classes_named(names: Iterable[str | type]) -> Classes:
    """What ``external`` holds: classes, or their names, which are imported here, also from the working folder.

    Raises:
        UserError: no such module or class.
    """
    return {name if isinstance(name, str) else external_name(name): _imported(name) for name in names}


def _imported(name: str | type) -> type:
    if isinstance(name, type):
        return name
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        value: Any = importlib.import_module(module)
        for step in attribute.split("."):
            value = getattr(value, step)
    except (ImportError, AttributeError, TypeError, ValueError, SyntaxError) as error:
        raise UserError(f"{printable(name)}: {error}; a class from elsewhere is named package.module:Class") from error
    finally:
        sys.path.remove(here)
    if not isinstance(value, type):
        raise UserError(f"{printable(name)} is not a class")
    return value


def class_of(part: Part, external: Classes) -> type:
    """The class that a part's name stands for.

    Raises:
        UserError: no part of that name, or a class from elsewhere that ``external`` does not have.
    """
    if part.name in external:
        return external[part.name]
    if ":" in part.name:
        name = printable(part.name)
        raise UserError(f"{name} is a class from elsewhere; name it again to use it (--external {name})")
    if part.name not in MODULES:
        raise UserError(f"there is no part {shown(part.name)}; {did_you_mean(part.name, MODULES)}")
    return getattr(importlib.import_module(MODULES[part.name]), part.name)


def parts_of(model: Model) -> Iterator[tuple[str, Part]]:
    """The parts of a model, each with its place."""
    if model.neck:
        yield "neck", model.neck
    yield from (("pool", model.pool), ("head", model.head), ("criterion", model.criterion), ("method", model.method))
    yield from (("term", term) for term in model.terms)


def refuse_parts(model: Model, external: Classes) -> None:
    """Looks at the names and options of all parts; no network is built and no weights are read.

    Raises:
        UserError: a name that stands for nothing, or an option that a part does not have or that does not fit.
    """
    for place, part in parts_of(model):
        check_part(part, GIVEN[place], place=place, external=external)


def build_classifier(
    model: Model, *, classes: int, size: int, weights: str, external: Classes | None = None
) -> Classifier:
    """Backbone ► neck ► pool ► head.

    Args:
        model: the recipe's part.
        classes: C.
        size: pixels a side of the images.
        weights: where the backbone starts from; "none" where saved tensors follow.
        external: classes from elsewhere that parts may name.

    Raises:
        UserError: parts that do not fit each other.
    """
    build = partial(build_part, external=external or {})
    backbone = make_backbone(model.backbone, weights=weights, size=size)
    context = {"channels": backbone.channels, "classes": classes}
    neck = build(model.neck, context, place="neck") if model.neck else nn.Identity()
    maps = _tried(neck, torch.zeros(1, backbone.channels, 2, 2), place="neck", dimensions=4)
    context["channels"] = maps.shape[1]
    pool = build(model.pool, context, place="pool")
    context["width"] = _tried(pool, maps, place="pool", dimensions=2).shape[1]
    head = build(model.head, context, place="head")
    logits = _tried(head, torch.zeros(1, context["width"]), place="head", dimensions=2)
    if logits.shape[1] != classes:
        raise UserError(f"{type(head).__name__} as head gives {logits.shape[1]} scores per image, not {classes}")
    return Classifier(backbone, neck=neck, pool=pool, head=head, classes=classes)


def build_part(part: Part, context: Mapping[str, Any], *, place: str, external: Classes) -> Any:
    """An instance of a part, with what its constructor asks for out of ``context``.

    Raises:
        UserError: what ``check_part`` refuses.
    """
    kind = check_part(part, context, place=place, external=external)
    return kind(**{name: context[name] for name in _parameters(kind) if name in context}, **part.options)


def check_part(part: Part, given: Collection[str], *, place: str, external: Classes) -> type:
    """Looks at a part's name and options, without building it, and returns its class.

    Args:
        part: what is to stand at a place.
        given: what the place fills in.
        place: a key of ``GIVEN``.
        external: classes from elsewhere that parts may name.

    Raises:
        UserError: an unknown name or option, an option of another type, or a missing one.
    """
    kind, name = class_of(part, external), part.name
    parameters = _parameters(kind)
    options = [key for key in parameters if key not in given]
    if unknown := [key for key in part.options if key not in options]:
        raise UserError(f"{name} has no option {shown(unknown[0])}; {did_you_mean(unknown[0], options)}")
    for key, parameter in parameters.items():
        if key in part.options:
            _check_option(part.options[key], parameter.annotation, where=f"the option {key} of {name}")
        elif key not in given and parameter.default is parameter.empty:
            raise UserError(f"{name} cannot stand as {place}: it needs the option {key!r}")
    return kind


def _parameters(kind: type) -> dict[str, inspect.Parameter]:
    """What a constructor can be given by name."""
    parameters = inspect.signature(kind).parameters.items()
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in parameters if parameter.kind in by_name}


def _check_option(value: object, annotation: Any, *, where: str) -> None:
    """Options come from a command line or a file; those with a plain annotation are held to it."""
    if get_origin(annotation) in (Literal, Annotated) or annotation in (int, float, bool, str):
        wanted: Any = Finite if annotation is float else annotation
        from_plain(value, wanted, where=where)


def _tried(module: Any, example: Tensor, *, place: str, dimensions: int) -> Tensor:
    """What a part makes of an example; the reason in one line where it cannot."""
    name = type(module).__name__
    if not isinstance(module, nn.Module):
        raise UserError(f"{name} cannot stand as {place}: it is not a torch.nn.Module")
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
        counts: (C,) photos per class in training, needed by a criterion that adjusts to them; None: as many of each.
        weights: in place of the recipe's, "none" where saved tensors follow.
        external: classes from elsewhere that parts may name.

    Raises:
        UserError: parts that do not fit each other, or batch-wide ones under gradient accumulation.
    """
    torch.manual_seed(recipe.seed)
    model, build = recipe.model, partial(build_part, external=external or {})
    classifier = build_classifier(
        model, classes=classes, size=recipe.pixels.size, weights=weights or model.weights, external=external
    )
    # a class without a photo would have the prior 0, whose logarithm no loss survives
    counts = torch.ones(classes) if counts is None else counts.clamp_min(1)
    context = {"classifier": classifier, "classes": classes, "channels": classifier.backbone.channels}
    criterion = build(model.criterion, {"classes": classes, "counts": counts}, place="criterion")
    if not isinstance(criterion, Criterion):
        raise UserError(f"{model.criterion.name} is not a criterion: see fieldmark.core.criterion.Criterion")
    context["criterion"] = criterion
    context["width"] = _width(classifier)
    method = build(model.method, context, place="method")
    if not isinstance(method, Method):
        raise UserError(f"{model.method.name} is not a Method: see fieldmark.core.contract.Method")
    of_terms = {key: context[key] for key in GIVEN["term"]}
    learner = Learner(method, [_term(build(part, of_terms, place="term"), part) for part in model.terms])
    if recipe.accumulate > 1 and learner.batch_wide:
        raise UserError(
            "gradient accumulation changes which images a method or term that compares images of a batch sees:\n"
            "use --accumulate 1 and a smaller batch or image"
        )
    return learner


def _term(module: Any, part: Part) -> Term:
    if not isinstance(module, Term):
        raise UserError(f"{part.name} is not a Term: see fieldmark.core.contract.Term")
    return module
