"""What held-out answers say, as data and in words."""

from dataclasses import replace

import numpy as np

from fieldmark.confidence.held_out import HeldOut
from fieldmark.confidence.record import Confidence, confidence_of
from fieldmark.confidence.temperature import Temperature
from fieldmark.plain import from_plain, to_plain


def held_out(photos: int) -> HeldOut:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, photos)
    logits = random.normal(size=(photos, 3)).astype(np.float32)
    logits[np.arange(photos), labels] += 1
    return HeldOut(tuple(str(at) for at in range(photos)), labels, logits)


def test_many_photos_tell_and_few_do_not() -> None:
    many = confidence_of(held_out(500), model="ab", source="validation", splits=("val",))
    assert (many.photos, many.right) == (500, held_out(500).right)
    assert many.applied == many.temperature.value
    assert f"temperature {many.applied:.2f}" in many.line
    assert "500 photos of val" in many.line
    few = confidence_of(held_out(4), model="ab", source="folds", splits=("train", "val"), folds=3)
    assert few.applied == 1.0
    assert few.line == (
        "how sure to be cannot be told by 4 photos of train + val, out of fold: "
        "probabilities are the network's own, and are not calibrated"
    )


def test_it_is_plain_data() -> None:
    value = confidence_of(held_out(50), model="ab", source="validation", splits=("val",))
    assert from_plain(to_plain(value), Confidence) == value
    assert replace(value, temperature=Temperature(2.0, 1.9, 2.1)).applied == 2.0
