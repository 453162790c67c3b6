"""How concentrated the channel weights W of the Channel Interaction Network are on real features.

    python benchmarks/channel_entropy.py PHOTOS --weights FILE [--backbone NAME] [--images 200] [--size 224 448]

Takes photographs as evaluation sees them, the maps X (D, l) of a pretrained backbone, and W = softmax(-scale X X^T)
with the scales 1, 1 / sqrt(l), 1 / l and -1 ("Pos-SCI"). Prints over all rows of all photographs: the mean entropy of a
row in nats and as a share of log D (1: all channels alike, 0: a single channel); the quartiles of the rows' entropies;
the mean perplexity of a row, as a number of channels; and the median of a row's largest weight.
"""

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

from fieldmark.core.backbone import Backbone
from fieldmark.core.networks import make_backbone
from fieldmark.data.reading import read_dataset
from fieldmark.input.loading import Photographs, in_order, loader_of
from fieldmark.ops.memory import keep_freed_memory
from fieldmark.papers.channel_interaction import channel_weights
from fieldmark.recipe import Pixels


def row_statistics(maps: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The entropies in nats and the largest weights (B * D,) of the rows of W, for maps (B, D, h, w)."""
    weights = channel_weights(maps.flatten(2), scale)
    return -torch.xlogy(weights, weights).sum(2).flatten(), weights.amax(2).flatten()


def measure(backbone: Backbone, photos: Photographs, count: int, batch_size: int) -> dict[str, dict[str, float]]:
    """The statistics by scale."""
    order = torch.randperm(len(photos), generator=torch.Generator().manual_seed(0))[:count].tolist()
    batches = [[(-1, order[index]) for _, index in group] for group in in_order(len(order), batch_size)]
    statistics: dict[str, list[tuple[Tensor, Tensor]]] = {}
    channels, positions, norms = backbone.channels, 0, []
    with torch.inference_mode():
        for batch in loader_of(photos, batches, workers=0):
            maps = backbone(backbone.normalise(batch.pixels))
            positions = maps.shape[2] * maps.shape[3]
            norms.append(maps.square().sum((2, 3)).flatten())
            for name, scale in (("1", 1.0), ("1/sqrt(l)", positions**-0.5), ("1/l", 1 / positions), ("-1", -1.0)):
                statistics.setdefault(name, []).append(row_statistics(maps, scale))
    figures = {"maps": {"D": channels, "l": positions, "median |X_i|^2": float(torch.cat(norms).median())}}
    for name, parts in statistics.items():
        entropy, largest = (torch.cat(part) for part in zip(*parts, strict=True))
        low, high = torch.quantile(entropy[:: max(1, len(entropy) // 10**6)], torch.tensor([0.25, 0.75])).tolist()
        figures[name] = {
            "mean entropy (nats)": float(entropy.double().mean()),
            "of log D": float(entropy.double().mean()) / math.log(channels),
            "lower quartile": low,
            "upper quartile": high,
            "channels per row": float(entropy.double().exp().mean()),
            "median largest weight": float(largest.median()),
        }
    return figures


def main() -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder that fieldmark check understands")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", default="lite0", help="lite0, hub or a .safetensors file")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, nargs="+", default=[224], help="pixels a side, each measured")
    chosen = parser.parse_args()
    keep_freed_memory()
    dataset = read_dataset(chosen.photos)
    for size in chosen.size:
        backbone = make_backbone(chosen.backbone, weights=chosen.weights, size=size).eval()
        photos = Photographs(dataset.photos, Pixels(size=size, eval_size=size), packed=dataset.pixels)
        for name, row in measure(backbone, photos, chosen.images, chosen.batch).items():
            print(f"{size} px, {name}: " + ", ".join(f"{key} {value:.4g}" for key, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
