"""Photographs to normalised batches: Fieldmark's input against torchvision's, in images a second.

    python benchmarks/input_speed.py PHOTOS [--workers 0 2] [--rounds 6] [--images 1184] [--json FILE]

PHOTOS is a folder of class folders, or one folder of photographs. The other side is what most training scripts have:
``ImageFolder``, then ``RandomResizedCrop`` (bicubic, antialiased), ``RandomHorizontalFlip``, ``ToTensor`` and
``Normalize`` on PIL images, ``default_collate``. Ours is ``Photographs`` through ``loader_of``, then
``Backbone.normalise``. Both decode the same files, draw crops from the same distribution and end in a float32 batch
(B, 3, 224, 224); that the same crop gives the same numbers is checked before anything is timed. The two sides take
turns in one process, each round an epoch that is timed from the arrival of its first batch; the first round is
dropped, medians are printed. Every process has one thread; with workers, both sides have as many.

Where the time goes on a quiet core of an AMD EPYC, in ms for a photo of 320 x 427 px. Theirs, about 1.9: decode 0.57,
crop and resize 0.98, ``ToTensor`` and ``Normalize`` 0.22, draw and collate the rest. Ours, about 1.1: guarded read and
decode 0.60, crop and copy 0.09, resize 0.14, mirror 0.02, draw of the area 0.03, normalise 0.07; with workers 0.1 more,
for new pages of shared memory. The decode is the same on both sides, and more than half of ours.
Measured on two cores, CUB at a shorter side of 320 px: 2.17 without workers (369 and 769 images a second), 1.82 with
two (682 and 1,244); while others kept the cores busy 1.75 and 2.1, and Flowers-102 at 256 px 2.2 and 2.0.
"""

import argparse
import json
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
from fieldmark.input.loading import Photographs, draw_into, loader_of, open_photo
from fieldmark.recipe import Pixels

PIXELS = Pixels()
Side = Callable[[int], Iterator[Tensor]]
"""The normalised batches of one epoch, read by so many workers."""


def folder_of(photos: Path, temporary: Path) -> ImageFolder:
    """The photographs as torchvision reads them; a folder without class folders counts as one class."""
    if not any(entry.is_dir() for entry in photos.iterdir()):
        (temporary / "all").symlink_to(photos.resolve(), target_is_directory=True)
        photos = temporary
    return ImageFolder(str(photos))


def torchvision_side(folder: ImageFolder, chosen: list[int], *, batch: int, backbone: Backbone) -> Side:
    """Torchvision's own way."""
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
    """Ours, as the training loop has it."""

    def epoch(workers: int) -> Iterator[Tensor]:
        order = np.random.default_rng(0).permutation(len(photos))
        batches = [[(0, int(i)) for i in order[at : at + batch]] for at in range(0, len(order), batch)]
        return (backbone.normalise(read.pixels) for read in loader_of(photos, batches, workers=workers))

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
    """Images a second of one epoch, from the arrival of its first batch."""
    batches = side(workers)
    next(batches)
    begun = time.perf_counter()
    for normalised in batches:
        assert normalised.dtype == torch.float32
    return (images - batch) / (time.perf_counter() - begun)


def compare(sides: dict[str, Side], *, workers: int, rounds: int, images: int, batch: int) -> dict[str, float]:
    """Median images a second of each side, and the median of the rounds' ratios."""
    seen = [{name: speed(side, workers, images, batch) for name, side in sides.items()} for _ in range(rounds)][1:]
    medians = {name: statistics.median(row[name] for row in seen) for name in sides}
    return medians | {"ratio": statistics.median(row["fieldmark"] / row["torchvision"] for row in seen)}


def stages(photos: Photographs, backbone: Backbone, count: int = 200) -> dict[str, float]:
    """Where our time goes without workers: milliseconds an image, medians over the photos."""
    times: dict[str, list[float]] = {"read and decode": [], "crop, resize, mirror": [], "normalise": []}
    view = np.empty((PIXELS.size, PIXELS.size, 3), np.uint8)
    pixels = torch.zeros(32, *view.shape, dtype=torch.uint8)
    for index in range(min(count, len(photos))):
        random_view = photos.random_view(0, index)
        marks = [time.perf_counter()]
        image = open_photo(photos.photos[index], reduce_to=random_view.side_needed)
        marks.append(time.perf_counter())
        draw_into(view, image, random_view.area(image.size), mirrored=random_view.mirrored)
        marks.append(time.perf_counter())
        if index % 10 == 0:
            backbone.normalise(pixels)
            times["normalise"].append((time.perf_counter() - marks[-1]) / len(pixels))
        times["read and decode"].append(marks[1] - marks[0])
        times["crop, resize, mirror"].append(marks[2] - marks[1])
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description="Input speed against torchvision's ImageFolder and PIL transforms.")
    parser.add_argument("photos", type=Path, help="a folder of class folders, or of photographs")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="processes that read ahead, each tried")
    parser.add_argument("--rounds", type=int, default=6, help="rounds, of which the first is dropped")
    parser.add_argument("--images", type=int, default=1184, help="photographs of an epoch")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    backbone = Backbone(nn.Conv2d(3, 1, 16, 16), example=torch.zeros(1, 3, 32, 32))
    with tempfile.TemporaryDirectory() as temporary:
        folder = folder_of(options.photos, Path(temporary))
        images = min(options.images, len(folder)) // options.batch * options.batch
        chosen = np.random.default_rng(0).permutation(len(folder))[:images].tolist()
        samples = [folder.samples[index] for index in chosen]
        photos = Photographs([Photo(Path(path).name, Path(path), label) for path, label in samples], PIXELS)
        result: dict[str, object] = {"images": images, "mean difference": check_same(photos, backbone)}
        sides = {
            "torchvision": torchvision_side(folder, chosen, batch=options.batch, backbone=backbone),
            "fieldmark": fieldmark_side(photos, batch=options.batch, backbone=backbone),
        }
        print(f"{images} photos an epoch; the same crop differs by {result['mean difference']:.4f} on average")
        for workers in options.workers:
            seen = compare(sides, workers=workers, rounds=options.rounds, images=images, batch=options.batch)
            result[f"workers {workers}"] = seen
            line = ", ".join(f"{name} {value:,.0f} images/s" for name, value in seen.items() if name != "ratio")
            print(f"{workers} workers: {line}, ratio {seen['ratio']:.2f}", flush=True)
        costs = stages(photos, backbone)
        result["stages (ms an image)"] = costs
        print("ours, ms an image:", ", ".join(f"{name} {value:.2f}" for name, value in costs.items()))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
