"""Whatever reads a tensor back to the host is caught, and nothing else."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from fieldmark.ops.hostreads import no_reading_back

VALUES = torch.tensor([0.0, 1.0, 2.0])
LABELS = torch.tensor([0, 1, 2])

READS: dict[str, Callable[[], object]] = {
    "item": lambda: VALUES[0].item(),
    "float": lambda: float(VALUES[0]),
    "int": lambda: int(LABELS[0]),
    "bool": lambda: bool(VALUES.sum() > 0),
    "index": lambda: range(LABELS[1]),
    "slice": lambda: VALUES[: LABELS[1]],
    "format": lambda: f"{VALUES[0]:.2f}",
    "tolist": VALUES.tolist,
    "numpy": VALUES.numpy,
    "cpu": VALUES.cpu,
    "to": lambda: VALUES.to("cpu"),
    "to, by keyword": lambda: VALUES.to(device="cpu:0", dtype=torch.float64),
    "tensor": lambda: torch.tensor([VALUES[0], VALUES[1]]),
    "tensor, nested": lambda: torch.tensor([[VALUES[0]], [2.0]]),
    "tensor, by keyword": lambda: torch.tensor(data=(VALUES[0], 1.0)),
    "as_tensor": lambda: torch.as_tensor([VALUES[0]]),
    "asarray": lambda: torch.asarray([VALUES[0]]),
    "new_tensor": lambda: VALUES.new_tensor([VALUES[0]]),
    "repeat_interleave": lambda: torch.repeat_interleave(VALUES, LABELS),
    "repeat_interleave of a tensor": lambda: VALUES.repeat_interleave(LABELS, dim=0),
    "tensor_split": lambda: torch.tensor_split(VALUES, LABELS[1:]),
    "tensor_split of a tensor": lambda: VALUES.tensor_split(tensor_indices_or_sections=LABELS[2]),
    "unique_consecutive": lambda: torch.unique_consecutive(LABELS),
    "unique_consecutive rows": lambda: LABELS[:, None].unique_consecutive(dim=0),
    "bincount": lambda: torch.bincount(LABELS),
    "bincount of a tensor": LABELS.bincount,
    "nonzero": VALUES.nonzero,
    "where": lambda: torch.where(VALUES > 0),
    "mask": lambda: VALUES[VALUES > 0],
    "assignment by mask": lambda: VALUES.clone().__setitem__(VALUES > 0, torch.ones(2)),
    "masked_select": lambda: VALUES.masked_select(VALUES > 0),
    "unique": LABELS.unique,
    "equal": lambda: torch.equal(VALUES, VALUES),
    "allclose": lambda: torch.allclose(VALUES, VALUES),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_back_is_caught(read: Callable[[], object]):
    with pytest.raises(AssertionError, match="reads a tensor back to the host"), no_reading_back():
        read()
    read()


def test_what_stays_on_the_device_passes():
    with no_reading_back():
        logits = VALUES.expand(3, 3).clone().requires_grad_()
        F.cross_entropy(logits[LABELS], LABELS).backward()
        encoded = F.one_hot(LABELS, 3), F.one_hot(LABELS, num_classes=3)
        list(VALUES)
        torch.where(VALUES > 0, VALUES, 0.0)
        VALUES.clone()[VALUES > 0] = 0.0
        VALUES.topk(2)
        VALUES.to(LABELS.device, torch.float64)
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]).new_tensor([5])
        VALUES.repeat_interleave(2)
        VALUES.repeat_interleave(LABELS, output_size=3)
        VALUES.tensor_split([1, 2])
        VALUES.tensor_split(3)
    assert encoded[0].tolist() == encoded[1].tolist() == F.one_hot(LABELS, 3).tolist()
