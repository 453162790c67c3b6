"""Throughput of Fieldmark's training loop against a bare PyTorch loop that does the same arithmetic.

    python benchmarks/loop_speed.py PHOTOS [--backbone resnet50] [--size 224] [--batch 16] [--rounds 7]

Three loops take turns in one process, one step each per round: the bare loop on tensors already in memory; Fieldmark's
loop fed with batches already in memory (what the loop itself costs); and Fieldmark's loop fed by its loader from the
photographs on disk (what a user sees). Precision, memory layout, optimiser and batch are the same. Printed are medians
and the ratio of the bare step's time to each loop's; the first rounds are dropped.

Measured with ResNet-50, 224 px, batches of 16, bf16 on two cores, medians of 15, 13 and 13 rounds: 0.99, 0.98 and 1.02
with batches in memory, 0.95, 0.97 and 0.98 from disk, where decoding takes its share of the same two cores. Before
freed memory was kept (``fieldmark.ops.memory``), two bare loops differed from each other by as much as 0.07.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from rich.console import Console

from fieldmark.building import build_learner
from fieldmark.core.device import device_of, precision_of
from fieldmark.data.reading import read_dataset
from fieldmark.input.loading import Batch, Photographs, loader_of
from fieldmark.ops.memory import keep_freed_memory
from fieldmark.recipe import Recipe
from fieldmark.training.automatic import draft_of
from fieldmark.training.loop import Loop
from fieldmark.training.nonfinite import Watch
from fieldmark.training.runlog import RunLog
from fieldmark.training.session import fabric_of
from fieldmark.training.settings import RecipeSettings
from timing import in_turn


def bare_steps(recipe: Recipe, batch: Batch, *, fabric: Fabric, classes: int) -> Iterator[None]:
    """Plain PyTorch: the same network, autocast, cross-entropy and SGD on one batch in memory."""
    network = build_learner(recipe, classes=classes).method.classifier
    network.to(device=fabric.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    images = network.backbone.normalise(batch.pixels.to(fabric.device))
    labels = batch.labels.to(fabric.device)
    settings = {"lr": 1e-3, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4, "fused": True}
    optimiser = torch.optim.SGD(network.parameters(), **settings)
    while True:
        with fabric.autocast():
            logits = network(images)
        loss = F.cross_entropy(
            logits.float(), labels, label_smoothing=recipe.model.criterion.options.get("smoothing", 0.1)
        )
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        yield


def loop_steps(loop: Loop, batches: Callable[[], Iterator[Batch]]) -> Iterator[None]:
    """Fieldmark's loop, one step at a time."""
    watch = Watch(loop.log, [photo.name for photo in loop.photos.photos])
    while True:
        for batch in batches():
            loop._step(batch, watch)
            yield


def repeated(batch: Batch) -> Iterator[Batch]:
    """The same batch without end."""
    while True:
        yield batch


def main() -> None:
    """Parses the command line, measures, and prints a line per loop and all seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    chosen = parser.parse_args()
    keep_freed_memory()  # as training does; it holds for the whole process, and so for the bare loop too
    dataset = read_dataset(chosen.photos)
    photos = dataset.of(["train"]) or dataset.photos
    device = device_of("auto")
    model = {"backbone": chosen.backbone, "weights": "none", "size": chosen.size}
    settings = RecipeSettings(**model, batch=chosen.batch, precision=chosen.precision, lr=1e-3)
    recipe = draft_of(settings, device=device, external={}).fitted(photos=len(photos), classes=len(dataset.classes))
    fabric = fabric_of(recipe, device)
    views = Photographs(photos, recipe.pixels, packed=dataset.pixels)
    classes = len(dataset.classes)
    with tempfile.TemporaryDirectory() as folder:
        loops = []
        for _ in range(2):
            learner = build_learner(recipe, classes=classes)
            learner.to(device=fabric.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            log = RunLog(Path(folder), console=Console(quiet=True))
            loops.append(Loop(learner, recipe, fabric=fabric, photos=views, run=Path(folder), log=log))
        batch = views.__getitems__([(0, index) for index in range(chosen.batch)])
        loops_by_name = {
            "bare": bare_steps(recipe, batch, fabric=fabric, classes=classes),
            "loop, batches in memory": loop_steps(loops[0], lambda: repeated(batch)),
            "loop, photographs on disk": loop_steps(loops[1], lambda: iter(loader_of(views, loops[1].plan, workers=1))),
        }
        steps = {name: partial(next, loop) for name, loop in loops_by_name.items()}
        seconds = in_turn(steps, rounds=chosen.rounds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        ratios = [b / a for a, b in zip(seconds[name], seconds["bare"], strict=True)]
        print(f"{name:<28} {chosen.batch / value:8.1f} images/s   bare / this {statistics.median(ratios):.3f}")
    precision = precision_of(recipe.precision, device)
    print(json.dumps({"backbone": chosen.backbone, "precision": precision, "seconds": seconds}))


if __name__ == "__main__":
    main()
