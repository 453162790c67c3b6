"""Features of photos that never were: a cloud for each class, some labels wrong."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldmark.console import QUIET
from fieldmark.data.dataset import Dataset, Photo
from fieldmark.evaluation.inference import Inferred
from fieldmark.label_audit.audit import Audit, audit_features


class Clouds(NamedTuple):
    """Features (N, E), given and true labels (N,), and units (N,)."""

    features: np.ndarray
    given: np.ndarray
    true: np.ndarray
    units: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        return np.flatnonzero(self.given != self.true)


def clouds(*, classes: int = 6, photos: int = 40, wrong: float = 0.05, apart: float = 3.0, seed: int = 0) -> Clouds:
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(classes), photos)
    centres = rng.normal(size=(classes, 24)) * apart / np.sqrt(2)
    features = (centres[true] + rng.normal(size=(len(true), 24))).astype(np.float32)
    given = true.copy()
    at = rng.choice(len(true), round(wrong * len(true)), replace=False)
    given[at] = (true[at] + rng.integers(1, classes, len(at))) % classes
    return Clouds(features, given, true, np.arange(len(true)))


def dataset_of(given: np.ndarray, names: tuple[str, ...], *, splits: tuple[str, ...] = ()) -> Dataset:
    photos = tuple(
        Photo(f"{names[label]}/{at}.jpg", Path(f"{at}.jpg"), label, split=splits[at % len(splits)] if splits else "")
        for at, label in enumerate(given.tolist())
    )
    return Dataset(Path("photos"), "folder", names, photos)


def audited(made: Clouds, *, names: tuple[str, ...] = (), splits: tuple[str, ...] = ()) -> Audit:
    names = names or tuple(f"class {at}" for at in range(int(made.true.max()) + 1))
    dataset = dataset_of(made.given, names, splits=splits)
    read = Inferred(made.features, dataset.photos, ())
    return audit_features(dataset, read, made.units, network="clouds", console=QUIET)
