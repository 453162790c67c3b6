"""Every method on every family of networks, exported and compared with the network: by how much logits differ.

    python benchmarks/export_matrix.py RESULTS.csv
    python benchmarks/export_matrix.py RESULTS.csv --table

The first command measures what RESULTS.csv lacks, a row for each combination, and may be stopped and started at will;
the second prints the table of ``benchmarks/EXPORT.md``. No weights are needed: norms get statistics, scales and shifts
of random numbers, as after a training, since exporters have broken norms in silence that had them, and heads random
weights that give logits of about 10. Each file is compared as ``fieldmark export`` does it, on noise in batches of 1, 2
and 7.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fieldmark.building import build_learner
from fieldmark.core.learner import Learner
from fieldmark.errors import UserError
from fieldmark.exporting.describing import width_of
from fieldmark.exporting.export import opened_in
from fieldmark.exporting.network import Shipped
from fieldmark.exporting.onnx_file import file_of, traced
from fieldmark.exporting.parity import compare, faults_of
from fieldmark.recipe import Model, Part, Pixels, Recipe
from fieldmark.recipes import COMPOSITIONS, SYSTEMS
from fieldmark.ship.manifest import Manifest, Origin
from fieldmark.ship.parity import Parity

CLASSES, LOGITS = 7, 10.0
FAMILIES = {
    "resnet18": 64,
    "resnet50": 64,
    "tf_efficientnet_lite0": 96,
    "vgg16": 64,
    "convnext_atto": 64,
    "vit_tiny_patch16_224": 64,
    "densenet161": 64,
    "googlenet": 64,
    "mobilenetv3_large_100": 96,
}
"""Networks, and the side of the images in pixels that they are traced with."""
PAPERS = {composition.name: composition for composition in COMPOSITIONS}
COMPARED = [system.COMPOSITION.name for system in SYSTEMS]
"""What the papers compare with, on the first family alone."""
_S3N = PAPERS["s3n"].method.name
FURTHER = {
    "maximum": {"pool": Part("Maximum")},
    "hidden maximum": {"pool": Part("HiddenMaximum", {"hidden": 32})},
    "compact bilinear pool": {"pool": Part("CompactBilinearPool", {"width": 64})},
    "two-layer head": {"head": Part("TwoLayerHead", {"hidden": 32})},
    "channel expansion": {"neck": Part("ChannelExpansion", {"xi": 3})},
    "api-net over cin": {"method": Part("ApiNet"), "neck": PAPERS["cin"].neck},
    "s3n over cin": {"method": Part(_S3N), "neck": PAPERS["cin"].neck},
    "s3n, as released": {
        "method": Part(_S3N, {"convolutions": True, "evaluation": "extremes", "kernel": "learned"}),
    },
    "s3n, the image alone": {"method": Part(_S3N, {"branches": "O"})},
    "s3n, the copies alone": {"method": Part(_S3N, {"branches": "DC"})},
    "s3n, saliency": {"method": Part(_S3N, {"attention": "saliency"})},
    "s3n, random partition": {"method": Part(_S3N, {"partition": "random"})},
    "stride 16": {"output_stride": 16},
    "b-cnn of two networks": {"backbone": "resnet18+vgg16", "pool": Part("Bilinear")},
}
"""Parts and options beside the papers' own, on the first family."""


class Case(NamedTuple):
    """A combination by its names."""

    method: str
    family: str


def cases() -> Iterator[Case]:
    """All of them: papers on families, then what else there is on the first family."""
    for family in FAMILIES:
        yield from (Case(name, family) for name in PAPERS if name not in COMPARED)
    yield from (Case(name, next(iter(FAMILIES))) for name in (*COMPARED, *FURTHER))


def recipe_of(case: Case) -> Recipe:
    """The recipe of a combination."""
    model = Model(backbone=case.family, weights="none")
    if case.method in PAPERS:
        paper = PAPERS[case.method]
        parts = {place: getattr(paper, place) for place in ("method", "pool", "head", "neck", "terms")}
        model = replace(model, **parts)
    else:
        model = replace(model, **FURTHER[case.method])
    size = FAMILIES[case.family]
    return Recipe(model, pixels=Pixels(size=size, eval_size=size))


@torch.no_grad()
def with_statistics(learner: Learner, *, size: int, seed: int = 0) -> Learner:
    """The learner after a training that gave its norms statistics and its heads weights, all of them random.

    Args:
        learner: as it was built.
        size: of its images, in pixels.
        seed: of the numbers.
    """
    random = torch.Generator().manual_seed(seed)

    def normal(like: torch.Tensor, scale: float) -> torch.Tensor:
        return scale * torch.randn(like.shape, generator=random)

    def around_one(like: torch.Tensor) -> torch.Tensor:
        return 0.7 + 0.6 * torch.rand(like.shape, generator=random)

    for module in learner.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.copy_(normal(module.running_mean, 0.3))
            module.running_var.copy_(around_one(module.running_var))
        if isinstance(module, _BatchNorm | nn.LayerNorm) and module.weight is not None:
            module.weight.copy_(around_one(module.weight))
            module.bias.copy_(normal(module.bias, 0.2))
    heads = [module for module in learner.modules() if isinstance(module, nn.Linear) and not module.weight.any()]
    for head in heads:
        head.weight.copy_(normal(head.weight, head.in_features**-0.5))
    logits = learner.eval().method(torch.randn(4, 3, size, size, generator=random))
    for head in heads:
        head.weight.mul_(LOGITS / logits.abs().max())
    return learner


def plain_manifest(network: Shipped, recipe: Recipe) -> Manifest:
    """Of a network that was never trained."""
    method, backbone = network.method, network.method.classifier.backbone
    names = tuple(f"class {number}" for number in range(method.classifier.classes))
    mean, std = (tuple(map(float, values)) for values in (backbone.mean, backbone.std))
    origin = Origin(type(method).__name__, recipe.model.backbone, "untrained")
    width = width_of(method, size=recipe.pixels.eval_size)
    return Manifest(names, recipe.pixels, mean, std, network.names, origin, embedding=width)


def compared(case: Case) -> Parity:
    """A combination built, exported, opened and compared."""
    recipe = recipe_of(case)
    learner = with_statistics(build_learner(recipe, classes=CLASSES), size=recipe.pixels.eval_size)
    network = Shipped(learner.method, temperature=1.5).eval()
    graph = traced(network, size=recipe.pixels.eval_size)
    with tempfile.TemporaryDirectory() as folder:
        model = opened_in(Path(folder), file_of(graph, plain_manifest(network, recipe)))
        return compare(model, graph, network, size=recipe.pixels.eval_size)


FIGURES = ("largest", "logits", "fixed_grid", "probabilities", "embedding", "maps")
COLUMNS = ("method", "family", *FIGURES, "fault", "seconds")


def row_of(case: Case) -> list[str]:
    """A line of the results."""
    begun = time.process_time()
    try:
        parity = compared(case)
    except (UserError, RuntimeError) as error:
        return [*case, *[""] * len(FIGURES), " ".join(str(error).split())[:300], f"{time.process_time() - begun:.0f}"]
    values = (getattr(parity, name) for name in FIGURES)
    shown = ["" if value is None else f"{value:.1e}" for value in values]
    return [*case, *shown, next(faults_of(parity), ""), f"{time.process_time() - begun:.0f}"]


def results_in(path: Path) -> list[dict[str, str]]:
    """What was measured before."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(rows: Sequence[dict[str, str]]) -> list[str]:
    """Differences of logits by method and family; of images sampled at the same places, with end to end in brackets."""
    by_case = {(row["method"], row["family"]): row for row in rows}
    papers = [name for name in PAPERS if name not in COMPARED and any(row["method"] == name for row in rows)]
    lines = [f"| network | {' | '.join(papers)} |", f"|---|{'---|' * len(papers)}"]
    for family in dict.fromkeys(row["family"] for row in rows):
        cells = (_cell(by_case.get((name, family))) for name in papers)
        lines += [f"| {family} | {' | '.join(cells)} |"]
    further = [row for row in rows if row["method"] not in papers]
    lines += ["", "| on the first of them | difference of logits |", "|---|---|"] if further else []
    return [*lines, *(f"| {row['method']} | {_cell(row)} |" for row in further)]


def _cell(row: dict[str, str] | None) -> str:
    if row is None:
        return ""
    if row["fault"]:
        return f"**{row['fault']}**"
    return f"{row['fixed_grid']} ({row['logits']})" if row["fixed_grid"] else row["logits"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--table", action="store_true", help="print the table of what was measured")
    asked = parser.parse_args()
    known = results_in(asked.results)
    if asked.table:
        print("\n".join(table(known)))
        return
    done = {(row["method"], row["family"]) for row in known}
    with asked.results.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if not known:
            writer.writerow(COLUMNS)
        for case in cases():
            if case not in done:
                writer.writerow(row_of(case))
                file.flush()


if __name__ == "__main__":
    main()
