"""Answers of two runs about the same photos, for the tests of their comparison."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldmark.data.dataset import Photo
from fieldmark.evaluation.comparison import Comparison
from fieldmark.evaluation.metrics import Headline

Labels = Sequence[int] | np.ndarray


def comparison(
    labels: Labels, first: Labels, second: Labels, *, classes: int = 4, headline: Headline = "top1"
) -> Comparison:
    """Of photos with these labels, by what each run says of them."""
    truth = np.asarray(labels, dtype=np.int64)
    return Comparison(
        runs=("runs/new", "runs/old"),
        classes=tuple(f"class {at}" for at in range(classes)),
        photos=tuple(Photo(f"{at}.jpg", Path(f"{at}.jpg"), int(label), "test") for at, label in enumerate(truth)),
        labels=truth,
        predicted=np.array([first, second], dtype=np.int64),
        headline=headline,
    )


def random_comparison(*, classes: int = 9, photos: int = 80, headline: Headline = "top1") -> Comparison:
    """Runs that are right about some photos, of all classes but the last."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes - 1, photos)
    said = [np.where(rng.uniform(size=photos) < 0.5, labels, rng.integers(0, classes, photos)) for _ in range(2)]
    return comparison(labels, *said, classes=classes, headline=headline)
