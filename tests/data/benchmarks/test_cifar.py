"""CIFAR's packed batches, through torchvision and, where it refuses them, without."""

from collections import Counter
from pathlib import Path

import layouts
import numpy as np
import pytest

from fieldmark.data.benchmarks import cifar
from fieldmark.data.reading import read_dataset
from fieldmark.errors import UserError


@pytest.mark.parametrize("original", [True, False])
def test_cifar10(original: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10

    root = tmp_path / "cifar-10-batches-py"
    sums = layouts.cifar10(root)
    if original:  # the checksums of these files stand in for those of the real ones
        monkeypatch.setattr(
            CIFAR10, "train_list", [[f"data_batch_{one}", sums[f"data_batch_{one}"]] for one in range(1, 6)]
        )
        monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
        monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    dataset = read_dataset(root)
    assert bool(dataset.notes) is not original
    assert dataset.classes == ("airplane", "automobile", "bird", "cat")
    assert layouts.sizes(dataset) == (20, 0, 4)
    assert dataset.pixels is not None
    assert (dataset.pixels.shape, dataset.pixels.dtype) == ((24, 32, 32, 3), np.uint8)
    second = np.random.default_rng(1).integers(0, 256, (4, 3072), dtype=np.uint8)
    photo = dataset.photos[5]
    assert (photo.name, photo.row, photo.label, photo.split) == ("train/00005", 5, 2, "train")
    assert np.array_equal(dataset.pixels[5], second[1].reshape(3, 32, 32).transpose(1, 2, 0))
    assert (dataset.photos[20].name, dataset.photos[20].row) == ("test/00000", 20)


def test_cifar100_uses_the_fine_labels(tmp_path: Path) -> None:
    dataset = cifar.read_cifar100(layouts.cifar100(tmp_path))
    assert dataset.classes == ("apple", "maple tree", "wolf")
    assert Counter(photo.label for photo in dataset.photos) == {0: 4, 1: 4, 2: 4}


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    root = layouts.cifar100(tmp_path)
    (root / "train").write_bytes(b'cbuiltins\neval\n(S\'open("ran", "w")\'\ntR.')
    with pytest.raises(UserError, match=r"train: .*builtins\.eval is not allowed"):
        read_dataset(root)
    (root / "train").write_bytes(b"\x80\x02}q")
    with pytest.raises(UserError, match="'data' cannot be read"):
        read_dataset(root)
