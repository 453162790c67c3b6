"""What the Channel Interaction Network adds to a plain network: training steps and inference, and where the time goes.

    python benchmarks/channel_interaction_cost.py [--backbone resnet50] [--size 224] [--batch 16] [--rounds 5]

Plain, plain with the SCI neck, and CIN (SCI and CCI) take turns in one process, one step each a round, so that a noisy
machine slows all alike; the first two rounds are dropped. A training step is forward, backward and SGD with momentum,
under automatic mixed precision (bf16) and in fp32; inference is fp32. Printed are medians and the medians of the
rounds' ratios to plain. ``--processor-time`` counts the process's own processor seconds in place of the wall clock:
with ``--threads 1`` that shuts out much of what others do on the machine. ``--profile`` adds the operators of one CIN
step.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from fieldmark.building import build_learner
from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner, total
from fieldmark.ops.memory import keep_freed_memory
from fieldmark.recipe import Model, Pixels, Recipe
from fieldmark.recipes.channel_interaction import COMPOSITION

CLASSES = 200
Step = Callable[[], None]


def learners_of(backbone: str, size: int) -> dict[str, Learner]:
    """Plain, with the neck, and with neck and term; no pretrained weights, which cost the same."""
    parts = {"plain": (None, ()), "SCI": (COMPOSITION.neck, ()), "CIN": (COMPOSITION.neck, COMPOSITION.terms)}
    built = {}
    for name, (neck, terms) in parts.items():
        model = Model(backbone=backbone, weights="none", neck=neck, terms=terms)
        learner = build_learner(Recipe(model, pixels=Pixels(size=size, eval_size=size)), classes=CLASSES)
        built[name] = learner.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return built


def training_step(learner: Learner, images: torch.Tensor, *, mixed: bool) -> Step:
    """Forward, backward and the optimiser on one batch in memory, five images a class as CIN has them."""
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


def in_turn(steps: dict[str, Step], *, rounds: int, clock: Callable[[], float]) -> dict[str, dict[str, float]]:
    """Median seconds of each step and the median of its ratios to "plain", round by round."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):
        for name, step in steps.items():
            begun = clock()
            step()
            if number >= 2:
                seconds[name].append(clock() - begun)
    ratios = {name: [a / b for a, b in zip(seconds[name], seconds["plain"], strict=True)] for name in steps}
    return {
        name: {
            "seconds": statistics.median(seconds[name]),
            "ratio": statistics.median(ratios[name]),
            "least ratio": min(ratios[name]),
            "largest ratio": max(ratios[name]),
        }
        for name in steps
    }


def profile(step: Step, rows: int) -> str:
    """The operators of one step by their own time on the processor."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    step()
    with profiler(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        step()
    table = seen.key_averages(group_by_input_shape=True)
    return table.table(sort_by="self_cpu_time_total", row_limit=rows, max_name_column_width=40)


def main() -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, nargs="+", default=[224], help="pixels a side, each tried")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=["bf16 training", "fp32 training", "fp32 inference"])
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--profile", type=int, default=0, metavar="ROWS")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    keep_freed_memory()
    clock = time.process_time if chosen.processor_time else time.perf_counter
    results = {}
    for size in chosen.size:
        torch.manual_seed(0)
        images = torch.randn(chosen.batch, 3, size, size).contiguous(memory_format=torch.channels_last)
        learners = learners_of(chosen.backbone, size)
        kinds: dict[str, Callable[[Learner], Step]] = {
            "bf16 training": lambda learner, images=images: training_step(learner, images, mixed=True),
            "fp32 training": lambda learner, images=images: training_step(learner, images, mixed=False),
            "fp32 inference": lambda learner, images=images: inference(learner, images),
        }
        for kind in chosen.only:
            steps = {
                name: kinds[kind](learner) for name, learner in learners.items() if "inf" not in kind or name != "CIN"
            }
            results[f"{kind} at {size} px"] = measured = in_turn(steps, rounds=chosen.rounds, clock=clock)
            for name, row in measured.items():
                spread = f"({row['least ratio']:.3f} to {row['largest ratio']:.3f})"
                print(
                    f"{kind} at {size} px, {name}: {row['seconds']:.3f} s, {row['ratio']:.3f} of plain {spread}",
                    flush=True,
                )
            if chosen.profile:
                print(profile(steps[list(steps)[-1]], chosen.profile))
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
