"""What MC-Loss costs a training step: forward and backward of the term on maps in memory, on one thread.

    python benchmarks/mutual_channel_speed.py [--images 16] [--channels 2048] [--classes 200] [--rounds 15] [--soft]

One line for each size of maps, memory format (training has channels last) and precision: milliseconds of the fastest
and of the median round; the bytes that any implementation must move, reading the maps once and writing their gradient
once; and the milliseconds of two copies of the maps, which move twice as many. Times are CPU times of this thread, so
that other work on the machine disturbs them less. ``--soft`` adds the soft channel labels, which multiply every channel
by every class.

Measured on one thread of a busy two-core machine, MC-Loss on 16 x 2048 maps of 200 classes, channels last: 23 ms at
7 x 7 and 106 ms at 14 x 14 in float32, 25 and 103 ms in bfloat16; soft labels 300 and 1000 ms. Half of MC-Loss is the
two maxima over groups with their winners.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from fieldmark.core.draws import Draws
from fieldmark.papers.mutual_channel import MutualChannelLoss, SoftChannelLabels

SIDES = (7, 14)
ORDERS = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def milliseconds(work: Callable[[], object], *, rounds: int) -> list[float]:
    """Of each round except the first two, which allocate the memory."""
    times = []
    for _ in range(rounds + 2):
        begun = time.thread_time()
        work()
        times.append(1e3 * (time.thread_time() - begun))
    return times[2:]


def step_of(term: MutualChannelLoss | SoftChannelLabels, maps: Tensor, labels: Tensor) -> Callable[[], None]:
    """Forward and backward of the term on these maps."""

    def step() -> None:
        maps.grad = None
        term(maps, labels, draws=Draws(0, 1)).backward()

    return step


def main() -> None:
    """Parses the command line, measures, and prints a line per setting and all numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"images": 16, "channels": 2048, "classes": 200, "rounds": 15}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--soft", action="store_true", help="also the soft channel labels")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    terms: dict[str, MutualChannelLoss | SoftChannelLabels] = {"MC-Loss": MutualChannelLoss(chosen.classes)}
    if chosen.soft:
        terms["soft labels"] = SoftChannelLabels(chosen.channels, chosen.classes)
    labels = torch.arange(chosen.images) % chosen.classes
    results = []
    for side in SIDES:
        for order, precision in ((order, precision) for order in ORDERS for precision in PRECISIONS):
            maps = torch.randn(chosen.images, chosen.channels, side, side, dtype=PRECISIONS[precision]).relu()
            maps = maps.contiguous(memory_format=ORDERS[order]).requires_grad_()
            floor = 2 * maps.nbytes
            copies = 2 * min(milliseconds(lambda maps=maps: maps.detach().clone(), rounds=chosen.rounds))
            for name, term in terms.items():
                rounds = chosen.rounds if name == "MC-Loss" else 2
                times = milliseconds(step_of(term, maps, labels), rounds=rounds)
                best, middle = min(times), statistics.median(times)
                print(
                    f"{name:<12} {chosen.images} x {chosen.channels} x {side} x {side}  {order:<15} {precision:<9} "
                    f"{best:7.1f} ms (median {middle:.1f})   floor {floor / 1e6:.1f} MB, two copies {copies:.1f} ms",
                    flush=True,
                )
                results.append([name, side, order, precision, best, middle, floor, copies])
    print(json.dumps({"threads": torch.get_num_threads(), "torch": torch.__version__, "results": results}))


if __name__ == "__main__":
    main()
