"""Throughput of ``fieldmark predict MODEL.onnx`` against a bare loop over onnxruntime, with the same decoding.

    python benchmarks/runtime_throughput.py MODEL.onnx PHOTOS [--rounds 7] [--photos 256] [--workers N] [--json FILE]

Four ways take turns, each over the same photographs. The bare loop reads a batch, as Fieldmark does, and hands it to
onnxruntime, which has all cores; in the second one, a pool of processes reads batches ahead, which has been started
before. Fieldmark answers in one process, and with processes that read, as the command does for many photos: it starts
them anew each time, and writes a table. Printed are medians of photos a second and of photos a second of processor time
(with that of all processes but the pool's), and the ratios to the first loop's in the same round.

In one process the bare loop and Fieldmark do the same work, so that their ratio is what Fieldmark costs beside it. Of
Fieldmark's processes one has each core: photos are read while others are computed, and a batch is computed by one core.
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from fieldmark.data.dataset import Photo
from fieldmark.data.unlabelled import listed_photos
from fieldmark.predicting import core_count
from fieldmark.predictions.writing import write_predictions
from fieldmark.recipe import Pixels
from fieldmark.ship.model import Model, open_model
from fieldmark.ship.reading import in_batches, read_views


class Turn(NamedTuple):
    """Photos a second of one way in one round, and of processor time."""

    speed: float
    by_processor: float


def bare(path: Path, model: Model, pool: ProcessPoolExecutor | None = None) -> Callable[[Sequence[Photo]], None]:
    """A loop over batches: read, in a pool if there is one, normalise, compute."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    manifest = model.manifest
    shift, scale = manifest.shift[:, None, None], manifest.scale[:, None, None]

    def over(photos: Sequence[Photo]) -> None:
        read = partial(pixels_of, pixels=manifest.pixels)
        views: Iterator[np.ndarray] = (pool.map if pool else map)(read, in_batches(photos))
        for each in views:
            images = np.ascontiguousarray(each.transpose(0, 3, 1, 2)).astype(np.float32)
            images -= shift
            images *= scale
            session.run(["logits"], {"images": images})

    return over


def pixels_of(photos: Sequence[Photo], pixels: Pixels) -> np.ndarray:
    """What is read of a batch."""
    return read_views(photos, pixels).pixels


def fieldmark(model: Model, table: Path, *, workers: int) -> Callable[[Sequence[Photo]], None]:
    """What the command does once it has opened the model."""

    def over(photos: Sequence[Photo]) -> None:
        write_predictions(table, model.answered(photos, workers=workers), top=5)

    return over


def turn(way: Callable[[Sequence[Photo]], None], photos: Sequence[Photo]) -> Turn:
    """One way over all photos."""
    begun, used = time.perf_counter(), processor_seconds()
    way(photos)
    return Turn(len(photos) / (time.perf_counter() - begun), len(photos) / (processor_seconds() - used))


def processor_seconds() -> float:
    """Of this process and those that it has ended."""
    own, ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def measured(path: Path, folder: Path, *, photos: int, rounds: int, workers: int) -> dict[str, list[Turn]]:
    """The turns of each way; the first round is dropped."""
    found = list(listed_photos(folder))
    chosen = [found[at] for at in np.linspace(0, len(found) - 1, min(photos, len(found))).astype(int)]
    alone, together = open_model(path), open_model(path, threads=max(1, core_count() // workers))
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    with tempfile.TemporaryDirectory() as place, pool:
        table = Path(place) / "p.csv"
        ways = {
            "bare loop": bare(path, alone),
            f"bare loop, a pool of {workers} reads": bare(path, alone, pool),
            "Fieldmark, one process": fieldmark(alone, table, workers=0),
            f"Fieldmark, {workers} processes that read": fieldmark(together, table, workers=workers),
        }
        turns: dict[str, list[Turn]] = {name: [] for name in ways}
        for _ in range(1 + rounds):
            for name, way in ways.items():
                turns[name].append(turn(way, chosen))
    return {name: each[1:] for name, each in turns.items()}


def summary(turns: dict[str, list[Turn]]) -> dict[str, dict[str, float]]:
    """Medians of each way, and of its ratios to the first one's turn in the same round."""
    first = next(iter(turns.values()))
    return {
        name: {
            "photos_per_second": statistics.median(one.speed for one in each),
            "photos_per_processor_second": statistics.median(one.by_processor for one in each),
            "ratio": statistics.median(one.speed / bare.speed for one, bare in zip(each, first, strict=True)),
            "processor_ratio": statistics.median(
                one.by_processor / bare.by_processor for one, bare in zip(each, first, strict=True)
            ),
        }
        for name, each in turns.items()
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--photos", type=int, default=256)
    parser.add_argument("--workers", type=int, default=core_count())
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    turns = measured(asked.model, asked.folder, photos=asked.photos, rounds=asked.rounds, workers=max(1, asked.workers))
    found = summary(turns)
    print(f"{core_count()} cores, load {os.getloadavg()[0]:.1f}, medians of {asked.rounds} rounds")
    for name, row in found.items():
        speeds = (
            f"{row['photos_per_second']:7.1f} photos/s {row['photos_per_processor_second']:7.1f} per processor second"
        )
        print(f"{name:36s} {speeds}   {row['ratio']:.2f}   {row['processor_ratio']:.2f}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
