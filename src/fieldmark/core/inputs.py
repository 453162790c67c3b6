"""Refuses, in one line, what a loss of ours cannot be built or called with.

Only shapes and types are checked, so nothing is read back from the device, except by ``refuse_negative``, which no run
calls.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from fieldmark.errors import UserError

Kind = Literal["logits", "embeddings", "maps"]
_SHAPES = {"logits": "B, C", "embeddings": "B, E", "maps": "B, N, h, w"}
_COUNTED = {"logits": "classes", "embeddings": "numbers per embedding", "maps": "channels"}


def refuse_choices(loss: str, choices: Mapping[str, tuple[object, Any]]) -> None:
    """Checks options that are one word of a few.

    Args:
        loss: the name of what is built with them.
        choices: by name each option's value and the ``Literal`` of the words that it may be.

    Raises:
        UserError: in one line, another word.
    """
    for name, (value, words) in choices.items():
        if value not in get_args(words):
            raise UserError(f"{loss}({name}={value!r}): choose {', '.join(map(repr, get_args(words)))}")


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


def _described(values: Tensor) -> str:
    return f"a tensor of shape {list(values.shape)} and type {str(values.dtype).removeprefix('torch.')}"
