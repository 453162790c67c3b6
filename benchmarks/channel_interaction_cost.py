"""What the Channel Interaction Network adds to a plain network, in training steps and in inference.

    python benchmarks/channel_interaction_cost.py [--backbone resnet50] [--size 224] [--batch 16] [--rounds 5]

Plain, plain with the SCI neck, and CIN (SCI and CCI) take turns in one process, one step each per round; the first two
rounds are dropped. A training step is forward, backward and SGD with momentum, under automatic mixed precision (bf16)
and in fp32; inference is fp32. Printed are medians and the medians of the rounds' ratios to plain. ``--processor-time``
counts the process's own CPU seconds instead of the wall clock: with ``--threads 1`` that hides much of what others do
on the machine.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from fieldmark.building import build_learner
from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner, total
from fieldmark.ops.memory import keep_freed_memory
from fieldmark.recipe import Model, Pixels, Recipe
from fieldmark.recipes.channel_interaction import COMPOSITION
from timing import in_turn

CLASSES = 200
Step = Callable[[], None]


def learners_of(backbone: str, size: int) -> dict[str, Learner]:
    """Plain, with the neck, and with neck and term; without pretrained weights, which cost the same."""
    parts = {"plain": (None, ()), "SCI": (COMPOSITION.neck, ()), "CIN": (COMPOSITION.neck, COMPOSITION.terms)}
    learners = {}
    for name, (neck, terms) in parts.items():
        model = Model(backbone=backbone, weights="none", neck=neck, terms=terms)
        learner = build_learner(Recipe(model, pixels=Pixels(size=size, eval_size=size)), classes=CLASSES)
        learners[name] = learner.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return learners


def training_step(learner: Learner, images: torch.Tensor, *, mixed: bool) -> Step:
    """Forward, backward and the optimiser on one batch in memory, five images per class as in CIN."""
    labels = torch.arange(len(images)) // 5
    settings = {"lr": 1e-4, "momentum": 0.9, "weight_decay": 2e-4, "fused": True}
    optimiser = torch.optim.SGD(learner.parameters(), **settings)
    learner.train()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            output = learner(images, labels, Draws(0, 0, torch.arange(len(images))))
        total(output).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def inference(learner: Learner, images: torch.Tensor) -> Step:
    """Logits of one batch in memory, in fp32."""

    def step() -> None:
        learner.eval()
        with torch.inference_mode():
            learner.method(images)

    return step


KINDS: dict[str, Callable[[Learner, torch.Tensor], Step]] = {
    "bf16 training": partial(training_step, mixed=True),
    "fp32 training": partial(training_step, mixed=False),
    "fp32 inference": inference,
}


def main() -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, nargs="+", default=[224], help="pixels a side, each tried")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--processor-time", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    clock = time.process_time if chosen.processor_time else time.perf_counter
    keep_freed_memory()
    for size in chosen.size:
        torch.manual_seed(0)
        images = torch.randn(chosen.batch, 3, size, size).contiguous(memory_format=torch.channels_last)
        learners = learners_of(chosen.backbone, size)
        for kind in chosen.only:
            steps = {name: KINDS[kind](learner, images) for name, learner in learners.items()}
            if KINDS[kind] is inference:
                del steps["CIN"]  # the same network as SCI
            seconds = in_turn(steps, rounds=chosen.rounds, clock=clock)
            for name, values in seconds.items():
                ratios = [value / plain for value, plain in zip(values, seconds["plain"], strict=True)]
                ratio, least, largest = statistics.median(ratios), min(ratios), max(ratios)
                text = f"{statistics.median(values):.3f} s, {ratio:.3f} of plain ({least:.3f} to {largest:.3f})"
                print(f"{kind} at {size} px, {name}: {text}", flush=True)


if __name__ == "__main__":
    main()
