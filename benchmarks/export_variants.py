"""The forms of an exported file, by size, right answers and how often they are the network's.

    python benchmarks/export_variants.py RUN [--data DATA] [--split test]

Each form is made as ``fieldmark export`` makes it (8 bits: scales from photos of the training), and answers the same
photos as the network does; nothing is chosen by them. With ``--split test`` the look at the test photos is logged in
the run, as ``fieldmark evaluate`` logs it.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from fieldmark.evaluation.evaluate import evaluate, split_of_run
from fieldmark.evaluation.statistics import share_interval
from fieldmark.exporting.describing import manifest_of
from fieldmark.exporting.export import on_photos
from fieldmark.exporting.network import Shipped
from fieldmark.exporting.onnx_file import file_of, traced
from fieldmark.exporting.photos import Tried
from fieldmark.exporting.pixels import with_preparing
from fieldmark.exporting.variants import in_fewer_bits, photos_for, preparing_for
from fieldmark.runs.folder import Opened, open_run
from fieldmark.ship.manifest import UNSTATED, Precision
from fieldmark.ship.parity import OnPhotos

FORMS: tuple[tuple[Precision, bool], ...] = (
    ("fp32", False),
    ("fp16", False),
    ("int8", False),
    ("fp32", True),
    ("fp16", True),
    ("int8", True),
)
"""Bits, and whether the graph takes pixels."""


class Form(NamedTuple):
    """A form of the file: its bits, whether it takes pixels, its size in bytes, and how it answers."""

    precision: str
    pixels: bool
    size: int
    found: OnPhotos


def forms(opened: Opened, tried: Tried, data: Path | None) -> Iterator[Form]:
    """Each form of a run's file on the same photos."""
    network = Shipped(opened.learner.eval().method, temperature=opened.temperature).eval()
    plain = traced(network, size=opened.recipe.pixels.eval_size)
    manifest = manifest_of(opened, network, licences=UNSTATED)
    for precision, pixels in FORMS:
        own = replace(manifest, precision=precision, takes="pixels" if pixels else "images")
        photos = photos_for(opened, data, precision=precision)
        graph = plain if precision == "fp32" else in_fewer_bits(plain, precision, photos, own)
        preparing = preparing_for(own) if pixels else None
        graph = with_preparing(graph, preparing) if preparing else graph
        found = on_photos(graph, preparing, own, network, tried, console=Console(quiet=True))
        assert found is not None
        yield Form(precision, pixels, len(file_of(graph, own)), found)


def row_of(form: Form) -> str:
    """A line of the table."""
    found = form.found
    right = share_interval(found.right, found.count)
    cells = (
        f"{form.precision}{', pixels' if form.pixels else ''}",
        f"{form.size / 1e6:.2f}",
        f"{right.mean:.2%} ({right.low:.1%} to {right.high:.1%})",
        f"{found.right - found.right_before:+d}",
        f"{found.answers_equal:,} of {found.count:,}",
        f"{found.logits:.1e}",
        f"{found.levels_equal:.2%}, {found.levels:.0f}" if found.levels else "all, bit for bit",
    )
    return f"| {' | '.join(cells)} |"


HEAD = "| form | MB | right (95 % interval) | more right | same answer | logits differ | equal inputs, others within |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--split", default="test")
    asked = parser.parse_args()
    opened = open_run(asked.run)
    chosen = split_of_run(asked.run, asked.data, asked.split)
    measured = evaluate(opened, chosen, split=asked.split)  # which logs the look
    print(
        f"network: {measured.metrics.top1:.2%} of {measured.metrics.n:,} {asked.split} photos\n\n{HEAD}\n|{'---|' * 7}"
    )
    for form in forms(opened, Tried(asked.split, measured.photos, chosen.dataset.pixels), asked.data):
        print(row_of(form), flush=True)


if __name__ == "__main__":
    main()
