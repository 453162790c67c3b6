"""The norm of the gradient of MC-Loss's channel-label losses beside that of cross-entropy, on real features.

    python benchmarks/soft_label_gradients.py PHOTOS --weights FILE [--backbone NAME] [--images 16] [--size 224]

L_intra and L_inter (Eq. 10 and 11 of the Mutual-Channel Loss) are sums over N channels. The maps are those of a
pretrained backbone for photographs of the training split as evaluation sees them. A linear head on their average is
trained until its cross-entropy falls below several levels; at each, the norms of the two gradients that reach the maps
are compared, with the weight of the paper, 1, and the SE block as initialised.
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.core.networks import make_backbone
from fieldmark.data.reading import read_dataset
from fieldmark.input.loading import Photographs
from fieldmark.ops.memory import keep_freed_memory
from fieldmark.papers.mutual_channel.soft_labels import ChannelLabels, class_maxima, inter_class, intra_class
from fieldmark.recipe import Pixels

LEVELS = (2.5, 1.0, 0.5, 0.2, 0.1)
"""Cross-entropies, in nats, at which gradients are compared."""


def norm(loss: Tensor, maps: Tensor) -> float:
    """The norm of the gradient that a loss sends to the maps."""
    return float(torch.autograd.grad(loss, maps)[0].double().norm())


def measure(maps: Tensor, labels: Tensor, classes: int) -> dict[str, dict[str, float]]:
    """By cross-entropy: the norms of both gradients at the maps (B, N, h, w), and their ratio."""
    torch.manual_seed(0)
    maps, soft, head = maps.requires_grad_(), ChannelLabels(maps.shape[1]), nn.Linear(maps.shape[1], classes)
    maxima = class_maxima(soft(maps), labels, classes)
    labels_norm = norm(intra_class(maxima) + inter_class(maxima), maps)
    optimiser, figures = torch.optim.SGD(head.parameters(), lr=0.05), {}
    for level in LEVELS:
        while (loss := F.cross_entropy(head(maps.mean((2, 3))), labels)) > level:
            head.weight.grad, head.bias.grad = torch.autograd.grad(loss, (head.weight, head.bias))
            optimiser.step()
        entropy_norm = norm(loss, maps)
        figures[f"{level}"] = {
            "cross-entropy": float(loss.detach()),
            "its gradient": entropy_norm,
            "that of the labels": labels_norm,
            "ratio": labels_norm / entropy_norm,
        }
    return figures


def main() -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", default="lite0", help="lite0, hub or a .safetensors file")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    chosen = parser.parse_args()
    keep_freed_memory()
    dataset = read_dataset(chosen.photos)
    backbone = make_backbone(chosen.backbone, weights=chosen.weights, size=chosen.size).eval()
    pixels = Pixels(size=chosen.size, eval_size=chosen.size)
    photos = Photographs(dataset.of(("train",)), pixels, packed=dataset.pixels)
    order = torch.randperm(len(photos), generator=torch.Generator().manual_seed(0))[: chosen.images].tolist()
    with torch.no_grad():
        batch = photos.__getitems__([(-1, index) for index in order])
        maps = backbone(backbone.normalise(batch.pixels))
    figures = measure(maps, batch.labels, len(dataset.classes))
    for row in figures.values():
        print(f"cross-entropy {row['cross-entropy']:.2f}: the labels' gradient is {row['ratio']:.0f} times as long")
    print(
        json.dumps({"backbone": chosen.backbone, "channels": maps.shape[1], "images": len(order), "figures": figures})
    )


if __name__ == "__main__":
    main()
