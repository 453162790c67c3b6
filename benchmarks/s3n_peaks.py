"""How many of S3N's peaks lie on the object: the mean hit rate of the paper's Table 1, on a run's validation photos.

    python benchmarks/s3n_peaks.py DATA RUN [RUN ...]

For each run, with all local maxima and with those that reach the response map's mean: the mean over the photos of the
share of their peaks that lie in the object's box, the mean number of peaks, and how much of the picture the box covers.
The photos are those of the split "val" in RUN/splits.csv: no test photo is opened.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from fieldmark.data.dataset import Photo
from fieldmark.data.reading import read_dataset
from fieldmark.data.split import read_splits
from fieldmark.images.decode import read_image
from fieldmark.input.views import evaluation_frame
from fieldmark.papers.selective_sparse_sampling import S3N
from fieldmark.recipe import Pixels
from fieldmark.runs.folder import load

CHOICES = ("all", "above_mean")


def inside(photo: Photo, pixels: Pixels, cells: int) -> Tensor:
    """Which cells of the response map, bool (cells, cells), have their middle in the object's box."""
    assert photo.box is not None
    size = read_image(photo.path).size
    frame = evaluation_frame(size, pixels, photo.box)
    pixel = torch.arange(cells) * (pixels.eval_size - 1) / (cells - 1) + 0.5  # corners of cells and pixels are aligned
    x = frame.left + pixel / pixels.eval_size * frame.width
    y = frame.top + pixel / pixels.eval_size * frame.height
    across = (x >= photo.box.x) & (x < photo.box.x + photo.box.width)
    down = (y >= photo.box.y) & (y < photo.box.y + photo.box.height)
    return down[:, None] & across


def measure(run: Path, photos: dict[str, Photo]) -> dict[str, tuple[float, float, float]]:
    """By the choice of peaks: mean hit rate, mean number of peaks, mean share of the cells in the box."""
    model, transform, _ = load(run)
    assert isinstance(model, S3N)
    held_out = [photos[name] for name, split in read_splits(run / "splits.csv").items() if split == "val"]
    images = torch.stack([transform(photo.path, photo.box) for photo in held_out])
    figures = {}
    for model.peaks in CHOICES:
        with torch.inference_mode():
            peaks = torch.cat([model.evidence(batch).peaks["response"] for batch in images.split(16)])
        boxes = torch.stack([inside(photo, transform.pixels, peaks.shape[1]) for photo in held_out])
        counts, hits = peaks.sum((1, 2)), (peaks & boxes).sum((1, 2))
        rates = (hits / counts)[counts > 0]
        figures[model.peaks] = (rates.mean().item(), counts.float().mean().item(), boxes.float().mean().item())
    return figures


def main() -> None:
    """Prints a line per run and choice of peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    said = parser.parse_args()
    photos = {photo.name: photo for photo in read_dataset(said.data).photos}
    for run in said.runs:
        for peaks, (rate, count, box) in measure(run, photos).items():
            print(f"{run.name}  {peaks}: {rate:.1%} of {count:.1f} peaks in the box, which has {box:.1%} of the cells")


if __name__ == "__main__":
    main()
