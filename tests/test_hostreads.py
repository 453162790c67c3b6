"""Whatever reads a tensor back to the host is caught, and nothing else."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from fieldmark.hostreads import no_reading_back

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
    assert encoded[0].tolist() == encoded[1].tolist() == F.one_hot(LABELS, 3).tolist()
