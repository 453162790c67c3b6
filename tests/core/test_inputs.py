"""What a loss is not made for is refused in one line that says what to give it."""

import math
from typing import Annotated, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from fieldmark.core.inputs import Kind, refuse_inputs, refuse_labels, refuse_misfits, refuse_negative, refuse_option
from fieldmark.errors import UserError
from fieldmark.plain import Count, Share
from fieldmark.testing import no_reading_back

LABELS = torch.tensor([0, 2, 1])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:, None], r"shape \[3, 1\] and type int64: give it labels.squeeze\(1\)"),
        (torch.eye(3), r"shape \[3, 3\] and type float32: give it labels.argmax\(1\)"),
        (LABELS.float(), r"shape \[3\] and type float32$"),
        (LABELS > 0, r"shape \[3\] and type bool$"),
        (torch.tensor(1), r"shape \[\] and type int64$"),
        (torch.arange(4), "there are 3 images and 4 labels"),
    ],
)
def test_labels_are_class_indices_one_an_image(labels: Tensor, message: str):
    with pytest.raises(UserError, match=message) as caught:
        refuse_labels("Loss", labels, images=3)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "shape", "size", "message"),
    [
        ("maps", (3, 5), None, r"Loss reads maps \(B, N, h, w\), not a tensor of shape \[3, 5\] and type float32"),
        ("logits", (3, 5, 2, 2), None, r"Loss reads logits \(B, C\), not a tensor of shape \[3, 5, 2, 2\]"),
        ("embeddings", (3,), None, r"Loss reads embeddings \(B, E\)"),
        ("maps", (3, 5, 2, 2), 6, "Loss was made for 6 channels, not 5"),
        ("embeddings", (3, 5), 4, "Loss was made for 4 numbers per embedding, not 5"),
        ("logits", (3, 0), None, "Loss was given logits of no classes"),
        ("maps", (3, 5, 0, 2), None, "Loss was given maps of no positions"),
    ],
)
def test_values_are_of_their_kind(kind: Kind, shape: tuple[int, ...], size: int | None, message: str):
    with pytest.raises(UserError, match=message) as caught:
        refuse_inputs("Loss", kind, torch.zeros(shape), LABELS, size=size)
    assert len(str(caught.value).splitlines()) == 1


def test_what_fits_passes_and_nothing_is_read_back():
    with no_reading_back():
        refuse_inputs("Loss", "logits", torch.zeros(3, 5), LABELS, size=5)
        refuse_inputs("Loss", "maps", torch.zeros(3, 5, 2, 2).bfloat16(), LABELS.int())
    with pytest.raises(UserError, match="type int64"):
        refuse_inputs("Loss", "logits", torch.zeros(3, 5).long(), LABELS)


def test_negative_maps_are_refused():
    maps = torch.rand(2, 3, 2, 2)
    assert refuse_negative("Loss", maps)
    assert refuse_negative("Loss", torch.zeros(0, 3, 2, 2))
    with pytest.raises(UserError, match=r"some of these numbers are negative: give it maps.relu\(\)"):
        refuse_negative("Loss", maps - 0.5)


Pair = Annotated[Tensor, "P C"]


def example(
    p: Pair,
    q: Annotated[Tensor, "P D"] | Annotated[Tensor, "P C D"],
    kept: Annotated[Tensor, "C", bool] | None = None,
    places: Annotated[Tensor, "P 2", int] | None = None,
    share: Share | None = None,
    count: Annotated[Tensor, ""] | Count = 1,
    word: Literal["one", "two"] = "one",
    like: Tensor | None = None,
) -> None:
    """What is checked by its annotations alone."""


GOOD = {
    "p": torch.zeros(2, 3),
    "q": torch.zeros(2, 4),
    "kept": torch.ones(3) > 0,
    "places": torch.zeros(2, 2, dtype=torch.int32),
    "share": 0.5,
    "count": 2,
    "word": "two",
    "like": torch.zeros(7),
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("p", torch.zeros(2), r"p of example is a tensor of shape \[2\] and type float32; it must be \(P, C\)$"),
        ("p", torch.zeros(2, 0), r"shape \[2, 0\] and type float32; it must be \(P, C\) with nothing empty$"),
        ("p", [0.0], r"p of example is \[0.0\]; it must be a tensor \(P, C\)$"),
        ("p", None, r"p of example is None; it must be a tensor \(P, C\)$"),
        ("q", torch.zeros(1, 4), r"it must be \(P, D\) with P = 2$"),
        ("q", torch.zeros(1, 4, 4), r"it must be \(P, C, D\) with P = 2, C = 3$"),
        ("kept", torch.ones(3), "kept of example is .* type float32; it must hold True and False$"),
        ("kept", True, r"kept of example is True; it must be a tensor \(C\)$"),
        ("places", torch.zeros(2, 3, dtype=torch.long), r"it must be \(P, 2\) with 2 = 2$"),
        ("places", torch.zeros(2, 2), "it must hold whole numbers$"),
        ("share", 1.5, "share of example is 1.5; it must be at least 0 and at most 1$"),
        ("share", np.float32(2), "share of example is 2.0; it must be"),
        ("share", "half", "share of example is 'half'; it must be a number$"),
        ("count", 0, "count of example is 0; it must be at least 1$"),
        ("count", torch.zeros(3), r"count of example is a tensor of shape \[3\] and type float32; it must be \(\)$"),
        ("word", "three", "word of example is 'three'; choose one, two"),
    ],
)
def test_what_does_not_fit_an_annotation_is_refused(name: str, value: object, message: str):
    with pytest.raises(UserError, match=message) as caught:
        refuse_misfits(example, *(GOOD | {name: value}).values())
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("q", torch.zeros(2, 3, 9)), ("kept", None), ("share", None), ("share", 1), ("share", np.float64(0.5))),
        *(("count", torch.tensor(3.0)), ("count", np.int64(3)), ("like", None)),
    ],
)
def test_what_fits_one_member_of_an_annotation_passes(name: str, value: object):
    with no_reading_back():
        refuse_misfits(example, *(GOOD | {name: value}).values())


def test_the_batch_alone_may_be_empty_and_sizes_may_be_known():
    refuse_misfits(example, torch.zeros(0, 3), torch.zeros(0, 4))
    refuse_misfits(example, torch.zeros(2, 3), sizes={"C": 3})
    with pytest.raises(UserError, match=r"it must be \(P, C\) with C = 4$"):
        refuse_misfits(example, torch.zeros(2, 3), sizes={"C": 4})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_plain_number_is_finite(value: float):
    refuse_option(-3, float, where="it")
    with pytest.raises(UserError, match=r"it is .*; it must be finite"):
        refuse_option(value, float, where="it")
    refuse_option(value, float | Tensor, where="of a kind that is not checked")
