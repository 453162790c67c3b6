"""Bilinear rows of Pairwise Confusion and Mutual-Channel Loss on Flowers-102, as the papers train them first.

    python benchmarks/bilinear_features.py flowers-102 --weights vgg16_conv_fp16.safetensors --out runs/bilinear
    python benchmarks/bilinear_features.py flowers-102 --weights vgg16_conv_fp16.safetensors --out runs/bilinear --table

The convolutions of VGG-16 rest, so the maps of each photo (relu5_3, of the photo squashed to ``--size``, and of its
mirror image in training) are computed once and kept; what comes after them is trained: pool, linear head, and in two
rows a neck, the 1 x 1 convolution that gives Mutual-Channel Loss its channels. Each row has four trials, trained on the
training and measured on the validation photos; the best is trained on both with three further seeds, and measured on
the test photos. SGD with momentum, batches of 32, a rate that falls as a cosine; weight decay 5e-6, as in the first
stage of Pairwise Confusion's. Learner, losses and layers are the program's own.

Each run leaves a JSON file, so the same command goes on after a stop; several may work side by side, on rows of their
own (``--only``).
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fieldmark.building import build_learner
from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner, total
from fieldmark.core.networks import make_backbone
from fieldmark.data.dataset import Dataset, labels_of
from fieldmark.data.reading import read_dataset
from fieldmark.evaluation.statistics import paired_difference, seed_interval
from fieldmark.files import replace_file, write_json
from fieldmark.input.loading import Photographs
from fieldmark.ops.memory import keep_freed_memory
from fieldmark.recipe import Model, Part, Pixels, Recipe
from fieldmark.recipes.composition import UNSMOOTHED

BATCH, DECAY, MOMENTUM = 32, 5e-6, 0.9
TUNED, SEEDS = 0, (10, 11, 12)
SPLITS = ("train", "val", "test")
PLACE = "resnet18"
"""As many channels as VGG-16, whose maps come in its place, and quickly built."""


@dataclass(frozen=True)
class Row:
    """What is trained: parts of the model, the row that it is compared with, and its trials (rate, weight of terms)."""

    parts: Mapping[str, object]
    trials: Sequence[tuple[float, float | None]]
    baseline: str = ""
    term: Part | None = field(default=None)

    def model(self, weight: float | None) -> Model:
        """The model of a trial."""
        terms = () if self.term is None or weight is None else (Part(self.term.name, {"weight": weight}),)
        return Model(backbone=PLACE, weights="none", criterion=UNSMOOTHED, terms=terms, **self.parts)  # pyright: ignore[reportArgumentType]


BILINEAR, NECK = Part("Bilinear"), Part("ChannelExpansion", {"xi": 3})
RATES = tuple((rate, None) for rate in (3.0, 1.0, 0.3, 0.1))
ROWS = {
    "vgg16": Row({}, tuple((rate, None) for rate in (0.3, 0.1, 0.03, 0.01))),
    "b-cnn": Row({"pool": BILINEAR}, RATES, "vgg16"),
    "pc-b-cnn": Row(
        {"pool": BILINEAR},
        tuple((rate, weight) for rate in (3.0, 1.0) for weight in (10.0, 1.0)),
        "b-cnn",
        Part("PairwiseConfusion"),
    ),
    "b-cnn, neck": Row({"pool": BILINEAR, "neck": NECK}, RATES, "b-cnn"),
    "mc-b-cnn": Row(
        {"pool": BILINEAR, "neck": NECK},
        tuple((rate, weight) for rate in (1.0, 0.3) for weight in (0.005, 0.5)),
        "b-cnn, neck",
        Part("MutualChannelLoss"),
    ),
}


class Stored(nn.Module):
    """In the place of a backbone: what it would give is given."""

    def forward(self, maps: Tensor) -> Tensor:
        """(B, D, h, w), unchanged."""
        return maps


class Maps(NamedTuple):
    """Of the photos of a split: ``values`` float16 (views, N, D, h, w), the mirror images second, ``labels`` (N,)."""

    values: np.ndarray
    labels: np.ndarray


@torch.inference_mode()
def computed(dataset: Dataset, split: str, said: argparse.Namespace) -> Maps:
    """A split's maps, which are kept in the folder of results."""
    path, photos = said.out / f"maps-{said.size}-{split}.npy", dataset.of([split])
    labels = np.array(labels_of(photos))
    if not path.is_file():
        backbone = make_backbone("vgg16", weights=str(said.weights), size=said.size).eval()
        views = Photographs(photos, Pixels(said.size, said.size, eval_crop=1.0, fit="stretch"))
        side, count = said.size // backbone.stride, 1 if split == "test" else 2
        shape = (count, len(photos), backbone.channels, side, side)

        def fill(draft: Path) -> None:
            kept = np.lib.format.open_memmap(draft, "w+", np.float16, shape)
            for start in range(0, len(photos), BATCH):
                pixels = views.__getitems__([(-1, at) for at in range(start, min(start + BATCH, len(photos)))]).pixels
                images = backbone.normalise(pixels)
                for view in range(count):
                    with torch.autocast("cpu", torch.bfloat16):
                        kept[view, start : start + BATCH] = backbone(images.flip(3) if view else images).half().numpy()
                print(f"{split}: {min(start + BATCH, len(photos)):,} of {len(photos):,} photos", flush=True)

        replace_file(path, fill)
    return Maps(np.load(path, mmap_mode="r"), labels)


def batches(maps: Sequence[Maps], *, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Maps, labels and numbers of the photos of all splits in a random order, mirrored or not; whole batches alone."""
    random = np.random.default_rng((seed, epoch))
    ends = np.cumsum([0, *(len(each.labels) for each in maps)])
    order, mirrored = random.permutation(ends[-1]), random.random(ends[-1]) < 0.5
    labels = np.concatenate([each.labels for each in maps])
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = order[start : start + BATCH]
        split = np.searchsorted(ends, chosen, "right") - 1
        rows = [maps[part].values[int(mirrored[at]), at - ends[part]] for part, at in zip(split, chosen, strict=True)]
        yield torch.from_numpy(np.stack(rows)).float(), torch.from_numpy(labels[chosen]), torch.from_numpy(chosen)


def trained(row: Row, trial: int, maps: Sequence[Maps], *, seed: int, classes: int, epochs: int) -> Learner:
    """What comes after the maps, trained."""
    rate, weight = row.trials[trial]
    torch.manual_seed(seed)
    learner = build_learner(Recipe(row.model(weight)), classes=classes)
    learner.method.classifier.backbone = Stored()  # pyright: ignore[reportAttributeAccessIssue]
    optimiser = torch.optim.SGD(learner.parameters(), rate, MOMENTUM, weight_decay=DECAY, fused=True)
    steps = epochs * (sum(len(each.labels) for each in maps) // BATCH)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    learner.train()
    step = 0
    for epoch in range(epochs):
        for values, labels, numbers in batches(maps, seed=seed, epoch=epoch):
            optimiser.zero_grad()
            total(learner(values, labels, Draws(seed, step, numbers))).backward()
            optimiser.step()
            falling.step()
            step += 1
    return learner.eval()


@torch.inference_mode()
def right(learner: Learner, maps: Maps) -> np.ndarray:
    """Which photos are answered rightly, bool (N,)."""
    found = [
        learner.method(torch.from_numpy(maps.values[0, start : start + BATCH]).float()).argmax(1).numpy()
        for start in range(0, len(maps.labels), BATCH)
    ]
    return np.concatenate(found) == maps.labels


def run_of(name: str, trial: int | None, seed: int, folder: Path) -> Path:
    """Where a run is recorded."""
    kind = f"seed{seed}" if trial is None else f"trial{trial}"
    return folder / f"{name.replace(', ', '-')}-{kind}.json"


def best_trial(name: str, folder: Path) -> int:
    """The trial with the most validation photos right; of equals the first."""
    shares = [json.loads(run_of(name, at, TUNED, folder).read_text())["top1"] for at in range(len(ROWS[name].trials))]
    return int(np.argmax(shares))


def work(name: str, maps: Mapping[str, Maps], classes: int, said: argparse.Namespace) -> None:
    """The trials of a row, and its runs with the best of them, as far as they are not recorded."""
    row, folder = ROWS[name], said.out
    for trial in range(len(row.trials)):
        if not (path := run_of(name, trial, TUNED, folder)).is_file():
            record(path, row, trial, [maps["train"]], maps["val"], seed=TUNED, classes=classes, epochs=said.epochs)
    best = best_trial(name, folder)
    for seed in SEEDS:
        if not (path := run_of(name, None, seed, folder)).is_file():
            both = [maps["train"], maps["val"]]
            record(path, row, best, both, maps["test"], seed=seed, classes=classes, epochs=said.epochs)


def record(path: Path, row: Row, trial: int, maps: Sequence[Maps], measured: Maps, **how: int) -> None:
    """Trains and measures, and writes what came of it."""
    begun = time.perf_counter()
    hits = right(trained(row, trial, maps, **how), measured)
    rate, weight = row.trials[trial]
    said = {"rate": rate, "weight": weight, **how, "photos": len(hits), "top1": float(hits.mean())}
    write_json(path, {**said, "seconds": round(time.perf_counter() - begun, 1), "right": np.flatnonzero(hits).tolist()})
    print(f"{path.stem}: {100 * hits.mean():.2f} % of {len(hits):,}", flush=True)


def table(folder: Path) -> Iterator[str]:
    """A line for each row whose seeds are all recorded."""
    hits: dict[str, np.ndarray] = {}
    yield "| row | rate, weight | top-1 % | baseline | difference |"
    yield "| --- | --- | ---: | --- | ---: |"
    for name, row in ROWS.items():
        paths = [run_of(name, None, seed, folder) for seed in SEEDS]
        if not all(path.is_file() for path in paths):
            continue
        runs = [json.loads(path.read_text()) for path in paths]
        hits[name] = np.array([np.isin(np.arange(run["photos"]), run["right"]) for run in runs])
        mean, low, high = (100 * value for value in seed_interval(hits[name].mean(1)))
        difference = ""
        if row.baseline in hits:
            found = paired_difference(hits[name], hits[row.baseline]).interval
            difference = f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
        chosen = f"{runs[0]['rate']:g}" + ("" if runs[0]["weight"] is None else f", {runs[0]['weight']:g}")
        yield f"| {name} | {chosen} | {mean:.1f} ({low:.1f} to {high:.1f}) | {row.baseline} | {difference} |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flowers", type=Path, help="Flowers-102 as unpacked")
    parser.add_argument("--weights", type=Path, required=True, help="VGG-16's convolutions, with timm's names")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", action="append", choices=ROWS, default=None)
    parser.add_argument("--table", action="store_true", help="print the table of what was measured")
    said = parser.parse_args()
    if said.table:
        print("\n".join(table(said.out)))
        return
    keep_freed_memory()
    said.out.mkdir(parents=True, exist_ok=True)
    dataset = read_dataset(said.flowers)
    maps = {split: computed(dataset, split, said) for split in SPLITS}
    for name in said.only or ROWS:
        work(name, maps, len(dataset.classes), said)


if __name__ == "__main__":
    main()
