"""What folding frozen norms into convolutions gains in a step of fine-tuning.

    python benchmarks/frozen_norms.py PHOTOS [--backbone tf_efficientnet_lite0] [--weights lite0] [--stages 3]
        [--size 224] [--batch 16] [--precision bf16] [--rounds 16] [--threads 1]

Two copies of a network, the first stages and all statistics of norms frozen in both, take turns in one process, on a
batch of photos in each round: one computes its norms, in the other the convolutions do (``fieldmark.ops.folding``). A
step is normalising, forward, backward and the optimiser's; its time is the processor's, so that others on the machine
weigh less, and the ratio is the median of the rounds' ratios. Also printed: what the graph of a step keeps in memory,
and how far the gradients of a batch are from those in float32 with the norms computed, the mean of the batches.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.core.backbone import Backbone
from fieldmark.core.networks import make_backbone
from fieldmark.data.reading import read_dataset
from fieldmark.input.loading import Photographs
from fieldmark.ops.folding import unfold
from fieldmark.ops.memory import keep_freed_memory
from fieldmark.recipe import Pixels, Sgd
from fieldmark.training.optim import make_optimiser
from timing import in_turn

CLASSES = 200


class Tuned(nn.Module):
    """A network with frozen norms and a head, and the loss of a batch of pixels."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(backbone.channels, CLASSES)

    def forward(self, pixels: Tensor, precision: str) -> Tensor:
        """The mean cross-entropy, a scalar, of uint8 pixels (B, H, W, 3)."""
        images = self.backbone.normalise(pixels)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = self.head(self.backbone(images).mean((2, 3)))
        return F.cross_entropy(logits.float(), torch.arange(len(pixels)) % CLASSES)


def batches_of(photos: Path, chosen: argparse.Namespace) -> list[Tensor]:
    """Pixels (B, S, S, 3) of training views, a batch for each round."""
    dataset = read_dataset(photos)
    views = Photographs(dataset.photos, Pixels(chosen.size, chosen.size), packed=dataset.pixels)
    rows = torch.randperm(len(dataset.photos))[: chosen.rounds * chosen.batch].split(chosen.batch)
    return [views.__getitems__([(0, index) for index in batch.tolist()]).pixels for batch in rows]


def step_of(network: Tuned, batches: list[Tensor], precision: str) -> Callable[[], None]:
    """A whole step, at a rate at which the weights stay near where they are."""
    parameters = {"all": [parameter for parameter in network.parameters() if parameter.requires_grad]}
    optimiser, turns = make_optimiser(parameters, Sgd(lr=1e-4)), cycle(batches)

    def step() -> None:
        network(next(turns), precision).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def gradients(network: Tuned, pixels: Tensor, precision: str) -> Tensor:
    """All gradients in a row."""
    network.zero_grad()
    network(pixels, precision).backward()
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None])


def kept(network: Tuned, pixels: Tensor, precision: str) -> int:
    """Bytes of the tensors that the graph of a step keeps, without the weights themselves."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    sizes: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        network(pixels, precision)
    return sum(sizes.values())


def main() -> None:
    """Parses the command line, measures, and prints a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", default="lite0")
    parser.add_argument("--stages", type=int, default=3)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", default="bf16", choices=("bf16", "fp32"))
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    backbone = make_backbone(chosen.backbone, weights=chosen.weights, size=chosen.size)
    backbone.freeze(stages=chosen.stages, norms=True)
    folded = Tuned(backbone).to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
    ordinary = copy.deepcopy(folded)
    for pair in ordinary.backbone._folded:
        unfold(*pair)
    networks = {"computed": ordinary, "folded": folded}
    batches = batches_of(chosen.photos, chosen)
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    print(f"{len(backbone._folded)} of {len(norms)} norms are folded")
    exact = [gradients(ordinary, pixels, "fp32") for pixels in batches]
    for name, network in networks.items():
        actual = (gradients(network, pixels, chosen.precision) for pixels in batches)
        distances = [float((a - e).norm() / e.norm()) for a, e in zip(actual, exact, strict=True)]
        megabytes = kept(network, batches[0], chosen.precision) / 1e6
        print(f"{name:<9} gradients {statistics.mean(distances):.2e} from float32's, {megabytes:.0f} MB kept")
        network.zero_grad()
    steps = {name: step_of(network, batches, chosen.precision) for name, network in networks.items()}
    seconds = in_turn(steps, rounds=chosen.rounds, clock=time.process_time)
    ratios = sorted(b / a for a, b in zip(seconds["computed"], seconds["folded"], strict=True))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"seconds of a step: {medians}; folded / computed {statistics.median(ratios):.3f}")
    print(f"the middle half of the ratios: {ratios[len(ratios) // 4]:.3f} to {ratios[-1 - len(ratios) // 4]:.3f}")


if __name__ == "__main__":
    main()
