"""What each method adds to a training step, over the step of the plain classifier.

    python benchmarks/method_cost.py [--backbone resnet50] [--size 224] [--batch 16] [--classes 200] [--rounds 9]

All methods take turns in one process, one step each per round; medians, the first three rounds dropped. A method that
leaves the backbone's pass unchanged is timed without it: neck, pool, head, objective and terms, forward and backward,
on the backbone's maps as a leaf, minus the same for plain. A method that passes images through the backbone again (S3N)
is timed by whole steps, minus plain's. Both are divided by plain's whole step. "sci" is the Channel Interaction
Network's layer without its loss.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import replace

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from fieldmark.building import build_learner
from fieldmark.core.backbone import Backbone
from fieldmark.core.device import device_of, precision_of
from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner, total
from fieldmark.ops.memory import keep_freed_memory
from fieldmark.recipe import Model, Pixels, Recipe
from fieldmark.recipes import COMPOSITIONS, channel_interaction
from fieldmark.recipes.composition import Composition
from fieldmark.training.session import fabric_of
from timing import in_turn


class FixedMaps(nn.Module):
    """Replaces the backbone: returns the same maps for any images."""

    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, images: Tensor) -> Tensor:
        """(B, D, h, w), a leaf that requires a gradient."""
        return self.maps


def learner_of(composition: Composition, chosen: argparse.Namespace) -> Learner:
    """The method on randomly initialised weights, channels last."""
    parts = (composition.method, composition.pool, composition.head)
    model = Model(*parts, backbone=chosen.backbone, weights="none", neck=composition.neck, terms=composition.terms)
    if composition.criterion:
        model = replace(model, criterion=composition.criterion)
    recipe = Recipe(model, Pixels(chosen.size, chosen.size))
    return build_learner(recipe, classes=chosen.classes).to(device_of("auto"), memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def step_of(learner: Learner, images: Tensor, labels: Tensor, fabric: Fabric) -> Callable[[], None]:
    """Forward and backward of one step, without the optimiser, which is the same for all."""
    rows = torch.arange(len(images), device=images.device)

    def step() -> None:
        with fabric.autocast():
            loss = total(learner(images, labels, Draws(0, 0, rows)))
        loss.backward()
        learner.zero_grad()

    return step


def passes(learner: Learner, images: Tensor, labels: Tensor) -> int:
    """How often a step runs the backbone on a whole batch."""
    sizes: list[int] = []
    hook = learner.method.classifier.backbone.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    learner(images, labels, Draws(0, 0, torch.arange(len(images))))
    hook.remove()
    return sum(sizes) // len(images)


def steps_of(chosen: argparse.Namespace, fabric: Fabric) -> dict[str, Callable[[], None]]:
    """Steps "whole NAME" for plain and methods of several passes, "rest NAME" for plain and the others."""
    images = torch.randn(chosen.batch, 3, chosen.size, chosen.size, device=fabric.device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(chosen.batch, device=fabric.device) // 4 % chosen.classes
    steps: dict[str, Callable[[], None]] = {}
    layer = replace(channel_interaction.COMPOSITION, name="sci", terms=())
    for composition in (*COMPOSITIONS, layer):
        learner = learner_of(composition, chosen)
        backbone: Backbone = learner.method.classifier.backbone
        several = passes(learner, images[:2], labels[:2]) > 1
        if composition.name == "plain" or several:
            steps[f"whole {composition.name}"] = step_of(learner, images, labels, fabric)
        if several:
            continue
        if composition.name == "plain":
            learner = learner_of(composition, chosen)
        with torch.no_grad(), fabric.autocast():
            maps = backbone(images).detach().requires_grad_()
        learner.method.classifier.backbone = FixedMaps(maps)  # pyright: ignore[reportAttributeAccessIssue]
        steps[f"rest {composition.name}"] = step_of(learner, images, labels, fabric)
    return steps


def main() -> None:
    """Parses the command line, measures, and prints a line per method and everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    for name, value in (("size", 224), ("batch", 16), ("classes", 200), ("rounds", 9)):
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args()
    keep_freed_memory()
    device = device_of("auto")
    precision = precision_of("auto", device)
    fabric = fabric_of(Recipe(), device)
    seconds = in_turn(steps_of(chosen, fabric), rounds=chosen.rounds, warm_up=3)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    plain = medians["whole plain"]
    print(f"plain step {1000 * plain:.1f} ms ({precision}, batch {chosen.batch}, {chosen.size} px)")
    added = {}
    for name, value in medians.items():
        kind, method = name.split()
        if method != "plain":
            added[method] = (value - (plain if kind == "whole" else medians["rest plain"])) / plain
            print(f"{method:<10} adds {added[method]:7.4f} of the plain step ({1000 * value:.1f} ms {kind})")
    print(json.dumps({"backbone": chosen.backbone, "precision": precision, "seconds": medians, "added": added}))


if __name__ == "__main__":
    main()
