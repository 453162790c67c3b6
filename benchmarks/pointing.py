"""Whether "why A, not B" points at the mark that tells look-alikes apart: drawn birds, whose marks are known.

    python benchmarks/pointing.py RUN [RUN ...]
    python benchmarks/pointing.py runs/birds-60 runs/birds-61 runs/birds-62 --json pointing.json

Each RUN was trained on birds that ``write_birds`` drew, with species of their own. For each test picture whose answer
is its species or that species' twin, the answer is A and the other is B. A heatmap points at the mark if its maximum
lies at most 16 pixels outside of the mark's box, of 224. Four kinds are compared on the same pictures: two layers
together ("auto") and the last maps alone, each asked why A and why A rather than B. Chance is the share of the picture
that counts as a hit. Intervals are Student's over the pairs of species, as pictures of a pair have one mark; right and
wrong answers stand apart.

Deletion is the mean of logit A - logit B over the shares 2, 5, 10 and 20 % of the picture's cells, those of the highest
values first, that are blurred away, as a share of what it is in the whole picture: the lower the better. Insertion is
the same with all else blurred away: the higher the better. Both are measured on every fourth picture.
"""

import argparse
import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fieldmark.core.contract import Method
from fieldmark.core.device import device_of
from fieldmark.evaluation.statistics import Interval, seed_interval
from fieldmark.explanations.heatmaps import Question, look
from fieldmark.explanations.maps import peak, smoothed
from fieldmark.explanations.regions import distance
from fieldmark.files import write_json
from fieldmark.runs.folder import Loaded, load, read_run

BATCH, SIDE, REACH = 32, 224, 16
EVERY = 4
"""Pictures of which one is blurred."""
SHARES = (0.02, 0.05, 0.1, 0.2)
BLUR = 12.0
"""Pixels: a Gaussian that leaves the ground of a bird and none of its marks."""
SIZES = {"small (up to 0.5 %)": (0.0, 0.005), "middle": (0.005, 0.02), "large (2 % or more)": (0.02, 1.0)}
KINDS = {
    "why A, not B": ("auto", True),
    "why A": ("auto", False),
    "why A, not B, last maps": ("maps", True),
    "Grad-CAM (why A, last maps)": ("maps", False),
}


class Picture(NamedTuple):
    """A test picture: its path, species, twin, and the telling mark's box in shares of its sides."""

    path: Path
    species: str
    twin: str
    box: tuple[float, float, float, float]

    @property
    def pair(self) -> str:
        """One name for both species."""
        return " / ".join(sorted((self.species, self.twin)))


class Shot(NamedTuple):
    """What a heatmap did on a picture: whether it hit, and its deletion and insertion, nan where unmeasured."""

    hit: bool
    deletion: float
    insertion: float


class Row(NamedTuple):
    """A picture that was answered with its species (``right``) or its twin, and what each kind of heatmap did."""

    pair: str
    right: bool
    area: float
    chance: float
    shots: dict[str, Shot]


def pictures_of(data: Path, side: int = 256) -> list[Picture]:
    """The test pictures of species with a twin, which ``write_birds`` drew with ``side`` pixels."""
    with (data / "marks.csv").open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["path"].startswith("test/") and row["twin"]]
    return [Picture(data / row["path"], row["species"], row["twin"], _box(row, side)) for row in rows]


def _box(row: dict[str, str], side: int) -> tuple[float, float, float, float]:
    left, top, width, height = (float(row[key]) / side for key in ("x", "y", "width", "height"))
    return left, top, left + width, top + height


def measured(loaded: Loaded, pictures: Sequence[Picture]) -> Iterator[Row]:
    """A row for each picture that is answered inside its pair."""
    device = loaded.model.classifier.backbone.mean.device
    for start in range(0, len(pictures), BATCH):
        part = pictures[start : start + BATCH]
        images = torch.stack([loaded.transform(picture.path) for picture in part]).to(device)
        species, twins = (
            torch.tensor([loaded.classes.index(name) for name in names], device=device)
            for names in zip(*((picture.species, picture.twin) for picture in part), strict=True)
        )
        with torch.no_grad():
            best = loaded.model(images).argmax(1)
        answer, other = torch.where(best == twins, twins, species), torch.where(best == twins, species, twins)
        inside = ((best == species) | (best == twins)).tolist()
        boxes = np.array([picture.box for picture in part])
        shots = {kind: _shots(loaded.model, images, answer, other, boxes, kind) for kind in KINDS}
        for row, picture in enumerate(part):
            if inside[row]:
                own = {kind: shots[kind][row] for kind in KINDS}
                left, top, right, bottom = picture.box
                area = (right - left) * (bottom - top)
                yield Row(picture.pair, bool(best[row] == species[row]), area, _chance(picture.box), own)


def _shots(model: Method, images: Tensor, answer: Tensor, other: Tensor, boxes: np.ndarray, kind: str) -> list[Shot]:
    layer, rather = KINDS[kind]
    heatmaps = look(model, images, lambda _: [Question(answer, other if rather else None)], layer=layer).heatmaps[0]
    away = SIDE * distance(peak(heatmaps).cpu().numpy(), boxes)
    deletion, insertion = torch.full((2, len(images)), torch.nan)
    some = slice(None, None, EVERY)
    values = fidelity(model, images[some], heatmaps[some], answer[some], other[some])
    deletion[some], insertion[some] = values[0].cpu(), values[1].cpu()
    hits = (away <= REACH).tolist()
    return [Shot(*row) for row in zip(hits, deletion.tolist(), insertion.tolist(), strict=True)]


def _chance(box: tuple[float, float, float, float]) -> float:
    """The share of the picture that lies at most ``REACH`` pixels outside of a box."""
    reach = REACH / SIDE
    left, top, right, bottom = box
    return (min(right + reach, 1) - max(left - reach, 0)) * (min(bottom + reach, 1) - max(top - reach, 0))


@torch.no_grad()
def fidelity(model: Method, images: Tensor, heatmaps: Tensor, answer: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Deletion and insertion (B,) of images (B, 3, H, W) by heatmaps (B, h, w)."""
    count, _, height, width = images.shape
    blurred = smoothed(images.flatten(0, 1), BLUR).view_as(images) / smoothed(torch.ones_like(images[0, :1]), BLUR)
    order = heatmaps.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1) / heatmaps[0].numel()

    def margin(pictures: Tensor) -> Tensor:
        logits = model(pictures)
        return (logits.gather(1, answer[:, None]) - logits.gather(1, other[:, None]))[:, 0]

    whole, deleted, inserted = margin(images).clamp_min(1e-6), images.new_zeros(count), images.new_zeros(count)
    for share in SHARES:
        chosen = (order < share).view_as(heatmaps).to(images.dtype)[:, None]
        mask = F.interpolate(chosen, (height, width), mode="nearest")
        deleted += margin(torch.lerp(images, blurred, mask)) / whole
        inserted += margin(torch.lerp(blurred, images, mask)) / whole
    return deleted / len(SHARES), inserted / len(SHARES)


def over_pairs(values: Iterable[tuple[str, float]]) -> Interval:
    """The mean over pairs of each pair's mean, with Student's interval; values that are nan do not count."""
    by_pair: dict[str, list[float]] = {}
    for pair, value in values:
        if not np.isnan(value):
            by_pair.setdefault(pair, []).append(value)
    means = [float(np.mean(each)) for each in by_pair.values()]
    return seed_interval(means) if means else Interval(np.nan, np.nan, np.nan)


def table(rows: Sequence[Row], *, against: str = "Grad-CAM (why A, last maps)") -> list[str]:
    """Markdown of some rows: hits, the difference to one kind, deletion and insertion."""
    lines = [
        "| heatmap | points at the mark, % | difference to Grad-CAM | deletion | insertion |",
        "|---|---|---|---|---|",
    ]
    for kind in KINDS:
        hits = over_pairs((row.pair, 100.0 * row.shots[kind].hit) for row in rows)
        gain = over_pairs((row.pair, 100.0 * row.shots[kind].hit - 100.0 * row.shots[against].hit) for row in rows)
        deletion = over_pairs((row.pair, row.shots[kind].deletion) for row in rows)
        insertion = over_pairs((row.pair, row.shots[kind].insertion) for row in rows)
        gained = "" if kind == against else f"{gain.mean:+.1f} ({gain.low:+.1f} to {gain.high:+.1f})"
        shown = f"{hits.mean:.1f} ({hits.low:.1f} to {hits.high:.1f})"
        lines.append(f"| {kind} | {shown} | {gained} | {deletion.mean:.2f} | {insertion.mean:.2f} |")
    chance = over_pairs((row.pair, 100 * row.chance) for row in rows)
    return [*lines, f"| chance, by area | {chance.mean:.1f} | | | |"]


def report(rows: Sequence[Row]) -> list[str]:
    """All tables: right and wrong answers apart, the right ones by size of mark."""
    lines = []
    groups = {"right answers": [row for row in rows if row.right], "wrong answers": [r for r in rows if not r.right]}
    for size, (least, most) in SIZES.items():
        groups[f"right answers, mark {size}"] = [row for row in rows if row.right and least < row.area <= most]
    for name, own in groups.items():
        pairs = len({row.pair for row in own})
        lines += ["", f"### {name}: {len(own):,} pictures of {pairs} pairs", ""]
        lines += table(own) if own else ["none"]
    return lines


def main() -> None:
    """Prints the tables of all runs together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="runs on drawn birds")
    parser.add_argument("--json", type=Path, help="also write a row for each picture")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for run in arguments.runs:
        loaded, data = load(run), Path(read_run(run)[2].data)
        loaded.model.to(device_of("auto"))
        pictures = pictures_of(data)
        own = list(measured(loaded, pictures))
        right = sum(row.right for row in own)
        print(
            f"{run.name}: {len(pictures)} pictures, {right} right, {len(own) - right} answered with the twin",
            flush=True,
        )
        rows += own
    print("\n".join(report(rows)))
    if arguments.json:
        kept = [row._asdict() | {"shots": {kind: shot._asdict() for kind, shot in row.shots.items()}} for row in rows]
        write_json(arguments.json, {"format_version": 1, "pictures": kept})


if __name__ == "__main__":
    main()
