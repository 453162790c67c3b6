"""What a loss is not made for is refused in one line that says what to give it."""

import pytest
import torch
from torch import Tensor

from fieldmark.core.inputs import Kind, refuse_inputs, refuse_labels, refuse_negative
from fieldmark.errors import UserError
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
