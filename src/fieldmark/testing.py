"""Checks that a method or a term of your own keeps the contract of ``fieldmark.core.contract``, on a tiny classifier.

    from fieldmark.testing import check_method
    check_method(MyMethod)

A violation is an ``AssertionError`` whose text says which. All checks run on the CPU in a few seconds.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, get_args

import torch
from torch import Tensor, nn

from fieldmark.building import build_learner, classes_named
from fieldmark.core.contract import Encoded, Method, Term, TrainOutput, Value
from fieldmark.core.draws import EVALUATION, Draws
from fieldmark.core.evidence import Evidence
from fieldmark.core.learner import Learner, total
from fieldmark.errors import UserError
from fieldmark.ops.hostreads import no_reading_back
from fieldmark.recipe import Model, Part, Pixels, Recipe, external_name

__all__ = ["TINY", "check_learner", "check_method", "check_term", "no_reading_back"]

TINY = "test_resnet"
"""timm's smallest ResNet: four blocks, 96 channels."""

_IMAGES = 6
_EVIDENCE = {"branches": 2, "heatmaps": 3, "peaks": 3, "gates": 2, "mates": 1, "views": 4}
"""The dimensions of the tensors in each field of ``Evidence``."""
_PROGRESS = (0.0, 1.0, 1.0, 0.0, 0.0, 1.0)
"""Progress of the steps that look for gradients: late parts may follow a head that starts at zero."""


def check_method(
    kind: type[Method],
    *,
    options: Mapping[str, Any] | None = None,
    backbone: str = TINY,
    classes: int = 7,
    size: int = 64,
) -> None:
    """Builds a method on a small, randomly initialised classifier and checks everything that the contract promises.

    Args:
        kind: the method's class.
        options: for its constructor.
        backbone: any name that ``make_backbone`` takes.
        classes: C.
        size: height and width of the network's input, in pixels.

    Raises:
        AssertionError: the contract is violated; the text says how.
        UserError: the method refuses this classifier or these options.
    """
    _require(isinstance(kind, type) and issubclass(kind, Method), f"{kind!r} is not a subclass of Method")
    model = Model(Part(external_name(kind), options or {}), backbone=backbone, weights="none")
    check_learner(lambda seed: _build(model, classes, size, seed, kind), size=size)
    _check_start(_build(model, classes, size, 0, kind).method.eval(), size)


def check_term(
    kind: type[Term],
    *,
    options: Mapping[str, Any] | None = None,
    neck: Part | None = None,
    backbone: str = TINY,
    classes: int = 7,
    size: int = 64,
) -> None:
    """The same for a term, on the plain classifier.

    Args:
        kind: the term's class.
        options: for its constructor.
        neck: for a term that needs one.
        backbone: any name that ``make_backbone`` takes.
        classes: C.
        size: height and width of the network's input, in pixels.

    Raises:
        AssertionError: the contract is violated; the text says how.
        UserError: the term refuses this classifier or these options.
    """
    _require(isinstance(kind, type) and issubclass(kind, Term), f"{kind!r} is not a subclass of Term")
    _require(isinstance(kind.batch_wide, bool), f"batch_wide is {kind.batch_wide!r}, not True or False")
    unknown = [name for name in kind.reads if name not in get_args(Value)]
    _require(not unknown, f"reads names {unknown}; choose from {', '.join(get_args(Value))}")
    model = Model(backbone=backbone, weights="none", neck=neck, terms=(Part(external_name(kind), options or {}),))
    check_learner(lambda seed: _build(model, classes, size, seed, kind), size=size, export=False)


def check_learner(build: Callable[[int], Learner], *, size: int = 64, export: bool = True) -> None:
    """The checks themselves, for any method with any terms.

    Args:
        build: makes the learner from a seed of its random initial values.
        size: height and width of the network's input, in pixels.
        export: also try ``torch.export``, which takes most of the time.

    Raises:
        AssertionError: the contract is violated; the text says how.
    """
    learner = build(0)
    images, labels, rows = _batch(learner.method.classifier.classes, size)
    _check_groups(learner)
    _check_steps(learner, images, labels, rows)
    _check_corner_batches(learner, images, labels, rows)
    with torch.no_grad():
        _check_randomness(learner, images, labels, rows)
        _check_rows(learner.method.eval(), images, rows)
        _check_inference(learner.method, images, labels)
        _check_state(learner, build(1), images)
    if export:
        _check_export(learner.method, images)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _build(model: Model, classes: int, size: int, seed: int, *external: type) -> Learner:
    recipe = Recipe(model, pixels=Pixels(size=size, eval_size=size), seed=seed)
    return build_learner(recipe, classes=classes, external=classes_named(external))


def _batch(classes: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images of random pixels, two neighbours per class, and their indices in the set."""
    rows = torch.arange(_IMAGES) * 11 + 5
    noise = Draws(1, rows=rows).rowwise("images", (3, size, size), like=torch.zeros(_IMAGES))
    return (noise - 0.5) * 3.4, torch.arange(_IMAGES) // 2 % classes, rows


def _close(a: Tensor, b: Tensor) -> bool:
    """Whether tensors are equal up to the rounding of float32 convolutions in batches of different sizes."""
    if a.shape != b.shape or not a.is_floating_point():
        return a.shape == b.shape and torch.equal(a, b)
    scale = a.abs().amax() if a.numel() else torch.tensor(0.0)
    return bool(((a - b).abs() <= 1e-4 * scale + 1e-7).all())


def _tensors(encoded: Encoded) -> dict[str, Tensor]:
    named = {name: value for name, value in encoded.features._asdict().items() if isinstance(value, Tensor)}
    return {**named, "encoded logits": encoded.logits, **encoded.views}


def _check_groups(learner: Learner) -> None:
    grouped = [parameter for group in learner.parameter_groups().values() for parameter in group]
    names = {id(parameter): name for name, parameter in learner.named_parameters()}
    _require(len({id(p) for p in grouped}) == len(grouped), "parameter_groups has a parameter twice")
    left_out = [name for key, name in names.items() if key not in {id(p) for p in grouped}]
    _require(not left_out, f"parameter_groups leaves out {', '.join(left_out[:3])}")
    _require(all(id(p) in names for p in grouped), "parameter_groups has a parameter that is not the method's")


def _check_steps(learner: Learner, images: Tensor, labels: Tensor, rows: Tensor) -> None:
    """Checks training steps: their output, which parameters get gradients, and that nothing is read back.

    At least two steps, and more until every parameter has had a gradient other than zero: a head that starts at zero
    passes none back at first, and a loss of pairs may find no pair in a batch.
    """
    learner.train()
    waiting = {name for name, parameter in learner.named_parameters() if parameter.requires_grad}
    for step, progress in enumerate(_PROGRESS):
        if step > 1 and not waiting:
            return
        learner.method.set_progress(progress)
        learner.zero_grad()
        step_labels = torch.arange(len(labels)) % 2 if step % 3 == 2 else labels  # two classes give more equal pairs
        with no_reading_back():
            output = learner(images, step_labels, Draws(1, step, rows))
            total(output).backward()
        _check_output(output, step_labels, learner.method.classifier.classes)
        waiting -= _stepped(learner)
    missed = [name for name, _ in learner.named_parameters() if name in waiting]
    problem = f"no gradient but zero reaches {', '.join(missed[:3])} in {len(_PROGRESS)} steps"
    _require(not missed, f"{problem}: set requires_grad=False for what does not learn, or use a larger size")


@torch.no_grad()
def _stepped(learner: Learner) -> set[str]:
    """Steps against the gradients, and returns the parameters with a gradient other than zero."""
    reached: set[str] = set()
    for name, parameter in learner.named_parameters():
        if parameter.grad is not None:
            _require(bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite")
            reached |= {name} if parameter.grad.any() else set()
            parameter -= 0.01 * parameter.grad / (1 + parameter.grad.norm())
    return reached


def _check_output(output: TrainOutput, labels: Tensor, classes: int) -> None:
    _check_losses(output, "a batch of six")
    count = len(labels)
    shape = tuple(output.logits.shape)
    _require(shape == (count, classes), f"logits are {shape}, not ({count}, {classes})")
    _require(torch.equal(output.labels, labels), "labels are not the batch's, in its order; other rows go in views")
    for name, figure in output.figures.items():
        scalar = isinstance(figure, Tensor) and figure.ndim == 0 and not figure.requires_grad
        _require(scalar, f"the figure {name!r} is not a scalar tensor without a graph: detach it")
    for name, value in output.features._asdict().items():
        rows = len(value) if isinstance(value, Tensor) else count
        _require(rows == count, f"features.{name} does not have {count} rows, one per image")


def _check_losses(output: TrainOutput, batch: str) -> None:
    _require(bool(output.losses), "objective returns no losses")
    for name, loss in output.losses.items():
        _require(isinstance(name, str), f"the name of the loss {name!r} is not a text")
        scalar = isinstance(loss, Tensor) and loss.ndim == 0
        _require(scalar, f"the loss {name!r} of {batch} is not a scalar tensor")
        _require(bool(loss.isfinite()), f"the loss {name!r} of {batch} is {loss.item()}")
        _require(loss.requires_grad, f"the loss {name!r} of {batch} has no graph; a sum times 0 keeps one")


def _check_corner_batches(learner: Learner, images: Tensor, labels: Tensor, rows: Tensor) -> None:
    """Checks corner cases, in eval mode, as a batch norm cannot train on a single value."""
    learner.eval()
    same = torch.zeros_like(labels)
    corners = {
        "an odd batch": (images[:5], labels[:5], rows[:5]),
        "a batch of one": (images[:1], labels[:1], rows[:1]),
        "a batch of one class": (images, same, rows),
        "a batch of six times the same image": (images[:1].repeat(len(images), 1, 1, 1), labels, rows),
    }
    for batch, (corner_images, corner_labels, corner_rows) in corners.items():
        learner.zero_grad()
        output = learner(corner_images, corner_labels, Draws(1, 2, corner_rows))
        _check_losses(output, batch)
        total(output).backward()
        for name, parameter in learner.named_parameters():
            finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
            _require(finite, f"{batch} gives {name} a gradient that is not finite")


def _check_randomness(learner: Learner, images: Tensor, labels: Tensor, rows: Tensor) -> None:
    learner.train()
    state = {key: value.clone() for key, value in learner.state_dict().items()}
    outputs = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        outputs.append(learner(images, labels, Draws(1, 3, rows)).losses)
        learner.load_state_dict(state)
    for name, loss in outputs[0].items():
        _require(_close(loss, outputs[1][name]), f"the loss {name!r} is random; take every random number from draws")


def _check_rows(method: Method, images: Tensor, rows: Tensor) -> None:
    whole = _tensors(method.encode(images, Draws(1, 4, rows)))
    pieces = [_tensors(method.encode(images[part], Draws(1, 4, rows[part]))) for part in (slice(0, 2), slice(2, None))]
    for name, tensor in whole.items():
        _require(len(tensor) == len(images), f"encode's {name} has {len(tensor)} rows for {len(images)} images")
        joined = torch.cat([piece[name] for piece in pieces])
        _require(_close(tensor, joined), f"encode's {name} is not computed row by row: in two pieces its rows differ")


def _check_inference(method: Method, images: Tensor, labels: Tensor) -> None:
    with no_reading_back():
        logits = method(images)
    shape = (len(images), method.classifier.classes)
    _require(logits.shape == shape, f"forward gives {tuple(logits.shape)}, not {shape}")
    torch.manual_seed(2)
    _require(_close(logits, method(images)), "forward in eval mode is not deterministic")
    _require(_close(logits[:1], method(images[:1])), "forward gives an image another row alone than in a batch")
    encoded = method.encode(images, EVALUATION)
    _require(_close(logits, encoded.logits), "encode's logits are not forward's in eval mode")
    output = method.objective(encoded, labels, EVALUATION)
    _require(_close(logits, output.logits), "objective's logits are not forward's in eval mode")
    _check_evidence(method.evidence(images), logits)


@torch.no_grad()
def _check_start(method: Method, size: int) -> None:
    classifier = method.classifier
    images, _, _ = _batch(classifier.classes, size)
    features = classifier.pooled(images)
    weight = Draws(2).uniform("weight", (classifier.classes, features.shape[1]), like=features) - 0.5
    bias = weight[:, 0].clone()
    try:
        method.adopt(weight, bias)
    except UserError:  # it has no place for such a start, and says so
        return
    close = _close(method(images), torch.nn.functional.linear(features, weight, bias))
    _require(close, "after adopt, forward in eval mode does not give the logits of that linear classifier")


def _check_evidence(evidence: Evidence, logits: Tensor) -> None:
    _require(isinstance(evidence, Evidence), f"evidence gives a {type(evidence).__name__}, not an Evidence")
    _require(_close(logits, evidence.logits), "evidence's logits are not forward's in eval mode")
    for kind, dimensions in _EVIDENCE.items():
        for name, tensor in getattr(evidence, kind).items():
            shape = f"evidence's {kind} {name!r} has the shape {tuple(tensor.shape)}"
            _require(len(tensor) == len(logits), f"{shape}, not {len(logits)} rows, one per image")
            _require(tensor.ndim == dimensions, f"{shape}, not {dimensions} dimensions")
    _require(all(peaks.dtype == torch.bool for peaks in evidence.peaks.values()), "evidence's peaks must be bool")
    gates = [gate for gate in evidence.gates.values() if gate.amin() < 0 or gate.amax() > 1]
    _require(not gates, "evidence's gates must be between 0 and 1")
    heatmaps = [heatmap for heatmap in evidence.heatmaps.values() if heatmap.amin() < 0]
    _require(not heatmaps, "evidence's heatmaps must not be negative")


def _check_state(learner: Learner, other: Learner, images: Tensor) -> None:
    """A learner built from another seed gives the same output once it has loaded the state."""
    other.load_state_dict(learner.state_dict())
    same = _close(learner.method(images), other.method.eval()(images))
    _require(same, "a state dict does not restore everything; make what is random or learnt a buffer or parameter")


def _check_export(method: nn.Module, images: Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations are not the method's
        try:
            program = torch.export.export(method, (images[:3],), dynamic_shapes=({0: torch.export.Dim("batch")},))
        except Exception as error:  # the exporter raises whatever the traced code raises
            reason = (str(error).splitlines() or [""])[0][:200]
            raise AssertionError(f"torch.export refuses forward ({type(error).__name__}: {reason})") from error
        exported = program.module()(images)
    _require(_close(method(images).detach(), exported.detach()), "the exported program gives other logits than forward")
