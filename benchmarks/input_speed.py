"""From photographs to normalised batches: Fieldmark's input against torchvision's, in images per second.

    python benchmarks/input_speed.py PHOTOS [--workers 0 2] [--rounds 6] [--images 1184]

PHOTOS is a folder of class folders, or one folder of photographs. The other side is what most training scripts use:
``ImageFolder``, then ``RandomResizedCrop`` (bicubic, antialiased), ``RandomHorizontalFlip``, ``ToTensor`` and
``Normalize`` on PIL images, ``default_collate``. Ours is ``Photographs`` through ``loader_of``, then
``Backbone.normalise``. Both decode the same files, draw crops from the same distribution and end in a float32 batch
(B, 3, 224, 224); that the same crop gives the same values is checked before anything is timed. The two sides take
turns in one process, one epoch per round, timed from the arrival of its first batch; the first round is dropped, and
medians are printed. Every process has one thread; both sides have the same number of workers.

Where the time goes on a quiet core of an AMD EPYC, by profiling, in ms for a photo of 320 x 427 px. Theirs, about 1.9:
decode 0.57, crop and resize 0.98, ``ToTensor`` and ``Normalize`` 0.22, random parameters and collate the rest. Ours,
about 1.1: guarded read and decode 0.60, crop and copy 0.09, resize 0.14, mirror 0.02, random area 0.03, normalise 0.07;
with workers 0.1 more, for new pages of shared memory.
Measured on two cores, CUB at a shorter side of 320 px: 2.17 without workers (369 and 769 images per second), 1.82 with
two (682 and 1,244); on busy cores 1.75 and 2.1, and for Flowers-102 at 256 px 2.2 and 2.0.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, default_collate
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms import functional
from torchvision.transforms.functional import InterpolationMode

from fieldmark.core.backbone import Backbone
from fieldmark.data.dataset import Photo
from fieldmark.input.loading import Photographs, loader_of
from fieldmark.recipe import Pixels

PIXELS = Pixels()
Side = Callable[[int], Iterator[Tensor]]
"""The normalised batches of one epoch, read by the given number of workers."""


def folder_of(photos: Path, temporary: Path) -> ImageFolder:
    """The photographs as torchvision reads them; a folder without class folders counts as one class."""
    if not any(entry.is_dir() for entry in photos.iterdir()):
        (temporary / "all").symlink_to(photos.resolve(), target_is_directory=True)
        photos = temporary
    return ImageFolder(str(photos))


def torchvision_side(folder: ImageFolder, chosen: list[int], *, batch: int, backbone: Backbone) -> Side:
    """Torchvision's usual pipeline."""
    folder.transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(
                PIXELS.size, scale=(PIXELS.min_scale, 1), interpolation=InterpolationMode.BICUBIC, antialias=True
            ),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(backbone.mean.tolist(), backbone.std.tolist()),
        ]
    )

    def epoch(workers: int) -> Iterator[Tensor]:
        subset = Subset(folder, chosen)
        loader = DataLoader(subset, batch_size=batch, shuffle=True, num_workers=workers, collate_fn=default_collate)
        return (images for images, _ in loader)

    return epoch


def fieldmark_side(photos: Photographs, *, batch: int, backbone: Backbone) -> Side:
    """Ours, as in the training loop."""

    def epoch(workers: int) -> Iterator[Tensor]:
        order = np.random.default_rng(0).permutation(len(photos))
        batches = [[(0, int(i)) for i in order[at : at + batch]] for at in range(0, len(order), batch)]
        return (backbone.normalise(batch.pixels) for batch in loader_of(photos, batches, workers=workers))

    return epoch


def check_same(photos: Photographs, backbone: Backbone, count: int = 16) -> float:
    """The largest mean difference (in normalised units) between the sides on the same crops of ``count`` photos."""
    normalise = transforms.Normalize(backbone.mean.tolist(), backbone.std.tolist())
    worst = 0.0
    for index in range(0, len(photos), max(len(photos) // count, 1)):
        image = Image.open(photos.photos[index].path).convert("RGB")
        view = photos.random_view(0, index)
        area = view.area(image.size)
        left, top = int(area.left), int(area.top)
        crop = image.crop((left, top, left + int(area.width), top + int(area.height)))
        crop = crop.resize((PIXELS.size, PIXELS.size), Image.Resampling.BICUBIC)
        mirrored = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if view.mirrored else crop
        theirs = normalise(functional.to_tensor(mirrored))
        ours = backbone.normalise(photos.__getitems__([(0, index)]).pixels)[0]
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype == torch.float32
        worst = max(worst, float((ours - theirs).abs().mean()))
    if worst > 0.02:
        raise SystemExit(f"the same crop differs by {worst:.3f} on average: these are not the same pixels")
    return worst


def speed(side: Side, workers: int, images: int, batch: int) -> float:
    """Images per second in one epoch, from the arrival of its first batch."""
    batches = side(workers)
    next(batches)
    begun = time.perf_counter()
    for normalised in batches:
        assert normalised.dtype == torch.float32
    return (images - batch) / (time.perf_counter() - begun)


def compare(sides: dict[str, Side], *, workers: int, rounds: int, images: int, batch: int) -> dict[str, float]:
    """Median images per second of each side, and the median of the rounds' ratios."""
    speeds = [{name: speed(side, workers, images, batch) for name, side in sides.items()} for _ in range(rounds)][1:]
    medians = {name: statistics.median(row[name] for row in speeds) for name in sides}
    return medians | {"ratio": statistics.median(row["fieldmark"] / row["torchvision"] for row in speeds)}


def main() -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description="Input speed against torchvision's ImageFolder and PIL transforms.")
    parser.add_argument("photos", type=Path, help="a folder of class folders, or of photographs")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="worker processes, each number in turn")
    parser.add_argument("--rounds", type=int, default=6, help="rounds, of which the first is dropped")
    parser.add_argument("--images", type=int, default=1184, help="photographs per epoch")
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(1)
    backbone = Backbone(nn.Conv2d(3, 1, 16, 16), example=torch.zeros(1, 3, 32, 32))
    with tempfile.TemporaryDirectory() as temporary:
        folder = folder_of(options.photos, Path(temporary))
        images = min(options.images, len(folder)) // options.batch * options.batch
        chosen = np.random.default_rng(0).permutation(len(folder))[:images].tolist()
        samples = [folder.samples[index] for index in chosen]
        photos = Photographs([Photo(Path(path).name, Path(path), label) for path, label in samples], PIXELS)
        sides = {
            "torchvision": torchvision_side(folder, chosen, batch=options.batch, backbone=backbone),
            "fieldmark": fieldmark_side(photos, batch=options.batch, backbone=backbone),
        }
        print(f"{images} photos per epoch; the same crop differs by {check_same(photos, backbone):.4f} on average")
        for workers in options.workers:
            medians = compare(sides, workers=workers, rounds=options.rounds, images=images, batch=options.batch)
            line = ", ".join(f"{name} {value:,.0f} images/s" for name, value in medians.items() if name != "ratio")
            print(f"{workers} workers: {line}, ratio {medians['ratio']:.2f}", flush=True)


if __name__ == "__main__":
    main()
