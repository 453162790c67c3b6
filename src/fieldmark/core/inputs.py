"""Refuses, in one line, what a loss, a layer or a function of ours cannot be built or called with.

Of tensors only shapes and types are checked, so nothing is read back from the device, except by ``refuse_negative``,
which no run calls.
"""

import types
from collections.abc import Callable, Iterable, Mapping
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from fieldmark.errors import UserError
from fieldmark.plain import Finite, from_plain, shown

Kind = Literal["logits", "embeddings", "maps"]
_SHAPES = {"logits": "B, C", "embeddings": "B, E", "maps": "B, N, h, w"}
_COUNTED = {"logits": "classes", "embeddings": "numbers per embedding", "maps": "channels"}
_BATCH = "BPmn"
"""Letters of dimensions that may be empty: images, pairs, members of two sets."""


def refuse_misfits(kind: Callable[..., object], *values: object, sizes: Mapping[str, int] | None = None) -> None:
    """Checks what a class or a function was given against its annotations; not while a program is compiled.

    A number must be finite and in the annotation's range, a word one of its words. A tensor annotated by letters, as in
    ``Annotated[Tensor, "B C"]``, has a dimension for each; a letter means one number in all tensors of a call, a figure
    itself, and "..." all dimensions. Nothing but a batch may be empty. ``bool`` or ``int`` behind the letters is the
    type of the tensor's numbers.

    Args:
        kind: the class, the function, or a class's method.
        values: its arguments in the order of its parameters; the last may be left out.
        sizes: letters whose numbers are known.

    Raises:
        UserError: in one line, the first that does not fit.
    """
    if torch.compiler.is_compiling():
        return
    known: dict[str, Any] = dict(sizes or {})
    owner = kind.__qualname__.removesuffix(".forward").removesuffix(".__init__")
    for (name, members), value in zip(_parameters(kind), values, strict=False):
        shapes = [get_args(member)[1:] for member in members if _is_shape(member)]
        others = [member for member in members if not (_is_shape(member) or member is Tensor)]
        if isinstance(value, Tensor) and len(others) < len(members):
            if shapes:
                _refuse_shape(f"{name} of {owner}", value, shapes, known)
        elif shapes and not (value is None and others) and set(others) <= {types.NoneType}:
            raise UserError(f"{name} of {owner} is {shown(value)}; it must be a tensor {_letters(shapes[0][0])}")
        else:
            _refuse_value(value, others, where=f"{name} of {owner}")


def refuse_option(value: object, annotation: Any, *, where: str) -> None:
    """Checks an option that is a number or a word, as its annotation says; any other passes.

    Raises:
        UserError: in one line, a value of another type, or out of range; infinity and NaN are in none.
    """
    _refuse_value(value, _members(annotation), where=where)


def refuse_inputs(loss: str, kind: Kind, values: Tensor, labels: Tensor, *, size: int | None = None) -> None:
    """Checks what a loss is called with.

    Args:
        loss: its name.
        kind: what it reads.
        values: the tensor that it was given.
        labels: the labels that it was given.
        size: C, E or N, if the loss was made for one number only.

    Raises:
        UserError: in one line, values of another shape, or labels that are not class indices (B,).
    """
    shape = list(values.shape)
    if values.ndim != len(_SHAPES[kind].split(", ")) or not values.is_floating_point():
        raise UserError(f"{loss} reads {kind} ({_SHAPES[kind]}), not {_described(values)}")
    if 0 in shape[1:]:
        raise UserError(f"{loss} was given {kind} of no {_COUNTED[kind] if not shape[1] else 'positions'}")
    if size is not None and shape[1] != size:
        raise UserError(f"{loss} was made for {size} {_COUNTED[kind]}, not {shape[1]}")
    refuse_labels(loss, labels, images=shape[0])


def refuse_labels(loss: str, labels: Tensor, *, images: int) -> None:
    """Checks labels alone.

    Args:
        loss: the name of what is called with them.
        labels: the labels that it was given.
        images: B.

    Raises:
        UserError: in one line, anything but B class indices.
    """
    if labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        advice = ""
        if labels.ndim == 2:
            advice = f": give it labels.{'squeeze' if labels.shape[1] == 1 else 'argmax'}(1)"
        raise UserError(f"{loss} takes labels (B,), the index of each image's class, not {_described(labels)}{advice}")
    if len(labels) != images:
        raise UserError(f"{loss} takes one label per image: there are {images} images and {len(labels)} labels")


def refuse_negative(loss: str, maps: Tensor) -> bool:
    """Checks that maps are nowhere negative; False, without a check, while a program is compiled.

    Raises:
        UserError: in one line, they hold negative numbers.
    """
    if torch.compiler.is_compiling():
        return False
    if bool((maps < 0).any()):
        raise UserError(f"{loss} reads maps after a ReLU, and some of these numbers are negative: give it maps.relu()")
    return True


@cache
def _parameters(kind: Callable[..., object]) -> list[tuple[str, tuple[Any, ...]]]:
    """The parameters of a class or a function, with the members of their annotations."""
    hints = get_type_hints(kind.__init__ if isinstance(kind, type) else kind, include_extras=True)
    return [(name, _members(hint)) for name, hint in hints.items() if name != "return"]


def _members(annotation: Any) -> tuple[Any, ...]:
    """Those of a union, or the annotation alone."""
    is_union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if is_union else (annotation,)


def _refuse_value(value: object, members: Iterable[Any], *, where: str) -> None:
    """Refuses what none of an annotation's members allows, if these are numbers and words."""
    kinds = [Finite if member is float else member for member in members]
    simple = (int, bool, str, types.NoneType)
    if kinds and all(get_origin(kind) in (Literal, Annotated) or kind in simple for kind in kinds):
        wanted: Any = reduce(or_, kinds)
        from_plain(value.item() if isinstance(value, np.generic) else value, wanted, where=where)


def _is_shape(annotation: Any) -> bool:
    return get_origin(annotation) is Annotated and get_args(annotation)[0] is Tensor


def _refuse_shape(where: str, values: Tensor, shapes: list[Any], known: dict[str, Any]) -> None:
    """Refuses a tensor that has none of the shapes; letters of the one that it has become ``known``."""
    letters, *kind = next((shape for shape in shapes if len(shape[0].split()) == values.ndim), shapes[0])
    is_count = not (values.is_floating_point() or values.dtype == torch.bool)
    if kind and not (is_count if kind[0] is int else values.dtype == torch.bool):
        raise UserError(
            f"{where} is {_described(values)}; it must hold {'whole numbers' if kind[0] is int else 'True and False'}"
        )
    names, sizes = letters.split(), [tuple(values.shape)] if letters == "..." else list(values.shape)
    wanted = [
        int(name) if name.isdigit() else known.setdefault(name, size) for name, size in zip(names, sizes, strict=False)
    ]
    empty = any(size == 0 and name not in _BATCH for name, size in zip(names, sizes, strict=False))
    if wanted == sizes and len(names) == len(sizes) and not empty:
        return
    numbers = [f"{name} = {w}" for name, w, size in zip(names, wanted, sizes, strict=False) if w != size]
    advice = f" with {', '.join(numbers)}" if numbers else " with nothing empty" if empty else ""
    raise UserError(f"{where} is {_described(values)}; it must be {_letters(letters)}{advice}")


def _letters(letters: str) -> str:
    return f"({', '.join(letters.split())})"


def _described(values: Tensor) -> str:
    return f"a tensor of shape {list(values.shape)} and type {str(values.dtype).removeprefix('torch.')}"
