"""How many of the labels that were made wrong on purpose `fieldmark check --labels` finds.

    python benchmarks/wrong_labels.py flowers-102 --cache flowers.npz
    python benchmarks/wrong_labels.py runs/birds-60 --pairs runs/birds-60/marks.csv --cache birds.npz

In each planting, 5 % of the photos, drawn by the seed, get another class: any other one, or with --pairs that of the
species' twin, by the table that ``write_birds`` leaves. Precision is the share of doubted labels that were planted,
recall the share of planted ones that are doubted, both at the default threshold. Labels that were wrong before count
as false alarms, as nobody knows them all: only what was planted is counted. "Best n" is the share of planted labels
among as many of the least credible ones as were planted, which no threshold decides.

Features are computed once and kept in --cache, so that a planting costs its regressions alone. Thresholds were chosen
with seeds 100 and 101 (docs/design.md); the seeds 0 to 4 are for reports.
"""

import argparse
import csv
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldmark.console import QUIET
from fieldmark.core.device import device_of
from fieldmark.data.dataset import Dataset
from fieldmark.data.groups import units_of
from fieldmark.data.opening import open_photos
from fieldmark.data.reading import read_dataset
from fieldmark.evaluation.inference import Inferred, infer
from fieldmark.evaluation.statistics import seed_interval
from fieldmark.input.loading import Photographs
from fieldmark.label_audit.audit import Audit, audit_features
from fieldmark.label_audit.network import pretrained

SHARE = 0.05


class Featured(NamedTuple):
    """The photos of a data set that could be read, their features, and which belong together."""

    dataset: Dataset
    read: Inferred
    units: np.ndarray
    seconds: float


class Planting(NamedTuple):
    """What was found of a planting, as shares, and the seconds that finding took."""

    planted: int
    doubted: int
    precision: float
    recall: float
    best: float
    seconds: float


def featured(data: Path, backbone: str, weights: str, size: int, cache: Path | None) -> Featured:
    """The features of a data set, from ``cache`` where they were kept."""
    begun = time.perf_counter()
    dataset = read_dataset(data)
    opened = open_photos(dataset)
    photos = opened.dataset.photos
    units, _ = units_of(photos, opened.scan)
    if cache and cache.is_file():
        kept = np.load(cache)
        if tuple(kept["names"].tolist()) != tuple(photo.name for photo in photos):
            raise SystemExit(f"{cache} holds the features of other photos")
        return Featured(dataset, Inferred(kept["features"], photos, ()), units, float(kept["seconds"]))
    network = pretrained(backbone, weights, size=size, device=device_of("auto"))
    views = Photographs(photos, network.pixels, packed=dataset.pixels)
    read = infer(network.method.classifier.pooled, views, method=network.method, workers=1)
    seconds = time.perf_counter() - begun
    if cache:
        names = np.array([photo.name for photo in read.photos])
        np.savez(cache, features=read.values, names=names, seconds=seconds)
    return Featured(dataset, read, units, seconds)


def planted_labels(labels: np.ndarray, classes: int, *, seed: int, twins: np.ndarray | None = None) -> np.ndarray:
    """``labels`` (N,) with ``SHARE`` of them wrong: any other class, or ``twins`` (C,), where that is not -1."""
    generator = np.random.default_rng(seed)
    can = np.arange(len(labels)) if twins is None else np.flatnonzero(twins[labels] >= 0)
    at = generator.choice(can, round(SHARE * len(labels)), replace=False)
    wrong = labels.copy()
    wrong[at] = (labels[at] + generator.integers(1, classes, len(at))) % classes if twins is None else twins[labels[at]]
    return wrong


def twins_of(table: Path, classes: Sequence[str]) -> np.ndarray:
    """The class that each is the twin of, -1 for none, (C,)."""
    with table.open(encoding="utf-8", newline="") as file:
        twin = {row["species"]: row["twin"] for row in csv.DictReader(file) if row["twin"]}
    return np.array([classes.index(twin[name]) if twin.get(name) in classes else -1 for name in classes])


def found_in(featured: Featured, labels: np.ndarray) -> Audit:
    """The audit of photos under other labels."""
    photos = zip(featured.read.photos, labels.tolist(), strict=True)
    moved = tuple(replace(photo, label=label) for photo, label in photos)
    read = featured.read._replace(photos=moved)
    return audit_features(featured.dataset, read, featured.units, network="cached", console=QUIET)


def measured(featured: Featured, seed: int, twins: np.ndarray | None) -> Planting:
    """One planting."""
    right = featured.read.labels
    labels = planted_labels(right, len(featured.dataset.classes), seed=seed, twins=twins)
    begun, wrong = time.perf_counter(), labels != right
    audit = found_in(featured, labels)
    seconds = time.perf_counter() - begun
    credible = audit.predicted.probabilities[np.arange(len(labels)), labels]
    lowest = np.argsort(credible, kind="stable")[: wrong.sum()]
    hits = int(wrong[audit.doubts].sum())
    planted, doubted = int(wrong.sum()), len(audit.doubts)
    return Planting(planted, doubted, hits / max(doubted, 1), hits / planted, float(wrong[lowest].mean()), seconds)


def report(plantings: dict[int, Planting]) -> list[str]:
    """A table in Markdown, and the means with Student's intervals over plantings."""
    lines = ["| seed | planted | doubted | precision | recall | best n | seconds |", "|---|---|---|---|---|---|---|"]
    for seed, one in plantings.items():
        shares = " | ".join(f"{share:.3f}" for share in (one.precision, one.recall, one.best))
        lines.append(f"| {seed} | {one.planted:,} | {one.doubted:,} | {shares} | {one.seconds:.0f} |")
    means = [seed_interval([one[at] for one in plantings.values()]) for at in (2, 3, 4)]
    shown = " | ".join(f"{each.mean:.3f} ({each.low:.3f} to {each.high:.3f})" for each in means)
    return [*lines, f"| mean | | | {shown} | |"]


def main() -> None:
    """Prints the table of a data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="photographs, labelled rightly but for few")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--pairs", type=Path, help="the marks.csv of drawn birds: plant inside pairs of twins")
    parser.add_argument("--cache", type=Path, help="where features are kept, an .npz")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", default="lite0")
    parser.add_argument("--size", type=int, default=224)
    arguments = parser.parse_args()
    known = featured(arguments.data, arguments.backbone, arguments.weights, arguments.size, arguments.cache)
    twins = twins_of(arguments.pairs, known.dataset.classes) if arguments.pairs else None
    photos, classes = len(known.read.photos), len(known.dataset.classes)
    print(f"{photos:,} photos of {classes} classes, features in {known.seconds:.0f} s", flush=True)
    plantings = {}
    for seed in arguments.seeds:
        plantings[seed] = measured(known, seed, twins)
        print(seed, plantings[seed], flush=True)
    print("\n".join(report(plantings)))


if __name__ == "__main__":
    main()
