"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), whose images are packed in pickled batches.

A pickle can run code. torchvision reads the original files, whose checksums it knows; files that it refuses (a smaller
dataset of the same layout) are read here by an unpickler that builds only plain values and arrays.
"""

import importlib.util
import pickle
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fieldmark.data.benchmarks.text_lists import damaged
from fieldmark.data.dataset import Dataset, Photo

_ARRAY_PARTS = frozenset(
    (module, name)
    for core in ("numpy.core", "numpy._core")
    for module, name in (
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
        (f"{core}.multiarray", "_reconstruct"),
        (f"{core}.multiarray", "scalar"),
        (f"{core}.numeric", "_frombuffer"),
    )
)


class _Packed(NamedTuple):
    """The rows of one split: uint8 (N, 32, 32, 3) and N labels; and the names of all classes."""

    pixels: np.ndarray
    labels: list[int]
    classes: list[str]


class _Layout(NamedTuple):
    layout: str
    folder: str
    meta: str
    names: str
    labels: str
    train: tuple[str, ...]
    test: tuple[str, ...]


_CIFAR10 = _Layout(
    "cifar-10",
    "cifar-10-batches-py",
    "batches.meta",
    "label_names",
    "labels",
    tuple(f"data_batch_{number}" for number in range(1, 6)),
    ("test_batch",),
)
_CIFAR100 = _Layout("cifar-100", "cifar-100-python", "meta", "fine_label_names", "fine_labels", ("train",), ("test",))


def is_cifar10(root: Path) -> bool:
    """Whether ``root`` is ``cifar-10-batches-py``."""
    return (root / "batches.meta").is_file() and (root / "test_batch").is_file()


def is_cifar100(root: Path) -> bool:
    """Whether ``root`` is ``cifar-100-python``."""
    return all((root / file).is_file() for file in ("meta", "train", "test"))


def read_cifar10(root: Path) -> Dataset:
    """CIFAR-10: 10 classes, 50,000 training and 10,000 test images of 32 × 32; see ``read_cifar100``."""
    return _read(root, _CIFAR10)


def read_cifar100(root: Path) -> Dataset:
    """CIFAR-100: 100 fine classes, 50,000 training and 10,000 test images of 32 × 32.

    ``Dataset.pixels`` is uint8 ``(N, 32, 32, 3)``, the training rows first; a photo's name is its split and
    row, such as "train/00000", and its path is the folder. Raises ``UserError`` that names a damaged file.
    """
    return _read(root, _CIFAR100)


def _read(root: Path, layout: _Layout) -> Dataset:
    packed = _by_torchvision(root, layout)
    notes = () if packed else ("batches read as they are: torchvision does not recognise them as the originals",)
    train, test = packed or (_batches(root, layout, layout.train), _batches(root, layout, layout.test))
    photos = [
        Photo(f"{split}/{at:05d}", root, label, split, row=first + at)
        for split, rows, first in (("train", train, 0), ("test", test, len(train.labels)))
        for at, label in enumerate(rows.labels)
    ]
    return Dataset(
        root=root,
        layout=layout.layout,
        classes=tuple(name.replace("_", " ") for name in train.classes),
        photos=tuple(photos),
        notes=notes,
        pixels=np.concatenate([train.pixels, test.pixels]),
    )


def _by_torchvision(root: Path, layout: _Layout) -> tuple[_Packed, _Packed] | None:
    """Train and test as torchvision reads them, None where the folder or its files are not the originals."""
    if root.name != layout.folder or importlib.util.find_spec("torchvision") is None:
        return None
    from torchvision.datasets import CIFAR10, CIFAR100

    reader = CIFAR10 if layout is _CIFAR10 else CIFAR100
    try:
        with warnings.catch_warnings():
            # The batches were pickled by a NumPy of 2009, and today's NumPy warns about them.
            warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
            sets = [reader(root.parent, train=train, download=False) for train in (True, False)]
    except RuntimeError:  # raised where a checksum differs
        return None
    train, test = (_Packed(split.data, list(split.targets), list(split.classes)) for split in sets)
    return train, test


def _batches(root: Path, layout: _Layout, files: tuple[str, ...]) -> _Packed:
    classes = _entry(root / layout.meta, layout.names)
    if not isinstance(classes, list):
        raise damaged(root / layout.meta, "", f"{layout.names} must be a list of names")
    pixels: list[np.ndarray] = []
    labels: list[int] = []
    for file in (root / name for name in files):
        data, file_labels = _entry(file, "data"), _entry(file, layout.labels)
        shaped = (
            isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.shape == (len(file_labels), 3 * 32 * 32)
        )
        if not shaped:
            raise damaged(file, "", f"data must be uint8 (N, 3072) with one row for each of {layout.labels}")
        if wrong := [label for label in file_labels if label not in range(len(classes))]:
            raise damaged(file, "", f"the label {wrong[0]} is not one of the {len(classes)} classes")
        pixels.append(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels += [int(label) for label in file_labels]
    return _Packed(np.concatenate(pixels), labels, [str(name) for name in classes])


class _PlainUnpickler(pickle.Unpickler):
    """Builds plain values and NumPy arrays; a pickle that names anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAY_PARTS:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _entry(file: Path, key: str) -> Any:
    try:
        with file.open("rb") as stream, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
            entry = _PlainUnpickler(stream, encoding="latin1").load()
        return entry[key]
    except Exception as error:  # a damaged pickle may raise any exception
        raise damaged(file, "", f"'{key}' cannot be read from it ({error})") from error
